"""Barlow Twins against loops over rows and dimensions, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import BarlowTwins

OPTIONS = {"paper": {}, "redundancy": {"redundancy": 0.7}, "large epsilon": {"epsilon": 0.3, "redundancy": 0.1}}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


def second_view(labels, i):
    """The next row of the same label, going round; None for a row alone."""
    size = len(labels)
    for step in range(1, size):
        if labels[(i + step) % size] == labels[i]:
            return (i + step) % size
    return None


def oracle(labels, rows, redundancy=0.005, epsilon=1e-5):
    pairs = [(i, second_view(labels, i)) for i in range(len(rows)) if second_view(labels, i) is not None]
    count, dims = len(pairs), len(rows[0])
    means = [sum(rows[i][d] for i, _ in pairs) / count for d in range(dims)]
    variances = [sum((rows[i][d] - means[d]) ** 2 for i, _ in pairs) / count for d in range(dims)]

    def scaled(i, d):
        return (rows[i][d] - means[d]) / (variances[d] + epsilon) ** 0.5

    total = 0.0
    for d in range(dims):
        for e in range(dims):
            correlation = sum(scaled(i, d) * scaled(j, e) for i, j in pairs) / count
            total += (1 - correlation) ** 2 if d == e else redundancy * correlation**2
    return np.array([0.0 if second_view(labels, i) is None else total * len(rows) / count for i in range(len(rows))])


@options
def test_equals_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch
    agrees(BarlowTwins(**arguments), lambda rows: oracle(labels, rows, **arguments), labels, rows)


def test_every_hyperparameter_changes_the_value(batch):
    values = [oracle(*batch, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_numbers_by_hand():
    # Equal views, the second dimension a copy of the first: C is all ones.
    rows = [[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [-1.0, -2.0]]
    np.testing.assert_allclose(BarlowTwins(redundancy=0.5)([0, 0, 1, 1], rows), 0.5 * 2, rtol=1e-4)
    # Opposite views: C is -1.
    np.testing.assert_allclose(BarlowTwins()([0, 1, 0, 1], [[1.0], [1.0], [-1.0], [-1.0]]), 4.0, rtol=1e-4)


def test_rows_alone_count_for_nothing_and_neither_do_lengths_and_means(batch):
    labels, rows = batch
    loss = BarlowTwins(epsilon=1e-9)
    values = loss.call(labels, rows)
    moved = rows.copy()
    moved[4] = 1e3
    np.testing.assert_allclose(loss.call(labels, moved), values, rtol=1e-5)
    assert values[4] == 0.0
    np.testing.assert_allclose(loss.call(labels, rows * [1.0, 5.0, 0.1] + 0.5), values, rtol=1e-4)


def test_a_keras_model_learns_with_it(batch):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=BarlowTwins(), optimizer=keras.optimizers.SGD(0.05))
    rows = batch.embeddings.astype(np.float32)
    history = model.fit(rows, batch.labels, batch_size=10, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]


@pytest.mark.parametrize("rows", [np.zeros((4, 3)), 1e4 * np.eye(4, 3), np.ones((4, 3))], ids=["zero", "long", "equal"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, 0]], ids=["pairs", "alone", "one label"])
def test_value_and_gradient_stay_finite(rows, labels):
    variable = tf.Variable(rows, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = BarlowTwins()(labels, variable)
    gradient = tf.convert_to_tensor(tape.gradient(value, variable))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if labels == [0, 1, 2, 3]:
        assert value == 0.0 and not np.any(gradient)
    assert np.isnan(BarlowTwins()([0, 0, 1, 1], rows * np.nan))


def test_a_broken_setting_is_refused_by_name():
    with pytest.raises(ValueError, match="redundancy must be at least 0; got -1"):
        BarlowTwins(redundancy=-1)
    with pytest.raises(ValueError, match="epsilon must be above 0; got 0"):
        BarlowTwins(epsilon=0)

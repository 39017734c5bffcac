"""VICReg against loops over rows and dimensions, in float64."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import VICReg

OPTIONS = {
    "paper": {},
    "invariance alone": {"variance": 0.0, "covariance": 0.0},
    "variance alone": {"invariance": 0.0, "covariance": 0.0},
    "covariance alone": {"invariance": 0.0, "variance": 0.0, "covariance": 3.0},
    "large epsilon": {"epsilon": 0.3},
    "unit length": {"unit_length": True},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


def second_view(labels, i):
    """The next row of the same label, going round; None for a row alone."""
    size = len(labels)
    for step in range(1, size):
        if labels[(i + step) % size] == labels[i]:
            return (i + step) % size
    return None


def oracle(labels, rows, invariance=25.0, variance=25.0, covariance=1.0, epsilon=1e-4, unit_length=False):
    dims = len(rows[0])
    if unit_length:
        rows = [[x * math.sqrt(dims / sum(y * y for y in row)) for x in row] for row in rows]
    pairs = [(i, second_view(labels, i)) for i in range(len(rows)) if second_view(labels, i) is not None]
    count = len(pairs)

    def cov(d, e):
        means = [sum(rows[i][k] for i, _ in pairs) / count for k in (d, e)]
        return sum((rows[i][d] - means[0]) * (rows[i][e] - means[1]) for i, _ in pairs) / (count - 1)

    idle = sum(max(0.0, 1.0 - math.sqrt(cov(d, d) + epsilon)) for d in range(dims)) / dims
    repeated = sum(cov(d, e) ** 2 for d in range(dims) for e in range(dims) if d != e) / dims
    values = np.zeros(len(rows))
    for i, j in pairs:
        apart = sum((x - y) ** 2 for x, y in zip(rows[i], rows[j], strict=True)) / dims
        values[i] = (invariance * apart + 2 * variance * idle + 2 * covariance * repeated) * len(rows) / count
    return values


@options
def test_equals_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch
    agrees(VICReg(**arguments), lambda rows: oracle(labels, rows, **arguments), labels, rows)


def test_every_hyperparameter_changes_the_value(batch):
    values = [oracle(*batch, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_the_hinge_of_the_spread_has_both_sides(batch):
    rows = batch.embeddings * [1.0, 4.0, 0.5]
    deviations = np.std(np.delete(rows, 4, axis=0), axis=0, ddof=1)
    assert deviations.min() < 1.0 < deviations.max()
    np.testing.assert_allclose(VICReg().call(batch.labels, rows), oracle(batch.labels, rows), rtol=1e-5)


def test_two_views_of_each_item_cost_what_the_paper_says_of_both_orders():
    # Views (1, 0) and (3, 0) of one item, (-1, 2) and (-3, 2) of another; D = 2, n = 4 rows.
    rows = [[1.0, 0.0], [-1.0, 2.0], [3.0, 0.0], [-3.0, 2.0]]
    # Invariance: 4 / 2. Variances: 20 / 3 and 4 / 3, both above 1. Covariance: -8 / 3, twice, over D = 2.
    np.testing.assert_allclose(VICReg()([7, 8, 7, 8], rows), 25 * 2.0 + 2 * (8 / 3) ** 2, rtol=1e-5)


def test_no_spread_costs_most_and_the_lone_row_counts_for_nothing():
    value = VICReg(epsilon=1e-8)([0, 0, 1, 1], np.ones((4, 3)))
    np.testing.assert_allclose(value, 2 * 25 * (1 - 1e-4), rtol=1e-6)
    values = VICReg().call([0, 5, 0, 1, 1], [[0.0], [1e4], [0.1], [0.2], [0.4]])
    np.testing.assert_allclose(values, oracle([0, 5, 0, 1, 1], [[0.0], [1e4], [0.1], [0.2], [0.4]]), rtol=1e-5)
    assert values[1] == 0.0


def test_the_second_view_is_the_next_row_of_the_label_going_round():
    values = VICReg(variance=0.0, covariance=0.0, invariance=1.0).call([3, 3, 3], [[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(values, [1.0, 4.0, 9.0], rtol=1e-6)


def test_unit_length_forgets_lengths_and_unit_vectors_alone_never_have_the_spread(batch):
    loss = VICReg(unit_length=True)
    np.testing.assert_allclose(loss.call(batch.labels, 3 * batch.embeddings), loss.call(*batch), rtol=1e-5)
    spread = np.concatenate([np.eye(8), -np.eye(8)]).repeat(2, axis=0).astype(np.float32)
    labels = np.arange(16).repeat(2)
    assert loss(labels, spread) < 1e-5 < 10 < VICReg()(labels, spread)


def test_a_keras_model_learns_with_it(batch):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=VICReg(), optimizer=keras.optimizers.SGD(0.01))
    rows = batch.embeddings.astype(np.float32)
    history = model.fit(rows, batch.labels, batch_size=10, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize("rows", [np.zeros((4, 3)), 1e4 * np.eye(4, 3), np.ones((4, 3))], ids=["zero", "long", "equal"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, 0]], ids=["pairs", "alone", "one label"])
@pytest.mark.parametrize("unit_length", [True, False])
def test_value_and_gradient_stay_finite(rows, labels, unit_length):
    variable = tf.Variable(rows, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = VICReg(unit_length=unit_length)(labels, variable)
    gradient = tf.convert_to_tensor(tape.gradient(value, variable))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if labels == [0, 1, 2, 3]:
        assert value == 0.0 and not np.any(gradient)
    assert np.isnan(VICReg(unit_length=unit_length)([0, 0, 1, 1], rows * np.nan))


@pytest.mark.parametrize("name", ["invariance", "variance", "covariance"])
def test_weights_below_0_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0; got -1"):
        VICReg(**{name: -1})


def test_epsilon_must_be_above_0():
    with pytest.raises(ValueError, match="epsilon must be above 0; got 0"):
        VICReg(epsilon=0)

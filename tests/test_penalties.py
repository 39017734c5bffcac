"""Each penalty against its formula in float64 loops, with its gradient; and as a part of Keras models."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Margin, NormalizedSoftmax, Triplet
from metric_learning.losses.class_loss import ClassVectors
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.penalties import (
    CenterInvariant,
    L1Penalty,
    Lp,
    Penalty,
    RegularFace,
    RowPenalty,
    SparseCenters,
    ZeroMean,
    penalize_weights,
    penalized,
)
from metric_learning.training import Learner


def lp(rows, p, power):
    return sum(sum(abs(x) ** p for x in row) ** (power / p) for row in rows) / len(rows)


def zero_mean(rows):
    return sum(abs(sum(row)) for row in rows) / len(rows)


def center_invariant(rows):
    squares = [sum(x * x for x in row) for row in rows]
    return sum((square - sum(squares) / len(squares)) ** 2 / 4 for square in squares) / len(squares)


def cos(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def regular_face(rows):
    return sum(max(cos(x, y) for j, y in enumerate(rows) if j != i) for i, x in enumerate(rows)) / len(rows)


def sparse_centers(rows, k):
    total = 0.0
    for first in range(0, len(rows), k):
        for s in range(first, first + k):
            for t in range(s + 1, first + k):
                total += math.sqrt(2 - 2 * cos(rows[s], rows[t]))
    return total / (len(rows) * (k - 1))


CASES = {
    "l1": (Lp(0.3, p=1), lambda rows: 0.3 * lp(rows, 1, 1)),
    "l2": (Lp(), lambda rows: lp(rows, 2, 1)),
    "squared": (Lp(0.5, p=2, power=2), lambda rows: 0.5 * lp(rows, 2, 2)),
    "l3, power 1.5": (Lp(2.0, p=3, power=1.5), lambda rows: 2.0 * lp(rows, 3, 1.5)),
    "zero mean": (ZeroMean(0.7), lambda rows: 0.7 * zero_mean(rows)),
    "center invariant": (CenterInvariant(0.7), lambda rows: 0.7 * center_invariant(rows)),
    "regular face": (RegularFace(0.7), lambda rows: 0.7 * regular_face(rows)),
    "sparse centers": (SparseCenters(0.7, vectors_per_class=3), lambda rows: 0.7 * sparse_centers(rows, 3)),
    "six centers": (SparseCenters(0.7, vectors_per_class=6), lambda rows: 0.7 * sparse_centers(rows, 6)),
    "pairs of centers": (SparseCenters(), lambda rows: 0.2 * sparse_centers(rows, 2)),
}
every_penalty = pytest.mark.parametrize(("penalty", "expected"), CASES.values(), ids=CASES)


@pytest.fixture
def rows():
    return np.random.default_rng(2).normal(size=(6, 4)) * np.linspace(0.3, 2.0, 6)[:, None]


def value_and_gradient(penalty, rows):
    variable = tf.Variable(rows)
    with tf.GradientTape() as tape:
        value = penalty(variable)
    return value, tf.convert_to_tensor(tape.gradient(value, variable))


@every_penalty
def test_equals_its_formula_with_its_gradient(rows, penalty, expected, central_differences):
    value, gradient = value_and_gradient(penalty, rows.astype(np.float32))
    assert value.shape == [] and value.dtype == tf.float32
    np.testing.assert_allclose(value, expected(rows), rtol=1e-5)
    np.testing.assert_allclose(gradient, central_differences(expected, rows), rtol=1e-3, atol=1e-4)


def test_every_penalty_has_an_oracle():
    kinds = {kind for kind in RowPenalty.__subclasses__() if kind.__module__ == "metric_learning.penalties"}
    assert {type(penalty) for penalty, _ in CASES.values()} == kinds


def test_numbers_by_hand():
    assert Lp(p=2)([[3.0, 4.0], [0.0, 0.0]]) == 2.5
    assert ZeroMean()([[3.0, -4.0]]) == 1.0
    assert CenterInvariant()([[1.0, 0.0], [0.0, 3.0]]) == 4.0  # squares 1 and 9 around 5: 16 / 4
    np.testing.assert_allclose(RegularFace()([[2.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), (0.6 + 0.8 + 0.8) / 3, rtol=1e-6)
    # Two classes of two: 60 degrees apart, and equal; the mean over both pairs, halved.
    vectors = [[1.0, 0.0], [0.5, math.sqrt(0.75)], [0.0, 2.0], [0.0, 5.0]]
    np.testing.assert_allclose(SparseCenters(1.0)(vectors), (1.0 + 0.0) / 2 / 2, rtol=1e-6)


HARD_ROWS = {
    "zero": np.zeros((6, 4)),
    "equal": np.ones((6, 4)),
    "some zero": np.ones((6, 4)) * (np.arange(6) % 2)[:, None],
    "long": 1e4 * np.eye(6, 4),
    "short": 1e-12 * np.eye(6, 4),
    "no rows": np.zeros((0, 4)),
}


@pytest.mark.parametrize("rows", HARD_ROWS.values(), ids=HARD_ROWS)
@every_penalty
def test_value_and_gradient_stay_finite(penalty, expected, rows):
    value, gradient = value_and_gradient(penalty, rows.astype(np.float32))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_one_class_has_no_neighbor_to_be_pushed_from():
    value, gradient = value_and_gradient(RegularFace(), np.ones((1, 3), np.float32))
    assert value == 0.0 and not np.any(gradient)


@every_penalty
def test_a_broken_encoder_is_not_hidden(rows, penalty, expected):
    assert np.isnan(penalty(rows * np.nan))


@every_penalty
def test_half_precision_and_xla_cost_the_same(rows, penalty, expected):
    half = tf.cast(rows, tf.float16)
    np.testing.assert_allclose(penalty(half), expected(half.numpy().astype(np.float64)), rtol=1e-4)
    compiled = tf.function(penalty, jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(rows, tf.float32)), expected(rows), rtol=1e-4)


@every_penalty
def test_a_saved_penalty_is_rebuilt_with_its_values(rows, penalty, expected):
    layer = Penalty(penalty, name="mine")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert rebuilt.name == "mine" and rebuilt.regularizer.get_config() == penalty.get_config()
    assert rebuilt.regularizer(rows) == penalty(rows)


def test_the_layer_passes_on_what_it_gets_and_adds_the_mean_over_the_batch(rows):
    layer = L1Penalty(0.5)
    for part in (rows.astype(np.float32), rows[:2].astype(np.float32), rows.astype(np.float16)):
        passed = layer(part)
        assert passed.dtype == part.dtype
        np.testing.assert_array_equal(passed, part)
        np.testing.assert_allclose(layer.losses, [0.5 * lp(part.astype(np.float64), 1, 1)], rtol=1e-5)


def test_any_keras_model_trains_with_the_penalty_and_is_saved_with_it(tmp_path, rows):
    keras.utils.set_random_seed(0)
    inputs = rows.astype(np.float32)

    def sizes(weight):
        model = keras.Sequential([keras.layers.Dense(3), L1Penalty(weight), keras.layers.Dense(1)])
        model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.05))
        outputs = model(inputs)
        plain = np.mean((outputs - 1.0) ** 2)
        first = model.evaluate(inputs, np.ones(6), verbose=0)
        codes = model.layers[0](inputs).numpy()
        np.testing.assert_allclose(first, plain + weight * np.abs(codes).sum(1).mean(), rtol=1e-5)
        model.fit(inputs, np.ones(6), epochs=30, verbose=0)
        return model, np.abs(model.layers[0](inputs)).mean()

    model, small = sizes(1.0)
    assert small < 0.3 * sizes(0.0)[1]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].regularizer.get_config() == {"weight": 1.0, "p": 1, "power": 1}
    values = [each.evaluate(inputs, np.ones(6), verbose=0) for each in (loaded, model)]
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_an_encoder_learns_with_the_penalty_through_the_learner(batch):
    inputs = keras.Input([3])
    encoder = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="ones")(inputs))
    assert penalized(encoder, None) is encoder
    learner = Learner(penalized(encoder, Lp(0.5)), Triplet(margin=0.2))
    learner.compile("sgd")
    images = tf.constant(batch.embeddings, tf.float32)
    loss, _ = learner.losses_of(learner(images), batch.labels)
    plain = Triplet(margin=0.2)(batch.labels, encoder(images))
    np.testing.assert_allclose(loss, plain + Lp(0.5)(encoder(images)), rtol=1e-5)
    before = [weight.numpy() for weight in encoder.weights]
    learner.fit(batch.embeddings, batch.labels, verbose=0)
    assert not np.array_equal(before[0], encoder.weights[0])


def test_class_vectors_learn_with_the_penalty_through_the_learner(batch):
    def directions(penalty):
        keras.utils.set_random_seed(0)
        inputs = keras.Input([3])
        loss = NormalizedSoftmax(num_classes=4, embedding_dim=3)
        penalize_weights(loss.layers, penalty)
        learner = Learner(keras.Model(inputs, keras.layers.Dense(3)(inputs)), loss)
        learner.compile(keras.optimizers.SGD(1.0))
        history = learner.fit(batch.embeddings, np.arange(10) % 4, epochs=20, verbose=0).history["loss"]
        return regular_face(loss.class_vectors.numpy()), history

    apart, _ = directions(RegularFace(50.0))
    plain, history = directions(None)
    assert apart < plain - 0.05
    assert history[0] == pytest.approx(directions(RegularFace(0.0))[1][0])


def test_a_loss_without_class_vectors_has_nothing_to_penalize():
    penalize_weights([], None)
    with pytest.raises(ValueError, match="needs a loss that learns some"):
        penalize_weights([], RegularFace())
    with pytest.raises(ValueError, match="needs a loss that learns some"):
        penalize_weights([LearnedNumber(1.0)], RegularFace())
    with pytest.raises(ValueError, match="needs a loss that learns some"):  # but a boundary of each class
        penalize_weights(Margin(learned="per_class", num_classes=3).layers, RegularFace())


def test_class_vectors_add_the_penalty_to_the_losses_of_their_model():
    table = ClassVectors(6, 4, regularizer=SparseCenters(0.7, vectors_per_class=3))
    np.testing.assert_allclose(table.losses, [0.7 * sparse_centers(table.vectors.numpy(), 3)], rtol=1e-5)


REFUSED = {
    "weight": (lambda: ZeroMean(-1.0), "weight must be at least 0; got -1.0"),
    "p": (lambda: Lp(p=0.5), "p must be at least 1; got 0.5"),
    "power": (lambda: Lp(power=0), "power must be at least 1; got 0"),
    "vectors": (lambda: SparseCenters(vectors_per_class=1), "vectors_per_class must be at least 2; got 1"),
    "rows": (lambda: SparseCenters()(np.ones((5, 2))), "rows must be a multiple of vectors_per_class=2; got 5"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

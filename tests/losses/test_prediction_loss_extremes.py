"""The losses of Keras as losses on embeddings: numbers by hand, extreme rows, settings that are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.losses.prediction_loss import PredictionLoss

CLASSES, DIM = 6, 3
LABELS = np.array([0, 3, 0, 1, 4, 3, 0, 1, 3, 0])
NAMES = [name for name in losses.__all__ if issubclass(getattr(losses, name), PredictionLoss)]
ONLY_CLASSES = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
]
OVER_PAIRS = [name for name in NAMES if name not in ONLY_CLASSES]
# Flat by their own formulas where predictions saturate.
FLAT = ["MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "FBeta", "CosineSimilarity"]
# A row without a target costs nothing.
FREE_WITHOUT_TARGET = [
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
    "FBeta",
    "CosineSimilarity",
]


def built(name, **settings):
    keras.utils.set_random_seed(4)
    return getattr(losses, name)(num_classes=CLASSES, embedding_dim=DIM, **settings)


def test_golden_values_by_hand():
    rows = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    for name, first, second in (
        ("MeanSquaredError", (0.4**2 + 0.8**2) / 2, 0.0),  # cosines .6, .8 of targets 1, 0; and 0, 1 of 0, 1
        ("MeanAbsoluteError", (0.4 + 0.8) / 2, 0.0),
        ("Hinge", (1.4 + 0.8) / 2, 0.5),  # and 1 less, of signs 1, -1; and -1, 1
        ("SquaredHinge", (1.96 + 0.64) / 2, 0.5),
        ("CategoricalHinge", 0.8 - 0.6 + 1, 0.0),
        ("CosineSimilarity", 0.4, 0.0),
    ):
        activation = {} if "Hinge" in name else {"activation": "none"}
        loss = getattr(losses, name)(num_classes=2, embedding_dim=2, scale=1.0, **activation)
        loss.layers[0].vectors.assign(5.0 * np.eye(2))
        np.testing.assert_allclose(loss.call([0, 1], rows), [first, second], atol=1e-6)


def test_the_bias_starts_where_predictions_are_right_on_average():
    by_class = built("BinaryCrossentropy")
    np.testing.assert_allclose(tf.sigmoid(by_class.bias_now()), 1.0 / CLASSES, rtol=1e-6)
    assert built("MeanSquaredError", activation="none").bias_now() == 0.0
    assert built("Hinge").bias_now() == -1.0
    assert losses.SquaredHinge(over="pairs", scale=6.0).bias_now() == -3.0
    assert built("BinaryCrossentropy", bias=-3.0).bias_now() == -3.0
    assert losses.BinaryCrossentropy(over="pairs", scale=8.0).bias_now() == -4.0
    assert losses.BinaryCrossentropy(over="pairs", bias=-1.0).bias_now() == -1.0


@pytest.mark.parametrize("name", NAMES)
def test_large_logits_still_pull(batch, name):
    """The wrong class is sure by 150, where float32 rounds a sigmoid to 1 and a softmax to 0."""
    if name in FLAT:
        pytest.skip("flat by their own formula where predictions saturate")
    loss = built(name, scale=150.0)
    loss.layers[0].vectors.assign(np.eye(CLASSES, DIM) - np.eye(CLASSES, DIM, 2))
    rows = tf.constant([[-1.0, 0.1, 0.0], [0.2, 1.0, 0.3]])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss([0, 0], rows)
    gradient = tape.gradient(value, rows)
    assert value > 10.0 and np.isfinite(gradient).all() and np.abs(gradient).max() > 5.0


@pytest.mark.parametrize("name", OVER_PAIRS)
def test_an_anchor_alone_costs_nothing(name):
    loss = getattr(losses, name)(over="pairs")
    rows = tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss([3], rows)
    assert value == 0.0 and not np.any(tf.convert_to_tensor(tape.gradient(value, rows)))


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_class_are_finite(name):
    loss = built(name)
    if name.startswith("Sparse"):
        with pytest.raises(ValueError, match=r"labels must be \[batch\] integers for a sparse loss"):
            loss(np.ones((10, CLASSES), np.float32), np.ones((10, DIM)))
        return
    rows = tf.constant(np.random.default_rng(0).normal(size=(4, DIM)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        values = loss.call(np.zeros((4, CLASSES), np.float32), rows)
    assert np.isfinite(values).all() and np.isfinite(tf.convert_to_tensor(tape.gradient(values, rows))).all()
    if name in FREE_WITHOUT_TARGET:
        assert not np.any(values)


@pytest.mark.parametrize("over", ["classes", "pairs"])
@pytest.mark.parametrize("rows", ["zero", "equal", "long", "opposite"])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_stay_finite(batch, name, over, rows):
    if over == "pairs" and name in ONLY_CLASSES:
        pytest.skip("over classes only")
    rows = {
        "zero": np.zeros_like,
        "equal": lambda rows: np.tile(rows[:1], (10, 1)),
        "long": lambda rows: 1e4 * rows,
        "opposite": lambda rows: rows[[0] * 10] * np.array([1, -1] * 5)[:, None],
    }[rows](batch.embeddings)
    for similarity in ("cosine", "dot"):
        rows = tf.constant(rows, tf.float32)
        loss = built(name, over=over, similarity=similarity)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            value = loss(LABELS, rows)
        gradient = tf.convert_to_tensor(tape.gradient(value, rows))
        assert np.isfinite(value) and value >= 0.0 and np.isfinite(gradient).all()
        nan = loss(LABELS, tf.fill([10, DIM], float("nan")))
        assert np.isnan(nan) or name in ("Hinge", "SquaredHinge", "CategoricalHinge")  # relu of NaN may be 0


BAD = {
    "over": ({"over": "triplets"}, "over must be one of classes, pairs; got 'triplets'"),
    "similarity": ({"similarity": "snr"}, "similarity must be one of cosine, dot; got 'snr'"),
    "scale": ({"scale": 0.0}, "scale must be above 0; got 0.0"),
    "delta": ({"delta": 0.0}, "delta must be above 0; got 0.0"),
    "activation": ({"activation": "relu"}, "activation must be one of none, sigmoid, tanh, softmax; got 'relu'"),
    "positive_share": ({"positive_share": 1.0}, "positive_share must be between 0 and 1, or None; got 1.0"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_settings_out_of_range_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        losses.Huber(**change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("BinaryCrossentropy", {"label_smoothing": 1.5}),
        ("CategoricalCrossentropy", {"label_smoothing": -0.1}),
        ("BinaryFocalCrossentropy", {"gamma": -1.0}),
        ("BinaryFocalCrossentropy", {"alpha": 1.1}),
        ("CategoricalFocalCrossentropy", {"alpha": 0.0}),
        ("CategoricalFocalCrossentropy", {"gamma": -1.0}),
        ("FBeta", {"beta": 0.0}),
    ],
)
def test_other_settings_out_of_range_are_refused_by_name(name, change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be .*; got {next(iter(change.values()))}"):
        getattr(losses, name)(**change)


@pytest.mark.parametrize("name", ONLY_CLASSES)
def test_losses_of_one_right_class_refuse_pairs(name):
    with pytest.raises(ValueError, match=f"over must be classes for {name}"):
        getattr(losses, name)(over="pairs")

"""The losses on targets and predictions against numbers known beforehand, where Keras itself is often wrong."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CosineSimilarity,
    FBeta,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SparseCategoricalCrossentropy,
)

# name: loss, targets, predictions, value; the values that tutorials print.
TUTORIALS = {
    "binary_crossentropy": (
        BinaryCrossentropy.on_predictions(from_logits=True),
        [1, 0, 1, 1],
        [-5.4, 8.7, -1.2, -4.6],
        5.04449,
    ),
    "categorical_crossentropy": (
        CategoricalCrossentropy.on_predictions(),
        [[0, 1, 0], [0, 0, 1]],
        [[0.05, 0.95, 0], [0.1, 0.8, 0.1]],
        1.176939,
    ),
    "sparse_categorical_crossentropy": (
        SparseCategoricalCrossentropy.on_predictions(),
        [1, 2],
        [[0.05, 0.95, 0], [0.1, 0.8, 0.1]],
        1.176939,
    ),
    "poisson": (Poisson.on_predictions(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.5),
    "poisson, summed": (Poisson.on_predictions(reduction="sum"), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 1.0),
    "kl_divergence": (KLDivergence.on_predictions(), [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], 0.458143),
    "huber": (Huber.on_predictions(delta=1.0), [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], 0.155),
    "mean_absolute_error": (MeanAbsoluteError.on_predictions(), [[0, 1], [0, 0]], [[1, 1], [1, 0]], 0.5),
    "mean_squared_error": (MeanSquaredError.on_predictions(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.25),
    "log_cosh": (LogCosh.on_predictions(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.108445),
    "cosine_similarity": (CosineSimilarity.on_predictions(axis=1), [[0, 1], [1, 1]], [[1, 0], [1, 1]], -0.5),
}


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "value"), TUTORIALS.values(), ids=TUTORIALS)
def test_the_values_of_tutorials_come_out(loss, y_true, y_pred, value):
    y_true, y_pred = np.array(y_true, np.float32), np.array(y_pred, np.float32)
    np.testing.assert_allclose(loss(y_true, y_pred), value, atol=2e-6, rtol=2e-6)


def test_the_weighted_value_of_tutorials_comes_out():
    poisson = Poisson.on_predictions()
    weighted = poisson([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]], sample_weight=[0.8, 0.2])
    np.testing.assert_allclose(weighted, 0.4, atol=1e-6)


def test_delta_and_axis_outlive_saving():
    """Keras 3.15 forgets them."""

    def again(loss):
        return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))

    huber = again(Huber.on_predictions(delta=0.25))
    np.testing.assert_allclose(huber([[0.0]], [[2.0]]), 0.25 * 2.0 - 0.25**2 / 2, rtol=1e-6)
    cosine = again(CosineSimilarity.on_predictions(axis=0))
    value = cosine([[1.0, 1.0], [1.0, 1.0]], [[3.0, 0.0], [4.0, 1.0]])  # columns of cosines 7 / 5 sqrt(2), 1 / sqrt(2)
    np.testing.assert_allclose(value, -(1.4 + 1.0) / 2 / math.sqrt(2.0), rtol=1e-6)


def test_delta_must_be_above_zero():
    """Keras 3.15 takes any."""
    for delta in (0.0, -1.0):
        with pytest.raises(ValueError, match="delta must be above 0"):
            Huber.on_predictions(delta=delta)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_from_large_logits_neither_saturate_nor_break(gamma):
    """Keras 3.15 takes the sigmoid, or the softmax, first: it stops at 16.1, without a gradient."""
    logits = tf.constant([[-120.0, 120.0], [120.0, -120.0]])
    wrong, right = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]
    for kind, cost, pull in ((BinaryFocalCrossentropy, 120.0, 0.25), (CategoricalFocalCrossentropy, 240.0, 0.5)):
        loss = kind.on_predictions(gamma=gamma, from_logits=True)
        for y_true, value, slope in ((wrong, cost, pull), (right, 0.0, 0.0)):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                got = loss(y_true, logits)
            np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-20)
            np.testing.assert_allclose(np.abs(tape.gradient(got, logits)), slope, rtol=1e-6, atol=1e-10)


def test_beta_weighs_recall_against_precision():
    """Keras 3.15 has it the other way round in Tversky, its nearest loss."""
    cautious, bold = [[1.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]
    y_true = [[1.0, 1.0, 0.0, 0.0]]  # precision and recall are 1 and 1/2; then 1/2 and 1
    for beta, of_cautious, of_bold in ((1.0, 1 / 3, 1 / 3), (2.0, 4 / 9, 1 / 6), (0.5, 1 / 6, 4 / 9)):
        loss = FBeta.on_predictions(beta=beta)
        np.testing.assert_allclose(loss(y_true, cautious), of_cautious, rtol=1e-6)
        np.testing.assert_allclose(loss(y_true, bold), of_bold, rtol=1e-6)
    nothing = FBeta.on_predictions(reduction=None)
    np.testing.assert_allclose(nothing([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]]), [0.0, 1.0])


def test_one_column_may_be_written_without_it():
    loss = BinaryCrossentropy.on_predictions(from_logits=True, reduction=None)
    targets, logits = np.array([1.0, 0.0, 1.0]), np.array([0.3, -2.0, 5.0])
    expected = loss(targets[:, None], logits[:, None])
    assert expected.shape == [3]
    np.testing.assert_array_equal(loss(targets, logits[:, None]), expected)
    np.testing.assert_array_equal(loss(targets[:, None], logits), expected)
    in_time = MeanSquaredError.on_predictions(reduction=None)
    assert in_time(np.ones((2, 3, 1)), np.zeros((2, 3))).shape == [2]
    assert in_time(np.ones((2, 3)), np.zeros((2, 3, 1))).shape == [2]


@pytest.mark.parametrize("option", ["from_logits", "axis"])
def test_options_that_a_loss_has_not_are_refused(option):
    with pytest.raises(ValueError, match=f"Huber has no {option}; got {option}=1"):
        Huber.on_predictions(**{option: 1})

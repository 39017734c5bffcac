"""Regressions on the targets 0 and 1: squared, absolute, Huber, log-cosh, Poisson, and the cosine of a whole row."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import normalize
from metric_learning.losses.prediction_loss import PredictionLoss


@keras.saving.register_keras_serializable(package="metric_learning")
class MeanSquaredError(PredictionLoss):
    """Mean over the columns of (y - p)^2, where p = activation(scale * similarity + bias).

    On predictions: `MeanSquaredError.on_predictions()`. Arguments: see `PredictionLoss`. With activation="softmax" it
    is the Brier score of the classes, over C.

    Example:
        >>> pairs = MeanSquaredError(over="pairs", activation="none", scale=1.0)
        >>> float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]]))  # the cosine is 0 and should be 1
        1.0
    """

    activations = ("none", "sigmoid", "tanh", "softmax")
    columnwise = True

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.mean_squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class MeanAbsoluteError(PredictionLoss):
    """Mean over the columns of |y - p|, where p = activation(scale * similarity + bias).

    On predictions: `MeanAbsoluteError.on_predictions()`. Arguments: see `PredictionLoss`.

    Example:
        >>> pairs = MeanAbsoluteError(over="pairs", activation="none", scale=1.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [3.0, 4.0]])), 4)  # the cosine is .6 and should be 1
        0.4
    """

    activations = ("none", "sigmoid", "tanh", "softmax")
    columnwise = True

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.mean_absolute_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class Huber(PredictionLoss):
    """Squared near the target and linear beyond `delta`: the mean over the columns, with e = y - p, of

        e^2 / 2                      where |e| <= delta
        delta |e| - delta^2 / 2      elsewhere

    On predictions: `Huber.on_predictions(delta=1.0)`. Differs from Keras 3.15, which loses delta when it saves, and
    takes a delta of 0 or below.

    Args:
        delta: above 0, in units of the predictions; with those in (0, 1), 1 or more is half the squared error.
        **shared: see `PredictionLoss`.

    Raises:
        ValueError: delta not above 0.

    Example:
        >>> pairs = Huber(delta=0.5, over="pairs", activation="none", scale=1.0)
        >>> float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]]))  # .5 * 1 - .5 * .25
        0.375

    Reference: Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics, 1964.
    """

    activations = ("none", "sigmoid", "tanh", "softmax")
    columnwise = True

    def __init__(self, *, delta: float = 1.0, **shared: Any) -> None:
        check_positive(delta=delta)
        self.delta = delta
        super().__init__(**shared)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.huber(y_true, y_pred, self.delta)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"delta": self.delta}


@keras.saving.register_keras_serializable(package="metric_learning")
class LogCosh(PredictionLoss):
    """Mean over the columns of ln cosh(p - y), about e^2 / 2 near the target and |e| - ln 2 far from it.

    On predictions: `LogCosh.on_predictions()`. Arguments: see `PredictionLoss`.

    Example:
        >>> pairs = LogCosh(over="pairs", activation="none", scale=1.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]])), 4)  # ln((e + 1 / e) / 2)
        0.4338
    """

    activations = ("none", "sigmoid", "tanh", "softmax")
    columnwise = True

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.log_cosh(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class Poisson(PredictionLoss):
    """Mean over the columns of p - y ln p, the Poisson likelihood of the targets at the rates p in (0, 1).

        p = sigmoid(scale * similarity + bias)

    On predictions, which may be any rates above 0: `Poisson.on_predictions()`. On embeddings ln p comes from the
    logits, so it does not stop at ln 1e-7 as Keras' does. It is least at p = y, where a column costs 0 or 1: a solved
    row costs the share of its positives.

    For its arguments see `PredictionLoss`; it has no activation to choose.

    Example:
        >>> pairs = Poisson(over="pairs", bias=0.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]])), 4)  # p is 1/2, and .5 + ln 2
        1.1931
    """

    activations = ("sigmoid",)
    columnwise = True

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(logits) - targets * tf.math.log_sigmoid(logits)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.poisson(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class CosineSimilarity(PredictionLoss):
    """1 - cos(y, p) of the rows of targets and predictions, where p = activation(scale * similarity + bias).

    So it turns the one row towards the other, whatever their lengths.

    On predictions it is -cos as in Keras: `CosineSimilarity.on_predictions(axis=1)`. Differs from Keras 3.15: there the
    axis is lost on saving. On embeddings 1 is added, so that solved is 0, and a row without positives costs 0.
    It is no loss on the cosine of two embeddings: that is `Cosine`.

    For its arguments see `PredictionLoss`; it has no positive_share.

    Example:
        >>> pairs = CosineSimilarity(over="pairs", activation="none", bias=0.0)
        >>> rows = [[1.0, 0.0], [4.0, 3.0], [3.0, 4.0]]  # of the first row, targets [1, 0] and cosines [.8, .6]
        >>> round(float(pairs.call([0, 0, 1], rows)[0]), 4)
        0.2
    """

    activations = ("none", "sigmoid", "tanh", "softmax")

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        targets, predictions = counts * targets, counts * self.activate(logits)
        # Not Keras' normalization, whose gradient at a row of zeros is 1e6 times too long.
        cosines = tf.reduce_sum(normalize(targets) * normalize(predictions), axis=1)
        return tf.where(tf.reduce_any(targets > 0.0, axis=1), tf.nn.relu(1.0 - cosines), 0.0)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, axis: int = -1) -> tf.Tensor:
        return keras.losses.cosine_similarity(y_true, y_pred, axis=axis)

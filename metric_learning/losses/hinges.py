"""Hinges: columns must be beyond a margin of 1 on their side of 0, or the right one above the others by 1."""

import keras
import tensorflow as tf

from metric_learning.losses.prediction_loss import PredictionLoss
from metric_learning.tuples import masked_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class Hinge(PredictionLoss):
    """Mean over the columns of [1 - y z]+, with y = 1 or -1 and z = scale * similarity + bias.

    A larger scale is a smaller margin of similarity, 1 / scale. The usual bias is -1 over classes, where columns
    without likeness then cost nothing, and -scale / 2 over pairs, a threshold half way between unlike and equal.

    On predictions: `Hinge.on_predictions()`, where Keras makes -1 and 1 of targets 0 and 1, if the whole batch is of
    such. Here targets are always between 0 and 1, graded ones too, and y = 2 target - 1.

    For its arguments see `PredictionLoss`; it has no activation to choose.

    Example:
        >>> pairs = Hinge(over="pairs", scale=1.0, bias=0.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [3.0, 4.0]])), 4)  # 1 - .6
        0.4
    """

    activations = ("none",)
    columnwise = True

    def usual_bias(self) -> float:
        return _usual_bias(self)

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return _hinges(targets, logits)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.hinge(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class SquaredHinge(PredictionLoss):
    """Mean over the columns of [1 - y z]+^2, with y = 1 or -1 and z = scale * similarity + bias; see `Hinge`.

    On predictions: `SquaredHinge.on_predictions()`.

    Example:
        >>> pairs = SquaredHinge(over="pairs", scale=1.0, bias=0.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [3.0, 4.0]])), 4)  # (1 - .6)^2
        0.16
    """

    activations = ("none",)
    columnwise = True

    def usual_bias(self) -> float:
        return _usual_bias(self)

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.square(_hinges(targets, logits))

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.squared_hinge(y_true, y_pred)


@keras.saving.register_keras_serializable(package="metric_learning")
class CategoricalHinge(PredictionLoss):
    """The right class must beat the best wrong one by 1: [max_c (1 - y_c) z_c - z_right + 1]+, z = scale * similarity.

    As in Keras the maximum is at least 0, as it goes over the right column too, with 0 in its place; so the right class
    must also be above 1. Of several right classes, z_right is the mean. A larger scale is a smaller margin, 1 / scale.
    On predictions: `CategoricalHinge.on_predictions()`.

    For its arguments see `PredictionLoss`; over="classes" only.

    Raises:
        ValueError: over="pairs".

    Example:
        >>> three = CategoricalHinge(num_classes=3, embedding_dim=2)
        >>> float(three([0, 2], [[0.0, 0.0], [0.0, 0.0]]))  # a zero row likes all the same
        1.0
    """

    only_classes = True

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        right = masked_mean(logits, targets, axis=1)
        wrong = tf.reduce_max((1.0 - targets) * logits, axis=1)
        return tf.nn.relu(wrong - right + 1.0)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.categorical_hinge(y_true, y_pred)


def _usual_bias(loss):
    return -1.0 if loss.over == "classes" else -loss.scale / 2.0


def _hinges(targets, logits):
    # Not Keras' function, which looks at the whole batch and would take the grades 1/2 and 1 for 0 and 1.
    return tf.nn.relu(1.0 - (2.0 * targets - 1.0) * logits)

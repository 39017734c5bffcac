"""F-beta loss: precision against recall, on soft counts."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from metric_learning.checks import check_positive
from metric_learning.losses.prediction_loss import PredictionLoss


@keras.saving.register_keras_serializable(package="metric_learning")
class FBeta(PredictionLoss):
    """1 - F-beta of each row, with predictions p = sigmoid(scale * similarity + bias) as soft counts:

        TP = sum y p,   FP = sum (1 - y) p,   FN = sum y (1 - p)
        F = (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP)

    On predictions: `FBeta.on_predictions(beta=2.0, axis=-1)`. beta=1 is the Dice loss. Keras 3.15 has no such loss: its
    FBetaScore has no gradient, and its Tversky swaps the weights of FP and FN.

    Args:
        beta: above 0; recall counts beta times as much as precision.
        **shared: see `PredictionLoss`; it has neither activation to choose nor positive_share.

    Returns:
        [B] from `call`, 0 for a row without positives. On predictions such a row costs 0 if nothing is predicted,
        else 1, and teaches nothing.

    Raises:
        ValueError: beta not above 0.

    Example:
        >>> plain = FBeta(beta=2.0)
        >>> round(float(plain.elementwise([[1.0, 0.0]], [[0.5, 0.5]])[0]), 4)  # 1 - 5 * .5 / (2.5 + 4 * .5 + .5)
        0.5
    """

    activations = ("sigmoid",)

    def __init__(self, *, beta: float = 1.0, **shared: Any) -> None:
        check_positive(beta=beta)
        self.beta = beta
        super().__init__(**shared)

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        targets = counts * targets
        found = tf.reduce_any(targets > 0.0, axis=1)
        return tf.where(found, self.elementwise(targets, counts * self.activate(logits)), 0.0)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, axis: int = -1) -> tf.Tensor:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        square = self.beta**2
        true_positives = ops.sum(y_true * y_pred, axis=axis)
        wrong = square * ops.sum(y_true * (1.0 - y_pred), axis=axis) + ops.sum((1.0 - y_true) * y_pred, axis=axis)
        # As wrong over all, which is exactly 0 for perfect predictions and for nothing where nothing is to be found.
        total = (1.0 + square) * true_positives + wrong
        return wrong / ops.where(total > 0.0, total, 1.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"beta": self.beta}

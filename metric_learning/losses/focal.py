"""Focal losses: cross entropies that care less about columns that are nearly right."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from metric_learning.checks import check_not_negative, check_within
from metric_learning.losses.cross_entropies import smoothed
from metric_learning.losses.prediction_loss import PredictionLoss, shares

# Below it a miss counts as this one, so that its power has a finite gradient for a gamma below 1 too.
SMALLEST_MISS = 1e-30


@keras.saving.register_keras_serializable(package="metric_learning")
class BinaryFocalCrossentropy(PredictionLoss):
    """Each column asks yes or no by itself, and counts by how wrong it is: the mean over the columns of

        -alpha_t (1 - p_t)^gamma ln p_t,   p = sigmoid(scale * similarity + bias),
        p_t = p, alpha_t = alpha where y = 1;   p_t = 1 - p, alpha_t = 1 - alpha where y = 0

    On predictions: `BinaryFocalCrossentropy.on_predictions(from_logits=True, axis=-1)`. Differs from Keras 3.15: from
    logits it is computed from logits, so that it still grows and pulls where a sigmoid has become 0 or 1; and a given
    alpha is applied, where Keras ignores it without apply_class_balancing.

    Args:
        gamma: at least 0; 2 in the paper, 0 is the binary cross entropy.
        alpha: in [0, 1], the weight of positives, 0.25 in the paper; None weighs both sides 1.
        label_smoothing: in [0, 1]; targets move so far towards 1/2.
        **shared: see `PredictionLoss`; it has no activation to choose.

    Raises:
        ValueError: a number out of its range.

    Example:
        >>> pairs = BinaryFocalCrossentropy(gamma=2.0, over="pairs", bias=0.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]])), 4)  # p is 1/2, and ln(2) / 4
        0.1733

    Reference: Lin, Goyal, Girshick, He, Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5,
    https://arxiv.org/abs/1708.02002.
    """

    activations = ("sigmoid",)
    columnwise = True

    def __init__(
        self, *, gamma: float = 2.0, alpha: float | None = None, label_smoothing: float = 0.0, **shared: Any
    ) -> None:
        _check_focal(gamma, label_smoothing)
        if alpha is not None:
            check_within(0.0, 1.0, alpha=alpha)
        self.gamma, self.alpha, self.label_smoothing = gamma, alpha, label_smoothing
        super().__init__(**shared)

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return self.elementwise(targets[..., None], logits[..., None], from_logits=True)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, from_logits: bool = False, axis: int = -1) -> tf.Tensor:
        if not from_logits:
            return keras.losses.binary_focal_crossentropy(
                y_true,
                y_pred,
                apply_class_balancing=self.alpha is not None,
                alpha=0.25 if self.alpha is None else self.alpha,
                gamma=self.gamma,
                label_smoothing=self.label_smoothing,
                axis=axis,
            )
        y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        entropies = ops.binary_crossentropy(y_true, y_pred, from_logits=True)
        # Not 1 - p_t, which rounds to 0 long before the sigmoid of the other sign does.
        misses = y_true * ops.sigmoid(-y_pred) + (1.0 - y_true) * ops.sigmoid(y_pred)
        costs = _powers(misses, self.gamma) * entropies
        if self.alpha is not None:
            costs *= y_true * self.alpha + (1.0 - y_true) * (1.0 - self.alpha)
        return ops.mean(costs, axis=axis)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="metric_learning")
class CategoricalFocalCrossentropy(PredictionLoss):
    """One of the classes, counted by how wrong it is:

        -alpha sum_c y_c (1 - p_c)^gamma ln p_c,   p = softmax(scale * similarity)

    On predictions: `CategoricalFocalCrossentropy.on_predictions(from_logits=True, axis=-1)`. Differs from Keras 3.15:
    from logits it is computed from logits, where Keras clips the softmax at 1e-7 and so loses the gradient; and
    smoothing goes by the length of `axis`.

    Args:
        gamma: at least 0; 2 in the paper, 0 is the categorical cross entropy.
        alpha: above 0, a factor of the whole loss; 0.25 in Keras, where it stands for weights per class. 1 by default,
            as a factor does nothing that the learning rate does not.
        label_smoothing: in [0, 1]; so much of the target is spread over all classes.
        **shared: see `PredictionLoss`; over="classes" only.

    Raises:
        ValueError: a number out of its range, over="pairs".

    Example:
        >>> two = CategoricalFocalCrossentropy(gamma=2.0, num_classes=2, embedding_dim=2)
        >>> round(float(two([0, 1], [[0.0, 0.0], [0.0, 0.0]])), 4)  # p is 1/2, and ln(2) / 4
        0.1733

    Reference: Lin, Goyal, Girshick, He, Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5,
    https://arxiv.org/abs/1708.02002.
    """

    only_classes = True

    def __init__(self, *, gamma: float = 2.0, alpha: float = 1.0, label_smoothing: float = 0.0, **shared: Any) -> None:
        _check_focal(gamma, label_smoothing)
        if not alpha > 0:
            raise ValueError(f"alpha must be above 0; got {alpha}")
        self.gamma, self.alpha, self.label_smoothing = gamma, alpha, label_smoothing
        super().__init__(**shared)

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        has_class = tf.reduce_any(targets > 0.0, axis=1)
        return tf.where(has_class, self.elementwise(shares(targets), logits, from_logits=True), 0.0)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, from_logits: bool = False, axis: int = -1) -> tf.Tensor:
        y_true = smoothed(y_true, self.label_smoothing, axis)
        if not from_logits:
            return keras.losses.categorical_focal_crossentropy(
                y_true, y_pred, alpha=self.alpha, gamma=self.gamma, axis=axis
            )
        logs = ops.log_softmax(y_pred, axis=axis)
        costs = -y_true * _powers(-ops.expm1(logs), self.gamma) * logs
        return self.alpha * ops.sum(costs, axis=axis)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
        return super().get_config() | own


def _powers(misses, gamma):
    return ops.power(ops.maximum(misses, SMALLEST_MISS), gamma)


def _check_focal(gamma, label_smoothing):
    check_not_negative(gamma=gamma)
    check_within(0.0, 1.0, label_smoothing=label_smoothing)

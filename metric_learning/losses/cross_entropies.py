"""Cross entropies, from logits and so without saturation: binary, categorical, sparse, and the divergence."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from metric_learning.checks import check_within
from metric_learning.labels import as_labels
from metric_learning.losses.prediction_loss import PredictionLoss, shares
from metric_learning.tuples import log_sum_exp
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class BinaryCrossentropy(PredictionLoss):
    """Each column asks yes or no by itself: the mean over the columns of

        -y ln p - (1 - y) ln(1 - p),   p = sigmoid(scale * similarity + bias)

    Over pairs it is the pairwise sigmoid loss of SigLIP (Zhai et al. 2023), whose bias is learned.
    On predictions: `BinaryCrossentropy.on_predictions(from_logits=True, axis=-1)`.

    Args:
        label_smoothing: in [0, 1]; targets move so far towards 1/2.
        **shared: see `PredictionLoss`; it has no activation to choose.

    Raises:
        ValueError: label_smoothing outside [0, 1].

    Example:
        >>> pairs = BinaryCrossentropy(over="pairs", bias=0.0)
        >>> round(float(pairs([0, 0], [[1.0, 0.0], [0.0, 1.0]])), 4)  # p is 1/2, and ln 2
        0.6931
    """

    activations = ("sigmoid",)
    columnwise = True

    def __init__(self, *, label_smoothing: float = 0.0, **shared: Any) -> None:
        check_within(0.0, 1.0, label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        super().__init__(**shared)

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return self.elementwise(targets[..., None], logits[..., None], from_logits=True)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, from_logits: bool = False, axis: int = -1) -> tf.Tensor:
        return keras.losses.binary_crossentropy(
            y_true, y_pred, from_logits=from_logits, label_smoothing=self.label_smoothing, axis=axis
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="metric_learning")
class CategoricalCrossentropy(PredictionLoss):
    """One of the classes: -sum_c y_c ln softmax(scale * similarity)_c; with cosines, the normalized softmax loss.

    On predictions: `CategoricalCrossentropy.on_predictions(from_logits=True, axis=-1)`. Differs from Keras 3.15, which
    smooths by the length of the last axis whatever `axis` says. Multi-hot labels share their row's weight of 1.

    Args:
        label_smoothing: in [0, 1]; so much of the target is spread over all classes.
        **shared: see `PredictionLoss`; over="classes" only.

    Raises:
        ValueError: label_smoothing outside [0, 1], over="pairs".

    Example:
        >>> three = CategoricalCrossentropy(num_classes=3, embedding_dim=2)
        >>> round(float(three([0, 2], [[0.0, 0.0], [0.0, 0.0]])), 4)  # a zero row likes all the same: ln 3
        1.0986
    """

    only_classes = True

    def __init__(self, *, label_smoothing: float = 0.0, **shared: Any) -> None:
        check_within(0.0, 1.0, label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        super().__init__(**shared)

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        has_class = tf.reduce_any(targets > 0.0, axis=1)
        return tf.where(has_class, self.elementwise(shares(targets), logits, from_logits=True), 0.0)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, from_logits: bool = False, axis: int = -1) -> tf.Tensor:
        y_true = smoothed(y_true, self.label_smoothing, axis)
        return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="metric_learning")
class SparseCategoricalCrossentropy(PredictionLoss):
    """The categorical cross entropy of integer labels: -ln softmax(scale * similarity)_label.

    On embeddings it equals `CategoricalCrossentropy` without smoothing. On predictions, with labels [B]:
    `SparseCategoricalCrossentropy.on_predictions(from_logits=True)`. Keras 3.15 cannot do another axis than the last.

    For its arguments see `PredictionLoss`; over="classes" only.

    Raises:
        ValueError: over="pairs"; labels [B, C] in `call`.

    Example:
        >>> three = SparseCategoricalCrossentropy(num_classes=3, embedding_dim=2)
        >>> round(float(three([0, 2], [[0.0, 0.0], [0.0, 0.0]])), 4)  # a zero row likes all the same: ln 3
        1.0986
    """

    only_classes = True

    def targets(self, labels: TensorLike) -> tf.Tensor:
        shape = as_labels(labels).shape
        if shape.rank == 2:
            raise ValueError(
                f"labels must be [batch] integers for a sparse loss; got shape {shape}: take CategoricalCrossentropy"
            )
        return super().targets(labels)

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        return self.elementwise(tf.argmax(targets, axis=1), logits, from_logits=True)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor, from_logits: bool = False) -> tf.Tensor:
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)


@keras.saving.register_keras_serializable(package="metric_learning")
class KLDivergence(PredictionLoss):
    """How far the softmax of a row is from the shares of its targets:

        sum_j q_j ln(q_j / p_j),   q = y / sum(y),   p = softmax(scale * similarity)

    Over classes, with one class a row, it is the categorical cross entropy; graded or multi-hot rows can reach 0, where
    that cannot. Over pairs, p is a distribution over the other rows: the loss of neighborhoods, as in t-SNE.
    On predictions, which are clipped to [1e-7, 1] as in Keras: `KLDivergence.on_predictions()`.

    For its arguments see `PredictionLoss`.

    Returns:
        [B] from `call`, 0 for a row without positives.

    Example:
        >>> pairs = KLDivergence(over="pairs")
        >>> rows = [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]  # the first row is as far from its positive as from the other
        >>> round(float(pairs.call([0, 0, 1], rows)[0]), 4)  # ln 2
        0.6931
    """

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        wanted = shares(counts * targets)
        surprises = log_sum_exp(logits, counts)[:, None] - logits
        return tf.nn.relu(tf.reduce_sum(wanted * surprises + tf.math.xlogy(wanted, wanted), axis=1))

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return keras.losses.kl_divergence(y_true, y_pred)


def smoothed(y_true: tf.Tensor, label_smoothing: float, axis: int) -> tf.Tensor:
    """Targets of which a part is spread evenly along the axis."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / ops.cast(ops.shape(y_true)[axis], y_true.dtype)

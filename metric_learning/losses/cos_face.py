"""CosFace: classification by cosines, the own class beating the others by a margin of cosine."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy


@keras.saving.register_keras_serializable(package="metric_learning")
class CosFace(ClassLoss):
    """Makes the cosine with the own class vector larger than with all others, by a margin.

    With cos_c the cosine of the embedding and the vector of class c, and y the class of the embedding,

        -log( exp(scale (cos_y - margin)) / (exp(scale (cos_y - margin)) + sum_{c != y} exp(scale cos_c)) )

    For a row of several classes, each of them has the margin, and the cross-entropy is the mean over them; a row
    without class costs nothing.

    Args:
        margin: at least 0, m; the paper's is 0.35.
        scale: above 0, s; the paper's is 64. It must be large enough for the softmax to come near 1: with C classes a
            probability P asks for about log(P (C - 1) / (1 - P)).
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin below 0, scale not above 0.

    Example:
        >>> loss = CosFace(margin=0.5, scale=2.0, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[3.0, 0.0]])), 4)  # -log(e^1 / (e^1 + 1))
        0.3133

    Reference: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, eq. 4,
    https://arxiv.org/abs/1801.09414.
    """

    def __init__(
        self,
        *,
        margin: float = 0.35,
        scale: float = 64.0,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin)
        check_positive(scale=scale)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        cosines = class_cosines(embeddings, class_vectors)
        return cross_entropy(targets, self.scale * tf.where(targets > 0.0, cosines - self.margin, cosines))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}

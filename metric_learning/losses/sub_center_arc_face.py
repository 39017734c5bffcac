"""Sub-center ArcFace: a class has several vectors, and the nearest one counts."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive, check_within
from metric_learning.losses.arc_face import widen
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy


@keras.saving.register_keras_serializable(package="metric_learning")
class SubCenterArcFace(ClassLoss):
    """ArcFace with several vectors per class, of which an embedding is compared with the nearest one.

    The loss of `ArcFace`, with t_c = min_k t_ck over the vectors k of class c. One of them gathers the clean majority
    of a class and the others its mislabeled or unusual items, which then do not spoil the class.

    Args:
        margin: in [0, pi / 2], m, in radians; the paper's is 0.5.
        scale: above 0, s; the paper's is 64. See `CosFace`.
        vectors_per_class: at least 1, K; the paper's is 3.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin outside [0, pi / 2], scale not above 0, vectors_per_class below 1.

    Example:
        >>> loss = SubCenterArcFace(margin=0.5, scale=2.0, vectors_per_class=2, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[-1.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, -5.0]])
        >>> round(float(loss([0], [[4.0, 3.0]])), 4)  # as with the vectors [1, 0] and [0, 5]
        0.8959

    Reference: Deng, Guo, Liu, Gong, Zafeiriou, "Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy Web
    Faces", ECCV 2020, https://doi.org/10.1007/978-3-030-58621-8_43.
    """

    def __init__(
        self,
        *,
        margin: float = 0.5,
        scale: float = 64.0,
        vectors_per_class: int = 3,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_within(0.0, math.pi / 2, margin=margin)
        check_positive(scale=scale)
        super().__init__(
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            vectors_per_class=vectors_per_class,
            reduction=reduction,
            name=name,
        )
        self.margin = margin
        self.scale = scale

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        cosines = class_cosines(embeddings, class_vectors)
        nearest = tf.reduce_max(tf.reshape(cosines, [-1, self.num_classes, self.vectors_per_class]), axis=2)
        return cross_entropy(targets, self.scale * tf.where(targets > 0.0, widen(nearest, self.margin), nearest))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "scale": self.scale,
            "vectors_per_class": self.vectors_per_class,
        }

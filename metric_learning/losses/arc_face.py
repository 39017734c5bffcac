"""ArcFace: classification by cosines, the own class beating the others by a margin of angle."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive, check_within
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy


@keras.saving.register_keras_serializable(package="metric_learning")
class ArcFace(ClassLoss):
    """Makes the angle to the own class vector smaller than to all others, by a margin.

    With t_c the angle between the embedding and the vector of class c, and y the class of the embedding,

        -log( exp(scale f(t_y)) / (exp(scale f(t_y)) + sum_{c != y} exp(scale cos t_c)) )

        f(t) = cos(t + margin)               t <= pi - margin
               cos t - margin sin margin     beyond, where cos(t + margin) would rise again

    Differs from the paper: nothing; the second line of f is not in the text but in the authors' code. For a row of
    several classes, each of them has the margin, and the cross-entropy is the mean over them; a row without class costs
    nothing.

    Args:
        margin: in [0, pi / 2], m, in radians; the paper's is 0.5.
        scale: above 0, s; the paper's is 64. See `CosFace`.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin outside [0, pi / 2], scale not above 0.

    Example:
        >>> loss = ArcFace(margin=0.5, scale=2.0, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[4.0, 3.0]])), 4)  # of angles acos .8 + .5 and acos .6
        0.8959

    Reference: Deng, Guo, Xue, Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
    eq. 3, https://arxiv.org/abs/1801.07698.
    """

    def __init__(
        self,
        *,
        margin: float = 0.5,
        scale: float = 64.0,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_within(0.0, math.pi / 2, margin=margin)
        check_positive(scale=scale)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        cosines = class_cosines(embeddings, class_vectors)
        return cross_entropy(targets, self.scale * tf.where(targets > 0.0, widen(cosines, self.margin), cosines))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}


def widen(cosines: tf.Tensor, margin: float) -> tf.Tensor:
    """The cosines of angles wider by a margin, made to fall all the way to the angle pi; see `ArcFace`."""
    squares = 1.0 - tf.square(cosines)
    # No arccos: its slope is infinite at cos = 1 and -1. There the sine counts as constant.
    inside = squares > 0.0
    sines = tf.where(inside, tf.sqrt(tf.where(inside, squares, 1.0)), 0.0)
    widened = cosines * math.cos(margin) - sines * math.sin(margin)
    return tf.where(cosines >= -math.cos(margin), widened, cosines - margin * math.sin(margin))

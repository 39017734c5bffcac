"""Large-margin softmax: classification in which the angle to the own class counts several times."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.distances import normalize
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy
from metric_learning.steps import current_step


@keras.saving.register_keras_serializable(package="metric_learning")
class LargeMarginSoftmax(ClassLoss):
    """Softmax classification in which the own class must win although its angle is multiplied.

    With t_c the angle between the embedding x and the vector w_c of class c, and y the class of x, the cross-entropy of
    the logits

        scale |x| |w_y| f(t_y)   of the own class, and   scale |x| |w_c| cos t_c   of the others

        f(t) = (softening cos t + psi(t)) / (softening + 1)
        psi(t) = (-1)^k cos(margin t) - 2k   for t in [k pi / margin, (k + 1) pi / margin]

    Differs from the paper: `scale`, which is 1 there, because embeddings of unit length give logits that are too small
    for more than a few classes. For a row of several classes, each of them has the margin, and the cross-entropy is the
    mean over them; a row without class costs nothing.

    Args:
        margin: a whole number from 1, m, how many times the angle counts; the paper tries 2, 3 and 4. 1 is the plain
            softmax without bias.
        scale: above 0; 1 in the paper.
        softening: at least 0, lambda, the weight of the plain cosine; 0 is the margin in full. Margins of 3 and more
            hardly learn from scratch without it.
        softening_start: lambda at step 0, from where it falls as softening_start / (1 + softening_decay step) down to
            `softening`; None for no schedule. The paper falls "gradually"; 1000, 0.12 and at last 5 are in the code of
            SphereFace.
        softening_decay: at least 0.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin no whole number from 1, scale not above 0, another number below 0.
        RuntimeError: a schedule outside of training; see `metric_learning.steps`.

    Example:
        >>> loss = LargeMarginSoftmax(margin=2, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 1.0], [0.0, 2.0]])
        >>> round(float(loss([0], [[2.0, 0.0]])), 4)  # t = 45 degrees, psi = cos 90 = 0: -log(e^0 / (e^0 + e^0))
        0.6931

    Reference: Liu, Wen, Yu, Yang, "Large-Margin Softmax Loss for Convolutional Neural Networks", ICML 2016,
    https://arxiv.org/abs/1612.02295.
    """

    def __init__(
        self,
        *,
        margin: int = 4,
        scale: float = 1.0,
        softening: float = 0.0,
        softening_start: float | None = None,
        softening_decay: float = 0.12,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if not (isinstance(margin, int) and margin >= 1):
            raise ValueError(f"margin must be a whole number from 1; got {margin!r}")
        check_positive(scale=scale)
        check_not_negative(softening=softening, softening_decay=softening_decay)
        if softening_start is not None:
            check_not_negative(softening_start=softening_start)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale
        self.softening = softening
        self.softening_start = softening_start
        self.softening_decay = softening_decay

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        cosines = class_cosines(embeddings, class_vectors)
        softening = self.current_softening()
        softened = (softening * cosines + multiply_angle(cosines, self.margin)) / (softening + 1.0)
        logits = self.lengths(embeddings, class_vectors) * tf.where(targets > 0.0, softened, cosines)
        return cross_entropy(targets, self.scale * logits)

    def lengths(self, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        """What the cosines are multiplied by, something that broadcasts to [B, C]."""
        return lengths_of(embeddings)[:, None] * lengths_of(class_vectors)[None, :]

    def current_softening(self) -> float | tf.Tensor:
        """Lambda at this step."""
        if self.softening_start is None:
            return self.softening
        step = tf.cast(current_step(), tf.float32)
        return tf.maximum(self.softening_start / (1.0 + self.softening_decay * step), self.softening)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "scale": self.scale,
            "softening": self.softening,
            "softening_start": self.softening_start,
            "softening_decay": self.softening_decay,
        }


def lengths_of(rows: tf.Tensor) -> tf.Tensor:
    """|x| of each row, with gradient x / |x|, and 0 where x is 0."""
    return tf.reduce_sum(rows * tf.stop_gradient(normalize(rows)), axis=1)


def multiply_angle(cosines: tf.Tensor, times: int) -> tf.Tensor:
    """psi(t) of `LargeMarginSoftmax` from cos t: it starts as cos(times t) and goes on falling until t is pi."""
    # cos(n t) is a polynomial of cos t (Chebyshev's), so no arccos is needed, whose slope is infinite at 1 and -1.
    before, multiplied = tf.ones_like(cosines), cosines
    for _ in range(times - 1):
        before, multiplied = multiplied, 2.0 * cosines * multiplied - before
    piece = tf.add_n([tf.zeros_like(cosines)] + [tf.cast(cosines < end, tf.float32) for end in _ends(times)])
    return (1.0 - 2.0 * tf.math.floormod(piece, 2.0)) * multiplied - 2.0 * piece


def _ends(times):
    """The cosines at which a piece of psi ends and the next begins."""
    return [math.cos(math.pi * piece / times) for piece in range(1, times)]

"""Proxy-anchor: proxies as anchors, which look at all embeddings of the batch."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines
from metric_learning.tuples import log_sum_exp


@keras.saving.register_keras_serializable(package="metric_learning")
class ProxyAnchor(ClassLoss):
    """Each class' proxy pulls its embeddings and pushes the others, the hardest ones most.

    With s the cosine of embedding and proxy, P the proxies of all classes and P+ those of the classes in the batch,

        1/|P+| sum_{p in P+} log(1 + sum_{x of p}     exp(-scale (s(x, p) - margin)))
      + 1/|P|  sum_{p in P}  log(1 + sum_{x not of p} exp( scale (s(x, p) + margin)))

    A row of several classes is a positive of each of their proxies, and a row without class a negative of all.

    Args:
        margin: at least 0, delta; the paper's is 0.1.
        scale: above 0, alpha; the paper's is 32.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`: what a proxy costs is shared equally by the rows that it looked at.

    Raises:
        ValueError: margin below 0, scale not above 0.

    Example:
        >>> loss = ProxyAnchor(margin=0.5, scale=2.0, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[3.0, 0.0]])), 4)  # log(1 + e^-1) + (0 + log(1 + e^1)) / 2
        0.9699

    Reference: Kim, Kim, Cho, Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, eq. 4,
    https://arxiv.org/abs/2003.13911.
    """

    def __init__(
        self,
        *,
        margin: float = 0.1,
        scale: float = 32.0,
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
        cosines = class_cosines(class_vectors, embeddings)  # [C, B]: the proxies are the anchors
        positives = tf.cast(tf.transpose(targets) > 0.0, tf.float32)
        negatives = 1.0 - positives
        pull = log_sum_exp(self.scale * (self.margin - cosines), positives, plus_one=True)
        push = log_sum_exp(self.scale * (self.margin + cosines), negatives, plus_one=True)

        present = tf.reduce_sum(tf.cast(tf.reduce_any(positives > 0.0, axis=1), tf.float32))
        shares = _shared(pull / tf.maximum(present, 1.0), positives) + _shared(push / self.num_classes, negatives)
        return shares * tf.cast(tf.shape(shares)[0], tf.float32)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}


def _shared(costs, members):
    """Costs of the proxies [C], shared equally by their members [C, B]: [B]."""
    counts = tf.reduce_sum(members, axis=1)
    return tf.linalg.matvec(members, costs / tf.maximum(counts, 1.0), transpose_a=True)

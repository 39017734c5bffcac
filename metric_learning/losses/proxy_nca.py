"""Proxy-NCA: nearer to the proxy of the own class than to those of the others."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines
from metric_learning.tuples import log_sum_exp, masked_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class ProxyNCA(ClassLoss):
    """Neighborhood component analysis in which a learned proxy stands for each class.

    With d_c the squared distance of the embedding to the proxy of class c, both of unit length, and y its class,

        -log( exp(-scale d_y) / sum_{c != y} exp(-scale d_c) )     include_own=False
        -log( exp(-scale d_y) / sum_c exp(-scale d_c) )            include_own=True

    The first is the paper's. It never stops pulling, and falls below 0. The second is the cross-entropy of ProxyNCA++
    (Teh, DeVries, Taylor, ECCV 2020, with scale 9), and what pytorch-metric-learning computes.

    Differs from the paper: `scale`, which there is hidden in the lengths of embeddings and proxies. A row of several
    classes costs the mean over them, none of which is among the others; a row without class, or without another class,
    costs nothing.

    Args:
        scale: above 0; 1 is plain unit vectors.
        include_own: sum over all proxies, the own one too.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`; below 0 for well separated rows, unless include_own.

    Raises:
        ValueError: scale not above 0.

    Example:
        >>> loss = ProxyNCA(num_classes=3, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0], [0.0, -2.0]])
        >>> round(float(loss([0], [[3.0, 0.0]])), 4)  # d = 0, 2, 2: log(2 e^-2)
        -1.3069

    Reference: Movshovitz-Attias, Toshev, Leung, Ioffe, Singh, "No Fuss Distance Metric Learning using Proxies",
    ICCV 2017, https://arxiv.org/abs/1703.07464; ProxyNCA++: https://arxiv.org/abs/2004.01113.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        include_own: bool = False,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(scale=scale)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.scale = scale
        self.include_own = include_own

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        scaled = self.scale * (2.0 - 2.0 * class_cosines(embeddings, class_vectors))
        own = targets > 0.0
        against = tf.ones_like(targets) if self.include_own else tf.cast(~own, tf.float32)
        values = masked_mean(scaled, own, axis=1) + log_sum_exp(-scaled, against)
        return tf.where(tf.reduce_any(own, axis=1) & tf.reduce_any(against > 0.0, axis=1), values, 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "include_own": self.include_own}

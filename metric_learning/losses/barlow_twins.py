"""Barlow Twins: each dimension says the same of two views of an item, and something else than the others."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.losses.views import centered_on_mean, second_views
from metric_learning.tuples import mean_of_anchors
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class BarlowTwins(EmbeddingLoss):
    """Makes the cross-correlation of two views of the batch the identity matrix.

        sum_d (1 - C_dd)^2 + redundancy * sum_{d != e} C_de^2,   C_de = mean of z_d z'_e

    over the N rows z that have a second view z', every dimension normalized over them to mean 0 and variance 1.

    The views of an item are the rows of its label: give the two augmented copies of a picture one label. With more rows
    of a label, or with classes for labels, the second view of a row is the next row of its label, after the last one
    the first. Rows alone with their label do not count. Lengths and means of the embeddings do not matter.

    Differs from the paper: every row is a first and a second view once, so the statistics are those of all rows and C
    is symmetric for two rows a label. The authors' first program scaled the sum by 1/40 or so, for its optimizer.

    Args:
        redundancy: lambda, at least 0; 0.0051 in the authors' program.
        epsilon: above 0, added to the variances; that of batch norm.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`: the same for all rows with a second view, 0 for others.

    Raises:
        ValueError: redundancy below 0, epsilon not above 0.

    Example:
        >>> barlow_twins = BarlowTwins(redundancy=0.5)
        >>> rows = [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]  # C is [[1, 0], [0, -1]]
        >>> round(float(barlow_twins([0, 0, 1, 1], rows)), 3)
        4.0

    Reference: Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction",
    ICML 2021, eq. 1 and 2, https://arxiv.org/abs/2103.03230
    """

    def __init__(
        self,
        *,
        redundancy: float = 0.005,
        epsilon: float = 1e-5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(redundancy=redundancy)
        check_positive(epsilon=epsilon)
        super().__init__(reduction=reduction, name=name)
        self.redundancy = redundancy
        self.epsilon = epsilon

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: as in `__call__`.
            embeddings: as in `__call__`.
        """
        partners, valid = second_views(labels)
        centered, count = centered_on_mean(as_embeddings(embeddings), valid)
        count = tf.maximum(count, 1.0)
        rows = centered * tf.math.rsqrt(tf.reduce_sum(tf.square(centered), axis=0) / count + self.epsilon)
        partner_rows = tf.where(valid[:, None], tf.gather(rows, partners), 0.0)
        correlations = tf.matmul(rows, partner_rows, transpose_a=True) / count
        own = tf.linalg.diag_part(correlations)
        others = tf.linalg.set_diag(correlations, tf.zeros_like(own))
        loss = tf.reduce_sum(tf.square(1.0 - own)) + self.redundancy * tf.reduce_sum(tf.square(others))
        return mean_of_anchors(tf.fill(tf.shape(valid), loss), valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"redundancy": self.redundancy, "epsilon": self.epsilon}

"""VICReg: two views of an item to one point, and no dimension idle or repeated."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.distances import normalize
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.losses.views import centered_on_mean, second_views
from metric_learning.tuples import mean_of_anchors
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class VICReg(EmbeddingLoss):
    """Pulls two views of an item together, keeps every dimension spread, and dimensions uncorrelated.

    For rows z of the batch, N of which have a second view z', and of D dimensions:

        invariance * 1/(N D) sum |z - z'|^2 + 2 variance * 1/D sum_d [1 - sqrt(var(z_d) + epsilon)]+
            + 2 covariance * 1/D sum_{d != e} cov(z_d, z_e)^2

    The views of an item are the rows of its label: give the two augmented copies of a picture one label. With more rows
    of a label, or with classes for labels, the second view of a row is the next row of its label, after the last one
    the first. Rows alone with their label do not count. Nothing pushes different labels apart but the spread.

    Differs from the paper: variance and covariance are those of all rows, not of first and second views apart, so both
    views count the same (hence the 2). |z - z'|^2 is divided by D as in the paper's algorithm 1, for which its weights
    hold, and not in its equation 5. The authors' program halves the variance term: variance=12.5.

    Args:
        invariance: weight lambda, at least 0.
        variance: weight mu, at least 0.
        covariance: weight nu, at least 0.
        epsilon: above 0, under the square root.
        unit_length: take embeddings to length sqrt(D) first, where a dimension of full spread has variance 1. The paper
            has none of it (False): then the encoder must not normalize, `encoder.normalize=false`, as unit vectors
            of many dimensions can never reach variance 1.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for a row without a second view.

    Raises:
        ValueError: a weight below 0, epsilon not above 0.

    Example:
        >>> vicreg = VICReg(variance=0.0, covariance=0.0)
        >>> float(vicreg([0, 0, 1], [[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]))  # 25 * 4 / 2
        50.0

    Reference: Bardes, Ponce, LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
    Learning", ICLR 2022, https://arxiv.org/abs/2105.04906
    """

    def __init__(
        self,
        *,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        epsilon: float = 1e-4,
        unit_length: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(invariance=invariance, variance=variance, covariance=covariance)
        check_positive(epsilon=epsilon)
        super().__init__(reduction=reduction, name=name)
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.epsilon = epsilon
        self.unit_length = unit_length

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: as in `__call__`.
            embeddings: as in `__call__`.
        """
        rows = as_embeddings(embeddings)
        dims = tf.cast(tf.shape(rows)[1], tf.float32)
        if self.unit_length:
            rows = normalize(rows) * tf.sqrt(dims)
        partners, valid = second_views(labels)
        apart = tf.reduce_mean(tf.math.squared_difference(rows, tf.gather(rows, partners)), axis=1)

        centered, count = centered_on_mean(rows, valid)
        covariances = tf.matmul(centered, centered, transpose_a=True) / tf.maximum(count - 1.0, 1.0)
        deviations = tf.sqrt(tf.linalg.diag_part(covariances) + self.epsilon)
        idle = tf.reduce_mean(tf.nn.relu(1.0 - deviations))
        between = tf.linalg.set_diag(covariances, tf.zeros_like(deviations))
        repeated = tf.reduce_sum(tf.square(between)) / dims
        shared = 2.0 * (self.variance * idle + self.covariance * repeated)
        return mean_of_anchors(self.invariance * apart + shared, valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "invariance": self.invariance,
            "variance": self.variance,
            "covariance": self.covariance,
            "epsilon": self.epsilon,
            "unit_length": self.unit_length,
        }

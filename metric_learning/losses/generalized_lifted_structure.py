"""Generalized lifted structure loss: all positives of an anchor against all its negatives, through soft maxima."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, distinct, log_sum_exp, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class GeneralizedLiftedStructure(TupleLoss):
    """Pulls the farther positives of an anchor nearer than its nearer negatives, by a margin.

    Mean over the anchors, which have a positive and a negative, of

        1/scale [ log sum_p exp(scale d(a, p)) + log sum_n exp(scale (margin - d(a, n))) ]+

    Differs from the paper: only by `scale`, 1 in the paper. On unit vectors distances span at most 2, where the sums of
    the paper are soft and weigh all pairs nearly alike; the larger the scale, the more this is the triplet loss of the
    farthest positive and the nearest negative.

    Args:
        margin: at least 0 (m), in units of the distance.
        scale: above 0, the sharpness of the soft maximum.
        distance: see `metric_learning.distances`; "euclidean" in the paper.
        miner: which pairs; None for all, as in the paper. However many tuples selected a pair, it counts once.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positive or without negative.

    Raises:
        ValueError: margin below 0, scale not above 0, unknown distance.

    Example:
        >>> lifted = GeneralizedLiftedStructure(margin=1.0)
        >>> float(lifted([0, 0, 1], [[0.0], [0.5], [1.25]]))  # (.5 + 1 - 1.25 and .5 + 1 - .75) / 2
        0.5

    Reference: Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, eq. 7,
    https://arxiv.org/abs/1703.07737.
    """

    def __init__(
        self,
        *,
        margin: float = 1.0,
        scale: float = 1.0,
        distance: str = "euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin)
        check_positive(scale=scale)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        positive, negative = distinct(pairs)
        farthest = log_sum_exp(self.scale * distances, positive)
        nearest = log_sum_exp(self.scale * (self.margin - distances), negative)
        valid = tf.reduce_any(positive > 0.0, axis=1) & tf.reduce_any(negative > 0.0, axis=1)
        return mean_of_anchors(tf.nn.relu(farthest + nearest) / self.scale, valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}

"""Intra-pair variance loss: similarities of positives, and those of negatives, that differ little from their mean."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class IntraPairVariance(TupleLoss):
    """Lifts the positives that are less similar than their mean, and lowers the negatives that are more so.

    With the mean similarity m_p of the batch's positive pairs and m_n of its negative pairs, the mean over positive
    pairs plus the mean over negative pairs of

        [(1 - positive_slack) m_p - cos(a, p)]+^2   and   [cos(a, n) - (1 + negative_slack) m_n]+^2

    It tells how pairs spread around their means and hardly moves the means themselves, so it is a companion of another
    loss: the paper adds it to the tuplet margin loss. The gradient goes through the means, as they are computed.

    Args:
        positive_slack: at least 0 (epsilon, 0.01 in the paper), the part of the mean by which positives may fall
            short of it.
        negative_slack: at least 0 (epsilon), the part of the mean by which negatives may exceed it. Where the mean is
            negative, it is the target that lies beyond the mean, as in the paper.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all. A pair in several selected triplets counts several times, in the mean too.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: a negative slack, another distance.

    Example:
        >>> rows = [[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]  # similarities 1, .6, .6, mean 11/15
        >>> round(float(IntraPairVariance(positive_slack=0.0)([0, 0, 0], rows)), 6)  # 4 (2/15)^2 / 6
        0.011852

    Reference: Yu, Tao, "Deep Metric Learning with Tuplet Margin Loss", ICCV 2019,
    https://openaccess.thecvf.com/content_ICCV_2019/html/Yu_Deep_Metric_Learning_With_Tuplet_Margin_Loss_ICCV_2019_paper.html.
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        positive_slack: float = 0.01,
        negative_slack: float = 0.01,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(positive_slack=positive_slack, negative_slack=negative_slack)
        if distance != "cosine":
            raise ValueError(f"distance must be cosine for the intra-pair variance loss; got {distance!r}")
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.positive_slack = positive_slack
        self.negative_slack = negative_slack

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        similarities = 1.0 - distances
        positive_mean, negative_mean = (_mean_of_batch(similarities, weights) for weights in pairs)
        low = tf.nn.relu((1.0 - self.positive_slack) * positive_mean - similarities)
        high = tf.nn.relu(similarities - (1.0 + self.negative_slack) * negative_mean)
        return mean_per_anchor(tf.square(low), pairs.positive_weights) + mean_per_anchor(
            tf.square(high), pairs.negative_weights
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"positive_slack": self.positive_slack, "negative_slack": self.negative_slack}


def _mean_of_batch(similarities, weights):
    """The weighted mean of all pairs, a scalar; 0 when there is none."""
    return tf.reduce_mean(mean_per_anchor(similarities, weights))

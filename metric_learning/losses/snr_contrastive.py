"""SNR contrastive loss: the contrastive loss on the noise that a pair differs by, relative to the anchor's signal."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_not_negative
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class SNRContrastive(TupleLoss):
    """Pulls positives within one margin of the anchor and pushes negatives beyond another, by SNR distance.

    With d(a, x) = var(a - x) / var(a), the mean over positive pairs plus the mean over negative pairs of

        [d - positive_margin]+   and   [negative_margin - d]+

    plus zero_mean_weight times the mean over anchors of |sum_k a_k|.

    Differs from the paper: the two sides are averaged apart, and each by its active pairs, so that the many negatives
    of a batch do not drown the few positives; positives may have a margin too (0 in the paper); the zero-mean term is
    off unless asked for, as the distance takes out the mean of a row by itself.

    Args:
        positive_margin: at least 0; positives nearer than this cost nothing.
        negative_margin: at least 0 (alpha); negatives farther than this cost nothing. Unrelated rows of one length are
            at a distance of about 2.
        zero_mean_weight: at least 0 (lambda), the weight of the term that keeps the entries of each row at mean 0.
        average: "active" divides each side by its pairs of a loss above 0, "selected" by all its pairs.
        distance: "snr", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`; without zero-mean term 0 for an anchor without pairs.

    Raises:
        ValueError: a negative margin or weight, another distance, unknown average.

    Example:
        >>> snr = SNRContrastive(negative_margin=5.0)
        >>> rows = [[1.0, -1.0], [2.0, -2.0], [-1.0, 1.0]]  # positives 1, 1/4; negatives 4, 9/4, 4, 9
        >>> float(snr([0, 0, 1], rows))  # (1 + 1/4) / 2 + (1 + 11/4 + 1) / 3
        2.2083332538604736

    Reference: Yuan, Deng, Tang, Tang, Chen, "Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric
    Learning", CVPR 2019, https://arxiv.org/abs/1904.02616.
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        positive_margin: float = 0.0,
        negative_margin: float = 1.0,
        zero_mean_weight: float = 0.0,
        average: str = "active",
        distance: str = "snr",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(
            positive_margin=positive_margin, negative_margin=negative_margin, zero_mean_weight=zero_mean_weight
        )
        if distance != "snr":
            raise ValueError(f"distance must be snr for the SNR contrastive loss; got {distance!r}")
        check_average(average)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.zero_mean_weight = zero_mean_weight
        self.average = average

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """The sum of each anchor's entries, [B]."""
        return {"entry_sums": tf.reduce_sum(comparison.embeddings, axis=1)}

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs, entry_sums: tf.Tensor) -> tf.Tensor:
        pull = tf.nn.relu(distances - self.positive_margin)
        push = tf.nn.relu(self.negative_margin - distances)
        values = mean_per_anchor(pull, pairs.positive_weights, self.average) + mean_per_anchor(
            push, pairs.negative_weights, self.average
        )
        return values + self.zero_mean_weight * tf.abs(entry_sums) if self.zero_mean_weight else values

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "zero_mean_weight": self.zero_mean_weight,
            "average": self.average,
        }

"""Histogram loss: how likely a negative pair is more alike than a positive pair."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_whole
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.soft_histograms import soft_histograms
from metric_learning.tuples import share_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class Histogram(DistanceLoss):
    """Keeps the similarities of the positive pairs of the batch above those of its negative pairs, as distributions.

    With h+(r) and h-(r) the shares of the positive and of the negative pairs in the bin around node r of the cosines,
    counted by triangular bins:

        sum_r h-(r) sum_{q <= r} h+(q)

    which estimates the probability that a random positive pair is less alike than a random negative pair. There is
    little to tune. All pairs are compared with all, also across anchors.

    Differs from the paper: nothing. The value of an anchor is the part of its own negative pairs.

    Args:
        num_bins: at least 1, the bins from -1 to 1; 100 makes steps of 0.02. Coarser bins pull over larger gaps.
        distance: "cosine", the only one that has an end.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without negatives, and for all when there are no positive pairs.

    Raises:
        ValueError: num_bins no whole number of at least 1, another distance.

    Example:
        >>> histogram = Histogram(num_bins=2)  # nodes at cosines of -1, 0 and 1
        >>> float(histogram([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))  # positives at 0; negatives at 0 and 1
        1.0

    Reference: Ustinova, Lempitsky, "Learning Deep Embeddings with Histogram Loss", NIPS 2016,
    https://arxiv.org/abs/1611.00822
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        num_bins: int = 100,
        distance: str = "cosine",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_whole(1, num_bins=num_bins)
        check_choice(["cosine"], distance=distance)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.num_bins = num_bins

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        positives, negatives = soft_histograms(
            distances, [positive_mask, negative_mask], high=2.0, num_bins=self.num_bins
        )
        num_positives, num_negatives = (
            tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (positive_mask, negative_mask)
        )
        shares = tf.reduce_sum(positives, axis=0) / tf.maximum(num_positives, 1.0)
        # At most as alike is at least as far.
        less_alike = tf.cumsum(shares, reverse=True)
        return share_mean(tf.linalg.matvec(negatives, less_alike), num_negatives)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_bins": self.num_bins}

"""FastAP: average precision from histograms of the distances."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_whole
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.soft_histograms import soft_histograms
from metric_learning.tuples import mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class FastAP(DistanceLoss):
    """Sorts the references of an anchor into bins by distance, and asks for the average precision of this list.

    With h+(z) the positives and h-(z) the negatives in the bin around node z, counted by triangular bins, and H+(z),
    H-(z) their sums up to z:

        1 - 1/|P| sum_z h+(z) H+(z) / (H+(z) + H-(z))

    The loss is the mean over the anchors that have positives.

    Differs from the paper: nothing. It has squared Euclidean distances of unit rows in [0, 4], which are twice the
    cosine distances in [0, 2] and so fall into the same bins.

    Args:
        num_bins: L, at least 1; 10 in the paper. More bins are nearer to the true AP, with a gradient from fewer pairs.
        distance: "cosine", the only one that has an end.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positives.

    Raises:
        ValueError: num_bins no whole number of at least 1, another distance.

    Example:
        >>> fast_ap = FastAP(num_bins=2)  # nodes at 0, 1 and 2
        >>> values = fast_ap.call([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> [float(value) for value in values]  # both positives at 1, negatives at 0 and 1: AP 1/2; times 3/2
        [0.75, 0.75, 0.0]

    Reference: Cakir, He, Xia, Kulis, Sclaroff, "Deep Metric Learning to Rank", CVPR 2019,
    https://openaccess.thecvf.com/content_CVPR_2019/html/Cakir_Deep_Metric_Learning_to_Rank_CVPR_2019_paper.html
    """

    def __init__(
        self,
        *,
        num_bins: int = 10,
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
        nearer_negatives = tf.cumsum(negatives, axis=1)
        nearer = tf.cumsum(positives, axis=1) + nearer_negatives
        # As 1 - precision, which is exactly 0 where there are no negatives.
        missed = tf.reduce_sum(positives * nearer_negatives / tf.where(nearer > 0.0, nearer, 1.0), axis=1)
        num_positives = tf.reduce_sum(tf.cast(positive_mask, tf.float32), axis=1)
        return mean_of_anchors(missed / tf.maximum(num_positives, 1.0), num_positives > 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_bins": self.num_bins}

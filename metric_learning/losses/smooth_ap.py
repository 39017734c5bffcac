"""Smooth-AP: average precision, with sigmoids instead of steps."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.soft_ranks import mean_over_positives, soft_counts


@keras.saving.register_keras_serializable(package="metric_learning")
class SmoothAP(DistanceLoss):
    """Ranks all references by their distance to the anchor, and asks for the average precision of this list.

    For an anchor with the positives P and the negatives N, and sigma(x) = sigmoid(x / temperature):

        1 - 1/|P| sum_p (1 + n_P(p)) / (1 + n_P(p) + n_N(p)),    n_S(p) = sum_{j in S, j != p} sigma(d_ap - d_aj)

    which is 1 - AP where the temperature goes to 0. The loss is the mean over the anchors that have positives.

    Differs from the paper: nothing with distance "cosine". The authors' code counts the anchor as the first positive of
    its own list, which makes the loss smaller; some libraries want rows sorted by class and classes of one size. Here
    positives come from the labels, and the anchor is none.

    Args:
        temperature: above 0, in units of the distance; 0.01 in the paper. The smaller, the nearer to the true AP, and
            the fewer pairs have a gradient.
        distance: see `metric_learning.distances`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positives. Memory is O(B x M) and time O(B x M x largest class).

    Raises:
        ValueError: temperature not above 0, unknown distance.

    Example:
        >>> smooth_ap = SmoothAP(temperature=0.001, distance="euclidean")
        >>> round(float(smooth_ap([0, 0, 1], [[0.0], [2.0], [1.0]])), 4)  # the only positive is second, twice
        0.5

    Reference: Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval",
    ECCV 2020, https://arxiv.org/abs/2007.12163
    """

    def __init__(
        self,
        *,
        temperature: float = 0.01,
        distance: str = "cosine",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.temperature = temperature

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        (positives, negatives), exists = soft_counts(
            distances, positive_mask, [positive_mask, negative_mask], self.temperature
        )
        # As 1 - precision, which does not cancel where it is small.
        return mean_over_positives(negatives / (1.0 + positives + negatives), exists)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature}

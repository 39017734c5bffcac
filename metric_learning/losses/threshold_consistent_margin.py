"""Threshold-consistent margin: pairs on the right side of one threshold, for all classes alike."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_not_negative, check_within
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class ThresholdConsistentMargin(TupleLoss):
    """Pulls every positive above one similarity and pushes every negative below another, whatever the class.

    positive_weight times the mean over hard positive pairs plus negative_weight times the mean over hard negative pairs
    of

        positive_margin - cos(a, p)   and   cos(a, n) - negative_margin

    a pair being hard where this is above 0. In the paper it is a regularizer that is added to another loss, so that one
    threshold of similarity suits all classes; alone it works as a contrastive loss of similarities.

    Args:
        positive_margin: in [-1, 1] (m+), a similarity; positives above it cost nothing.
        negative_margin: in [-1, 1] (m-), a similarity; negatives below it cost nothing.
        positive_weight: at least 0 (lambda+).
        negative_weight: at least 0 (lambda-).
        average: "active" divides each side by its hard pairs, as in the paper, "selected" by all its pairs.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all, as in the paper. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: a margin outside [-1, 1], a negative weight, another distance, unknown average.

    Example:
        >>> loss = ThresholdConsistentMargin(positive_margin=0.9, negative_margin=0.5)
        >>> rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]]  # positives .6; negatives .8 and .96
        >>> round(float(loss([0, 0, 1], rows)), 4)  # .9 - .6 + (.3 + .46) / 2
        0.68

    Reference: Zhang, Xu, Tang, Fang, Wu, Tighe, Xing, "Threshold-Consistent Margin Loss for Open-World Deep Metric
    Learning", ICLR 2024, https://arxiv.org/abs/2307.04047.
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        positive_margin: float = 0.9,
        negative_margin: float = 0.5,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
        average: str = "active",
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_within(-1.0, 1.0, positive_margin=positive_margin, negative_margin=negative_margin)
        check_not_negative(positive_weight=positive_weight, negative_weight=negative_weight)
        if distance != "cosine":
            raise ValueError(f"distance must be cosine for the threshold-consistent margin; got {distance!r}")
        check_average(average)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.positive_weight = positive_weight
        self.negative_weight = negative_weight
        self.average = average

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        similarities = 1.0 - distances
        pull = mean_per_anchor(tf.nn.relu(self.positive_margin - similarities), pairs.positive_weights, self.average)
        push = mean_per_anchor(tf.nn.relu(similarities - self.negative_margin), pairs.negative_weights, self.average)
        return self.positive_weight * pull + self.negative_weight * push

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "positive_weight": self.positive_weight,
            "negative_weight": self.negative_weight,
            "average": self.average,
        }

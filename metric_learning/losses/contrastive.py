"""Contrastive loss: positives to one point, negatives beyond a margin."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_not_negative
from metric_learning.distances import check_from_zero
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class Contrastive(TupleLoss):
    """Pulls positives within one margin of the anchor and pushes negatives beyond another.

    The mean over positive pairs plus the mean over negative pairs of

        1/2 [d - positive_margin]+^2   and   1/2 [negative_margin - d]+^2        squared=True
            [d - positive_margin]+     and       [negative_margin - d]+          squared=False

    Differs from the paper: the two sides are averaged apart, so the many negatives of a batch do not drown the few
    positives, and positives may have a margin too (0 in the paper). The linear form is that of later libraries.

    Args:
        positive_margin: at least 0, in units of the distance; positives nearer than this cost nothing.
        negative_margin: at least 0; negatives farther than this cost nothing.
        squared: the paper's squared form, whose pull grows with the violation, or the linear one.
        average: "selected" divides each side by its pairs, "active" by its pairs of a loss above 0.
        distance: see `metric_learning.distances`, but dot.
        miner: which pairs; None for all. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: a negative margin, unknown average or distance.

    Example:
        >>> contrastive = Contrastive(negative_margin=1.0, squared=False)
        >>> float(contrastive([0, 0, 1], [[0.0], [0.5], [1.25]]))  # positives .5, negatives (0 + .25) / 2
        0.625

    Reference: Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        positive_margin: float = 0.0,
        negative_margin: float = 1.0,
        squared: bool = True,
        average: str = "selected",
        distance: str = "euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(positive_margin=positive_margin, negative_margin=negative_margin)
        check_average(average)
        check_from_zero(distance, "the contrastive loss")
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.squared = squared
        self.average = average

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        pull = self._cost(distances - self.positive_margin)
        push = self._cost(self.negative_margin - distances)
        return mean_per_anchor(pull, pairs.positive_weights, self.average) + mean_per_anchor(
            push, pairs.negative_weights, self.average
        )

    def _cost(self, violations):
        violations = tf.nn.relu(violations)
        return 0.5 * tf.square(violations) if self.squared else violations

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "squared": self.squared,
            "average": self.average,
        }

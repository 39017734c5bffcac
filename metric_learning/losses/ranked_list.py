"""Ranked list loss: positives inside one ball around the anchor, negatives outside a larger one."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_within
from metric_learning.distances import check_from_zero
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.tuples import masked_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class RankedList(DistanceLoss):
    """Pulls an anchor's positives within alpha - margin, pushes its negatives beyond alpha, the nearest ones hardest.

    With the violations v_p = d_ap - (alpha - margin) of the positives and v_n = alpha - d_an of the negatives, of which
    only those above 0 count, and weights w = exp(temperature v) taken as constants:

        (1 - balance) sum_p w_p v_p / sum_p w_p  +  balance sum_n w_n v_n / sum_n w_n

    The loss is the mean over all anchors. Positives need not fall to a point, so a class keeps its structure.

    Differs from the paper: nothing with distance "euclidean" and unit rows. Some libraries take gradients through the
    weights, and add 1e-5 to each. The authors' code also weighs an anchor by the sum of its weights.

    Args:
        margin: at least 0, between the two balls; 0.4 in the authors' code (0.2 for birds).
        alpha: at least 0, the radius of the larger ball, in units of the distance; 1.2 in the authors' code (1.4 for
            birds).
        positive_temperature: at least 0; 0 weighs all violating positives alike, as in the authors' code.
        negative_temperature: at least 0; 10 in the authors' code.
        balance: in [0, 1], lambda, the weight of the negatives; 0.5 is usual.
        distance: see `metric_learning.distances`, but dot.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without violations. One class has positives that cost, as pair losses do.

    Raises:
        ValueError: a number out of its range, unknown distance.

    Example:
        >>> ranked_list = RankedList(margin=0.5, alpha=1.5, negative_temperature=0.0)
        >>> round(float(ranked_list([0, 0, 1], [[0.0], [2.0], [1.0]])), 4)  # (1 + .5)/2, (1 + .5)/2, (0 + .5)/2; mean
        0.5833

    Reference: Wang, Hua, Kodirov, Hu, Garnier, Robertson, "Ranked List Loss for Deep Metric Learning", CVPR 2019,
    https://arxiv.org/abs/1903.03238
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        margin: float = 0.4,
        alpha: float = 1.2,
        positive_temperature: float = 0.0,
        negative_temperature: float = 10.0,
        balance: float = 0.5,
        distance: str = "euclidean",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(
            margin=margin,
            alpha=alpha,
            positive_temperature=positive_temperature,
            negative_temperature=negative_temperature,
        )
        check_within(0.0, 1.0, balance=balance)
        check_from_zero(distance, "the ranked list loss")
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.margin = margin
        self.alpha = alpha
        self.positive_temperature = positive_temperature
        self.negative_temperature = negative_temperature
        self.balance = balance

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        pull = _weighted(distances - (self.alpha - self.margin), positive_mask, self.positive_temperature)
        push = _weighted(self.alpha - distances, negative_mask, self.negative_temperature)
        return (1.0 - self.balance) * pull + self.balance * push

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "alpha": self.alpha,
            "positive_temperature": self.positive_temperature,
            "negative_temperature": self.negative_temperature,
            "balance": self.balance,
        }


def _weighted(violations, mask, temperature):
    """The mean of each row's violations above 0, [B], weighted by exp(temperature * violation)."""
    violations = tf.where(mask, tf.nn.relu(violations), 0.0)
    # The largest is taken out before exp, as the weights are divided by their sum anyway.
    largest = tf.reduce_max(violations, axis=1, keepdims=True)
    weights = tf.where(violations > 0.0, tf.exp(temperature * (violations - largest)), 0.0)
    return masked_mean(violations, tf.stop_gradient(weights), axis=1)

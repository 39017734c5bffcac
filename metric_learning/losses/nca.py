"""Neighborhood components analysis: a random neighbor should be of the same class."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, distinct, log_sum_exp, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class NCA(TupleLoss):
    """Makes it likely that a neighbor, drawn with odds e^{-scale * d}, is of the anchor's class.

    With p_a = sum_p e^{-scale * d_ap} / (sum_p e^{-scale * d_ap} + sum_n e^{-scale * d_an}), the mean over the anchors
    that have a positive and a negative, of

        1 - p_a        the expected error of the drawn neighbor
        -log p_a       logarithm=True

    Differs from the paper: it maximizes the sums of p_a, or of log p_a, and learns the scale as part of a linear map.
    On unit vectors distances span at most 4, where scale 1 hardly tells rows apart: give 5 to 20.

    Args:
        scale: above 0, the factor of the distance; the larger, the more only the nearest rows count.
        logarithm: the paper's second objective, whose pull does not fade for anchors that are far off.
        distance: see `metric_learning.distances`; "squared_euclidean" in the paper.
        miner: which pairs, each once; None for all, as in the paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: scale not above 0, unknown distance.

    Example:
        >>> # rows 0 and 1 have positives at 0 and negatives at log 3: each 1 - 1 / (1 + 1/3)
        >>> round(float(NCA(distance="euclidean")([0, 0, 1], [[0.0], [0.0], [1.098612]])), 4)
        0.25

    Reference: Goldberger, Roweis, Hinton, Salakhutdinov, "Neighbourhood Components Analysis", NIPS 2004,
    https://www.cs.toronto.edu/~hinton/absps/nca.pdf.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        logarithm: bool = False,
        distance: str = "squared_euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(scale=scale)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.scale = scale
        self.logarithm = logarithm

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        odds, valid = log_odds_of_error(-self.scale * distances, pairs)
        costs = tf.nn.softplus(odds) if self.logarithm else tf.sigmoid(odds)
        return mean_of_anchors(costs, valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale, "logarithm": self.logarithm}


def log_odds_of_error(logits: tf.Tensor, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
    """log(sum_n e^{x_n} / sum_p e^{x_p}) of each anchor, over distinct pairs.

    Args:
        logits: [B, M] float32.
        pairs: Pairs.

    Returns:
        [B] float32, and [B] boolean, whether the anchor has a positive and a negative.
    """
    pairs = distinct(pairs)
    has_positive, has_negative = (tf.reduce_any(weights > 0.0, axis=1) for weights in pairs)
    odds = log_sum_exp(logits, pairs.negative_weights) - log_sum_exp(logits, pairs.positive_weights)
    return odds, has_positive & has_negative

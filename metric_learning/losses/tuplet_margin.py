"""Tuplet margin loss: a positive against all negatives, with a slack in the angle."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_positive, check_within
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.nt_xent import against_negatives
from metric_learning.tuples import AnyMiner, Pairs


@keras.saving.register_keras_serializable(package="metric_learning")
class TupletMargin(TupleLoss):
    """Keeps each positive nearer than all negatives of the anchor, with a slack for the angle of the positive.

    Mean over the positive pairs (a, p) of anchors that have a negative, of

        log(1 + sum_n e^{scale * (cos t_an - cos(t_ap - slack))})

    t being angles. The slack keeps the loss from working on positives that are near enough already.

    Differs from the paper: every row is an anchor with each of its positives and all its negatives, instead of tuplets
    of one row per class. The paper adds an intra-pair variance term; see the loss of that name.

    Args:
        slack: beta, in [0, pi/2], in radians; 0.1 (5.7 degrees) in the paper.
        scale: s, above 0; 64 is usual.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: slack outside [0, pi/2], scale not above 0, another distance.

    Example:
        >>> # rows 0 and 1: angle 0 to the positive, cos(0 - pi/3) = 1/2, and 90 degrees to the negative
        >>> loss = TupletMargin(slack=math.pi / 3, scale=2.0)
        >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)  # log(1 + e^-1)
        0.3133

    Reference: Yu, Tao, "Deep Metric Learning with Tuplet Margin Loss", ICCV 2019,
    https://openaccess.thecvf.com/content_ICCV_2019/html/Yu_Deep_Metric_Learning_With_Tuplet_Margin_Loss_ICCV_2019_paper.html.
    """

    def __init__(
        self,
        *,
        slack: float = 0.1,
        scale: float = 64.0,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_within(0.0, math.pi / 2, slack=slack)
        check_positive(scale=scale)
        check_choice(("cosine",), distance=distance)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.slack = slack
        self.scale = scale

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        cosines = 1.0 - distances
        # cos(t - b) = cos t cos b + sin t sin b, as arccos has no gradient at 0 and pi; there sin has none either.
        squared_sines = distances * (2.0 - distances)
        between = squared_sines > 0.0
        sines = tf.where(between, tf.sqrt(tf.where(between, squared_sines, 1.0)), 0.0)
        slackened = math.cos(self.slack) * cosines + math.sin(self.slack) * sines
        return against_negatives(self.scale * slackened, self.scale * cosines, pairs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"slack": self.slack, "scale": self.scale}

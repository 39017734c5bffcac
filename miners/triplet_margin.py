"""For each positive pair, a negative that is too near by a margin, or on the wrong side, or far enough."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_not_negative
from metric_learning.tuples import Triplets
from miners.candidates import PICKS, pick_negatives
from miners.miner import Miner

KINDS = ("all", "hard", "semi_hard", "easy")


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class TripletMargin(Miner):
    """One triplet a positive pair, of those whose gap d_an - d_ap is of a kind.

        all          gap <= margin         what a hinge loss of that margin still works on
        hard         gap <= 0              the negative is as near as the positive, or nearer
        semi_hard    0 < gap <= margin     on the right side, but not by the margin
        easy         gap > margin          solved

    A batch has O(B^3) triplets, too many to list. One of each positive pair is taken instead, and a random one stands
    for all of its pair: its weight is the number of triplets of the kind that the pair has. Means over the triplets
    are then right on average, and the positive pairs count exactly as often as in the full list.
    To have every one of the active triplets, exactly, take `miner=none` and the loss's `average=active`: a hinge loss
    of the same margin is 0 on the others.

    Args:
        kind: one of the above.
        margin: at least 0, in units of the run's distance.
        per_pair: "random", each of the kind as likely, weighted as told; "hardest", the nearest negative of the kind,
            or "easiest", the farthest, both of weight 1. The hardest of kind semi_hard is SemiHard with an upper bound.

    Returns:
        Triplets of M slots; slot j is the pair of the anchor with column j. A draw is a function of the distances
        alone: the same batch and encoder draw the same.

    Differs from pytorch-metric-learning's TripletMarginMiner: that lists all triplets, in O(B^3) memory.

    Reference: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, section 3.2, https://arxiv.org/abs/1503.03832
    """

    kind: str = "all"
    margin: float = 0.2
    per_pair: str = "random"

    def __post_init__(self):
        check_choice(KINDS, kind=self.kind)
        check_not_negative(margin=self.margin)
        check_choice(PICKS, per_pair=self.per_pair)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Triplets:
        distances = tf.stop_gradient(distances)
        infinity = float("inf")
        low, high = {
            "all": (-infinity, self.margin),
            "hard": (-infinity, 0.0),
            "semi_hard": (0.0, self.margin),
            "easy": (self.margin, infinity),
        }[self.kind]
        negative, count = pick_negatives(distances, positive_mask, negative_mask, low, high, self.per_pair)
        weights = count if self.per_pair == "random" else tf.cast(count > 0.0, tf.float32)
        columns = tf.broadcast_to(tf.range(tf.shape(distances)[1])[None, :], tf.shape(distances))
        return Triplets(columns, negative, weights)

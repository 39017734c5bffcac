"""The pairs of an anchor that are harder than its hardest pair of the other kind, give or take epsilon."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative
from metric_learning.tuples import Pairs
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class MultiSimilarity(Miner):
    """Positives farther than the nearest negative minus epsilon, negatives nearer than the farthest positive plus it.

    Of anchor a, a positive p counts if d_ap > min_n d_an - epsilon, a negative n if d_an < max_p d_ap + epsilon. The
    paper writes the same with similarities s: s_ap < max_n s_an + epsilon, s_an > min_p s_ap - epsilon.

    Args:
        epsilon: at least 0, in units of the run's distance. The paper's 0.1 is one of cosines, and so of the distance
            "cosine".

    Returns:
        Pairs of weight 0 or 1; an anchor with positives or negatives only selects nothing.

    Reference: Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning", CVPR 2019,
    https://arxiv.org/abs/1904.06627
    """

    epsilon: float = 0.1

    def __post_init__(self):
        check_not_negative(epsilon=self.epsilon)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        distances = tf.stop_gradient(distances)
        nearest = tf.reduce_min(tf.where(negative_mask, distances, float("inf")), axis=1, keepdims=True)
        farthest = tf.reduce_max(tf.where(positive_mask, distances, float("-inf")), axis=1, keepdims=True)
        return Pairs(
            tf.cast(positive_mask & (distances > nearest - self.epsilon), tf.float32),
            tf.cast(negative_mask & (distances < farthest + self.epsilon), tf.float32),
        )

"""The hardest share of all positive pairs and of all negative pairs of the batch."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.selections import Pairs
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="metric_learning")
@dataclasses.dataclass(frozen=True)
class HardPairs(Miner):
    """The farthest ceil(fraction x P) positive pairs and the nearest ceil(fraction x N) negative pairs of the batch.

    Args:
        fraction: in (0, 1], the share of the P positive and of the N negative pairs to keep.

    Returns:
        Pairs of weight 0 or 1. Pairs tied with the last one kept are kept too.

    Differs from the paper: one encoder instead of a cascade, each level of which sees the hard pairs of the one before.

    Reference: Yuan, Yang, Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017, https://arxiv.org/abs/1611.05720
    """

    fraction: float = 0.5

    def __post_init__(self):
        if not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction must be in (0, 1]; got {self.fraction}")

    def __call__(self, distances, positive_mask, negative_mask):
        distances = tf.stop_gradient(distances)
        return Pairs(
            self._hardest(distances, positive_mask),
            self._hardest(-distances, negative_mask),
        )

    def _hardest(self, hardness, mask):
        ranked = tf.sort(tf.reshape(tf.where(mask, hardness, float("-inf")), [-1]), direction="DESCENDING")
        count = tf.reduce_sum(tf.cast(mask, tf.float32))
        # ceil of 0.3 * 50 must be 15 although the float32 product is 15.000001.
        kept = tf.cast(tf.math.ceil(self.fraction * count - 1e-3), tf.int32)
        threshold = tf.gather(ranked, tf.maximum(kept - 1, 0))
        return tf.cast(mask & (hardness >= threshold), tf.float32)

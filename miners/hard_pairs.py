"""The hardest share of all positive pairs and of all negative pairs of the batch."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.tuples import Pairs
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
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

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        distances = tf.stop_gradient(distances)
        return Pairs(
            self._hardest(distances, positive_mask),
            self._hardest(-distances, negative_mask),
        )

    def _hardest(self, hardness, mask):
        count = tf.reduce_sum(tf.cast(mask, tf.float32))
        # ceil of 0.3 * 50 must be 15 although the float32 product is 15.000001.
        kept = tf.cast(tf.math.ceil(self.fraction * count - 1e-3), tf.int32)
        return tf.cast(_are_largest(hardness, mask, tf.maximum(kept, 1)), tf.float32)


def _are_largest(values, mask, count):
    """Whether each value [B, M] is one of the `count` largest of the mask, or ties with the last of them.

    Halves the range that the last of them lies in, until the count is right: about 20 times and at most 32, each a
    cheap pass, where sorting B x M values takes several times as long.
    """
    # The bits of a float, as an integer in the order of the floats; -0.0 is made 0.0, with which it ties.
    bits = tf.bitcast(tf.where(tf.equal(values, 0.0), 0.0, values), tf.int32)
    ranks = tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, 0x7FFFFFFF), bits)
    inside = tf.where(mask, ranks, tf.int32.min)

    def halve(low, high):
        half = tf.bitwise.right_shift
        # (low + high) / 2, rounded up, which does not overflow.
        middle = half(low, 1) + half(high, 1) + tf.bitwise.bitwise_and(tf.bitwise.bitwise_or(low, high), 1)
        above = tf.reduce_sum(tf.cast(inside >= middle, tf.int32))
        exact = tf.equal(above, count)
        return tf.where(above >= count, middle, low), tf.where(exact, middle, tf.where(above > count, high, middle - 1))

    smallest = tf.reduce_min(tf.where(mask, ranks, tf.int32.max))
    threshold, _ = tf.while_loop(lambda low, high: low < high, halve, (smallest, tf.reduce_max(inside)))
    return inside >= threshold

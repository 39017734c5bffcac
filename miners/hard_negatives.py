"""Every positive of an anchor with the nearest few negatives of the anchor."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_whole
from metric_learning.tuples import Pairs
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class HardNegatives(Miner):
    """All positives of an anchor, and its k nearest negatives.

    Unlike BatchHard, every positive pulls, so a class with several looks is drawn together evenly.

    Args:
        k: at least 1; fewer are taken where there are fewer.

    Returns:
        Pairs of weight 0 or 1: every positive meets each of the k negatives. Negatives tied with the k-th are kept too.
    """

    k: int = 1

    def __post_init__(self):
        check_whole(1, k=self.k)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        nearness = tf.where(negative_mask, -tf.stop_gradient(distances), float("-inf"))
        k = tf.minimum(self.k, tf.shape(distances)[1])
        threshold = tf.math.top_k(nearness, k).values[:, -1:]
        hardest = negative_mask & (nearness >= threshold)
        return Pairs(tf.cast(positive_mask, tf.float32), tf.cast(hardest, tf.float32))

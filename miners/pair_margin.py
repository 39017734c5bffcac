"""Positives farther than one margin and negatives nearer than another."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.tuples import Pairs
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class PairMargin(Miner):
    """Every positive with d_ap > positive_margin, every negative with d_an < negative_margin.

    Pairs that are good enough by themselves are left alone, whatever else the anchor has.

    Args:
        positive_margin: in units of the run's distance, as a threshold of likeness is nothing without one.
        negative_margin: the same.

    Returns:
        Pairs of weight 0 or 1.
    """

    from_zero = True

    positive_margin: float = 0.2
    negative_margin: float = 0.8

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        distances = tf.stop_gradient(distances)
        return Pairs(
            tf.cast(positive_mask & (distances > self.positive_margin), tf.float32),
            tf.cast(negative_mask & (distances < self.negative_margin), tf.float32),
        )

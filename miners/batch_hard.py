"""The farthest positive and the nearest negative of each anchor."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.tuples import Triplets
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class BatchHard(Miner):
    """One triplet an anchor: its farthest positive and its nearest negative.

    Returns Triplets of one slot. Ties go to the lower column.

    Reference: Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, eq. 5,
    https://arxiv.org/abs/1703.07737
    """

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Triplets:
        distances = tf.stop_gradient(distances)
        positive = tf.argmax(tf.where(positive_mask, distances, float("-inf")), axis=1, output_type=tf.int32)
        negative = tf.argmin(tf.where(negative_mask, distances, float("inf")), axis=1, output_type=tf.int32)
        valid = tf.reduce_any(positive_mask, axis=1) & tf.reduce_any(negative_mask, axis=1)
        return Triplets(positive[:, None], negative[:, None], tf.cast(valid, tf.float32)[:, None])

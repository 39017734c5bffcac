"""For each positive pair, the nearest negative that is still farther than the positive."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.tuples import Triplets, nearest_farther
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class SemiHard(Miner):
    """One triplet a positive pair: the nearest negative farther than the positive.

    The negative of (a, p) is argmin {d_an : d_an > d_ap}. It is the hardest one that already lies on the right side,
    which avoids the collapse that the hardest negatives bring early on.

    Args:
        farthest_if_none: where all negatives are nearer than the positive, take the farthest of them, as TensorFlow
            Addons did, so that no positive pair is without a push; False selects nothing there.

    Returns:
        Triplets of M slots; slot j is the pair of the anchor with column j.

    Differs from the paper: FaceNet takes any negative in the margin; this one, the nearest, is the choice of
    TensorFlow Addons' TripletSemiHardLoss. The upper bound of the margin needs no check here, as a hinge loss is 0
    beyond it.

    Reference: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, section 3.2, https://arxiv.org/abs/1503.03832
    """

    farthest_if_none: bool = True

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Triplets:
        distances = tf.stop_gradient(distances)
        negative, found = nearest_farther(distances, positive_mask, negative_mask)
        if self.farthest_if_none:
            farthest = tf.argmax(tf.where(negative_mask, distances, float("-inf")), axis=1, output_type=tf.int32)
            negative = tf.where(found, negative, farthest[:, None])
            found |= tf.reduce_any(negative_mask, axis=1, keepdims=True)
        columns = tf.broadcast_to(tf.range(tf.shape(distances)[1])[None, :], tf.shape(distances))
        return Triplets(columns, negative, tf.cast(positive_mask & found, tf.float32))

"""A few negatives of each anchor, drawn at random: what other miners have to beat."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_whole
from metric_learning.tuples import Pairs
from miners.draws import uniform_like
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class Random(Miner):
    """All positives of an anchor, and k of its negatives, each as likely as any other.

    The plain way to make a loss over all negatives cheaper, and the yardstick of every clever miner. A new batch draws
    anew; the same batch and encoder draw the same.

    Args:
        k: at least 1; fewer are taken where there are fewer.

    Returns:
        Pairs of weight 0 or 1: every positive meets each of the k negatives.
    """

    k: int = 1

    def __post_init__(self):
        check_whole(1, k=self.k)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        distances = tf.stop_gradient(distances)
        # The k largest of random numbers are k columns drawn without replacement.
        draws = tf.where(negative_mask, uniform_like(distances), -1.0)
        if self.k == 1:
            drawn = tf.argmax(draws, axis=1, output_type=tf.int32)[:, None]
        else:
            drawn = tf.math.top_k(draws, tf.minimum(self.k, tf.shape(draws)[1])).indices
        rows = tf.broadcast_to(tf.range(tf.shape(drawn)[0])[:, None], tf.shape(drawn))
        ones = tf.ones_like(drawn, tf.float32)
        chosen = tf.scatter_nd(tf.stack([rows, drawn], axis=-1), ones, tf.shape(draws))
        return Pairs(tf.cast(positive_mask, tf.float32), tf.where(negative_mask, chosen, 0.0))

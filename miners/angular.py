"""For each positive pair, the negative that sees it under the largest angle."""

import dataclasses
import math

import keras
import tensorflow as tf

from metric_learning.tuples import Triplets, at, entries, put, through_columns
from miners.miner import Miner

TO_SQUARED = {
    "euclidean": tf.square,
    "squared_euclidean": lambda distances: distances,
    "cosine": lambda distances: 2.0 * distances,
}


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class Angular(Miner):
    """One triplet a positive pair: the negative n that sees the pair under the largest angle, if above a threshold.

    The angle is atan(d_ap / (2 d_nc)), c being the middle of a and p: half of that under which n at right angles to the
    pair sees it. It is large where n is near, relative to how far the positives are apart, so it does not depend on the
    scale. From the distances alone d_nc^2 = d_an^2 / 2 + d_pn^2 / 2 - d_ap^2 / 4.

    Args:
        angle: in degrees, in (0, 90).
        distance: of the matrix that the miner is given, one of euclidean, squared_euclidean, cosine; with cosine, of
            the embeddings brought to unit length.

    Returns:
        Triplets of M slots; slot j is the pair of the anchor with column j. A positive at distance 0 of its anchor is
        seen under no angle and selects nothing. Time O(largest class x B x M).

    Raises:
        ValueError: references of another number: d_pn is the distance of two columns, so they must be the anchors.
            References of the same number cannot be told apart from them.

    Differs from pytorch-metric-learning's AngularMiner: that lists all triplets above the angle, in O(B^3) memory.

    Reference: Wang, Zhou, Wen, Liu, Lin, "Deep Metric Learning with Angular Loss", ICCV 2017,
    https://arxiv.org/abs/1708.01682
    """

    angle: float = 20.0
    distance: str = "euclidean"

    def __post_init__(self):
        if not 0.0 < self.angle < 90.0:
            raise ValueError(f"angle must be in (0, 90) degrees; got {self.angle}")
        if self.distance not in TO_SQUARED:
            raise ValueError(
                f"distance must be one of {', '.join(TO_SQUARED)} for miner angular, which needs lengths; "
                f"got {self.distance!r}"
            )

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Triplets:
        rows, references = distances.shape
        if rows != references:
            raise ValueError(f"miner angular needs the anchors as references; got {rows} anchors and {references}")
        squared = TO_SQUARED[self.distance](tf.stop_gradient(distances))
        negative = _nearest_to_middles(squared, positive_mask, negative_mask)

        columns = tf.broadcast_to(tf.range(tf.shape(squared)[1])[None, :], tf.shape(squared))
        from_positive = entries(squared, columns, negative)
        to_middle = tf.nn.relu((at(squared, negative) + from_positive) / 2.0 - squared / 4.0)
        # tan(angle) = d_ap / (2 d_nc), squared.
        above = squared > 4.0 * math.tan(math.radians(self.angle)) ** 2 * to_middle
        valid = positive_mask & tf.reduce_any(negative_mask, axis=1, keepdims=True) & above
        return Triplets(columns, negative, tf.cast(valid, tf.float32))


def _nearest_to_middles(squared, positive_mask, negative_mask):
    """For each positive pair the column of the negative nearest to its middle, [B, M] int32.

    One positive of every anchor at a time: a few passes over [B, M] each.
    """
    to_negatives = tf.where(negative_mask, squared, float("inf"))

    def add(positive, found, negative):
        # d_nc is smallest where d_an^2 + d_pn^2 is.
        sums = to_negatives + tf.gather(squared, positive)
        return (put(negative, positive, found, tf.argmin(sums, axis=1, output_type=tf.int32)),)

    return through_columns(positive_mask, add, tf.zeros_like(squared, tf.int32))[0]

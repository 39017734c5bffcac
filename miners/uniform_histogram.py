"""As many pairs of each distance: bins of equal width that are drawn from alike."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_whole
from metric_learning.tuples import Pairs
from miners.draws import uniform_like
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class UniformHistogram(Miner):
    """Pairs spread evenly over distance, so that the rare near and far ones count as much as the many between.

    The distances of the positive pairs of the batch, from the smallest to the largest, are cut into bins of equal
    width, those of the negative pairs too. Each bin that has pairs gives `..._per_bin` of them: where it has more, each
    is kept with the same probability; where it has fewer, all are kept, with that much more weight. So the weight of a
    bin is `..._per_bin`, on average.

    Args:
        num_bins: at least 1.
        positives_per_bin: above 0, the weight of a bin of positive pairs.
        negatives_per_bin: above 0, the weight of a bin of negative pairs.

    Returns:
        Pairs. What is kept is a function of the distances alone: the same batch and encoder keep the same.

    Differs from pytorch-metric-learning's UniformHistogramMiner: that draws a fixed number with replacement. The
    average weight of each pair is the same.
    """

    num_bins: int = 100
    positives_per_bin: float = 10
    negatives_per_bin: float = 10

    def __post_init__(self):
        check_whole(1, num_bins=self.num_bins)
        for name in ("positives_per_bin", "negatives_per_bin"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0; got {getattr(self, name)}")

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
        distances = tf.stop_gradient(distances)
        draws = uniform_like(distances)
        return Pairs(
            self._drawn(distances, positive_mask, draws, self.positives_per_bin),
            self._drawn(distances, negative_mask, draws, self.negatives_per_bin),
        )

    def _drawn(self, distances, mask, draws, per_bin):
        wanted = self.expected_weights(distances, mask, per_bin)
        return tf.where(draws < wanted, tf.maximum(wanted, 1.0), 0.0)

    def expected_weights(self, distances: tf.Tensor, mask: tf.Tensor, per_bin: float) -> tf.Tensor:
        """[B, M] float32: `per_bin` over the number of pairs in the bin of a pair, 0 outside the mask."""
        smallest = tf.reduce_min(tf.where(mask, distances, float("inf")))
        largest = tf.reduce_max(tf.where(mask, distances, float("-inf")))
        width = (largest - smallest) / self.num_bins
        place = (distances - smallest) / tf.where(width > 0.0, width, 1.0)
        # The largest distance belongs to the last bin, as in numpy.histogram. Outside the mask: a bin of their own.
        inside = tf.clip_by_value(place, 0.0, self.num_bins - 1.0)
        bins = tf.where(mask, tf.cast(inside, tf.int32), self.num_bins)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(distances), bins, self.num_bins + 1)
        return tf.where(mask, per_bin / tf.gather(tf.maximum(counts, 1.0), bins), 0.0)

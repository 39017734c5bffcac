"""Dynamic soft margin loss: triplets weighed by how hard they are among those seen so far."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive, check_whole
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, Selection, at, mean_per_anchor, through_columns


@keras.saving.register_keras_serializable(package="metric_learning")
class DynamicSoftMargin(TupleLoss):
    """Weighs each triplet by the share of triplets that are no harder: no margin to choose.

    Mean over the triplets (a, p, n) of

        F(x) x,   x = d(a, p) - d(a, n)

    where F is the distribution function of x over the recent batches, a moving average of histograms. F passes no
    gradient. The hardest triplets weigh 1 and the easiest near 0, at every stage of the training. The loss itself is
    below 0 once most negatives are farther than positives.

    Differs from the paper: where no miner chooses, each positive pair of an anchor gets the anchor's nearest negative,
    and as the other row is an anchor too, the pair has two triplets; the paper keeps the harder of both. Differences
    beyond the span count in the outermost bins, where the authors' code runs out of them.

    Args:
        span: above 0; the histogram covers differences from -span to span. 2 is the most that cosine distances, and
            Euclidean distances of unit rows, can differ by.
        num_bins: at least 2, their centers from -span to span; 512 in the authors' code.
        momentum: above 0 and at most 1, the weight of the newest batch in the histogram; 1 forgets all others.
        distance: see `metric_learning.distances`; "euclidean" of unit rows in the paper.
        miner: which triplets. None, or pairs, for each positive pair with the anchor's nearest negative, as in the
            paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without triplet. Each call moves the histogram, one for validation too, as a
        loss is not told what it is called for.

    Raises:
        ValueError: span not above 0, fewer than 2 bins, momentum outside (0, 1], unknown distance.

    Example:
        >>> loss = DynamicSoftMargin(num_bins=5)  # bins at -2, -1, 0, 1, 2
        >>> rows = [[0.0], [1.0], [3.0]]  # x = 1 - 3 and 1 - 2, of shares 1/2 and 1
        >>> float(loss([0, 0, 1], rows))  # (1/2 * -2 + 1 * -1) / 2
        -1.0

    Reference: Zhang, Rusinkiewicz, "Learning Local Descriptors with a CDF-Based Dynamic Soft Margin", ICCV 2019,
    https://openaccess.thecvf.com/content_ICCV_2019/html/Zhang_Learning_Local_Descriptors_With_a_CDF-Based_Dynamic_Soft_Margin_ICCV_2019_paper.html.
    """

    def __init__(
        self,
        *,
        span: float = 2.0,
        num_bins: int = 512,
        momentum: float = 0.01,
        distance: str = "euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(span=span)
        check_whole(2, num_bins=num_bins)
        if not 0.0 < momentum <= 1.0:
            raise ValueError(f"momentum must be above 0 and at most 1; got {momentum}")
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.span = span
        self.num_bins = num_bins
        self.momentum = momentum
        self.layers = [MovingHistogram(num_bins)]

    def cost_of_tuples(self, distances: tf.Tensor, selection: Selection) -> tf.Tensor:
        if isinstance(selection, Pairs):
            positive, negative = selection
            nearest = tf.reduce_min(tf.where(negative > 0.0, distances, float("inf")), axis=1, keepdims=True)
            exists = tf.math.is_finite(nearest) | tf.math.is_nan(nearest)
            differences = distances - tf.where(exists, nearest, 0.0)
            weights = positive * tf.cast(exists, tf.float32)
        else:
            differences = at(distances, selection.positive) - at(distances, selection.negative)
            weights = selection.weights

        constant = tf.stop_gradient(differences)
        shares = self.layers[0].update(self._counts(constant, weights), self.momentum)
        below, _ = self._bins(constant)
        return mean_per_anchor(tf.gather(tf.cumsum(shares), below) * differences, weights)

    def _bins(self, differences):
        """The bin below each difference, int32, and how far on the way to the next one it is, in [0, 1]."""
        places = (differences + self.span) / (2.0 * self.span) * (self.num_bins - 1)
        places = tf.clip_by_value(places, 0.0, self.num_bins - 1.0)
        below = tf.floor(places)
        # What NaN is as an integer is not defined, and must not be an index.
        return tf.clip_by_value(tf.cast(below, tf.int32), 0, self.num_bins - 1), places - below

    def _counts(self, differences, weights):
        """The histogram [num_bins] of this batch, each difference parted between its two nearest bins."""

        # One tuple of every anchor at a time: there are few in a row of M slots, and most slots are empty.
        def add(slot, found, counts):
            below, part = self._bins(at(differences, slot[:, None])[:, 0])
            count = tf.where(found, at(weights, slot[:, None])[:, 0], 0.0)
            bins = tf.concat([below, tf.minimum(below + 1, self.num_bins - 1)], axis=0)
            parts = tf.concat([count * (1.0 - part), count * part], axis=0)
            return (counts + tf.math.unsorted_segment_sum(parts, bins, self.num_bins),)

        return tf.stop_gradient(through_columns(weights > 0.0, add, tf.zeros([self.num_bins]))[0])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"span": self.span, "num_bins": self.num_bins, "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="metric_learning")
class MovingHistogram(keras.layers.Layer):
    """The shares of the bins, averaged over the batches; saved and restored like any weight.

    Args:
        num_bins: of the histogram.
    """

    def __init__(self, num_bins: int, *, dtype: str = "float32", **options: Any) -> None:
        super().__init__(dtype=dtype, **options)
        self.num_bins = num_bins
        # All replicas see the whole batch and so agree; the mean is one of them.
        self.shares = self.add_weight(
            shape=(num_bins,), initializer="zeros", trainable=False, aggregation="mean", name="shares"
        )
        self.built = True

    def update(self, counts: tf.Tensor, momentum: float) -> None:
        """Moves the shares towards those of `counts`, the first ones all the way, and returns them.

        Counts that are all zero, or no numbers, as those of a broken encoder, leave the shares as they are.
        """
        before = tf.convert_to_tensor(self.shares)
        total = tf.reduce_sum(counts)
        valid = (total > 0.0) & tf.math.is_finite(total)
        now = counts / tf.where(valid, total, 1.0)
        moved = tf.where(tf.reduce_any(before > 0.0), before + momentum * (now - before), now)
        after = tf.where(valid, moved, before)
        self.shares.assign(after)
        return after

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_bins": self.num_bins}

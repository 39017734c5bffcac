"""Recall@k: the share of positives among the k nearest, with sigmoids instead of steps."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive, check_whole
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.soft_ranks import soft_counts
from metric_learning.tuples import mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class RecallAtK(DistanceLoss):
    """Asks that every positive of an anchor be among its k nearest references, for several k at once.

    For an anchor with the positives P among all its references, with one sigmoid for "nearer than p" and one for
    "among the first k", the mean over the ks of

        1 - 1/|P| sum_p sigmoid((k - rank(p)) / rank_temperature),
        rank(p) = 1 + sum_{j != p} sigmoid((d_ap - d_aj) / temperature)

    The loss is the mean over the anchors that have positives and negatives.

    Differs from the paper: nothing with distance "cosine" and reachable=False; its similarity mixup, which makes up
    virtual rows, is left out. The authors' code cuts the sum at k and divides by min(k, |P|), which is
    reachable=True, and counts the anchor as the first of its own list, which shifts k by one and is left out too.

    Args:
        k: a whole number of at least 1, or several; (1, 2, 4, 8, 16) in the authors' code.
        temperature: above 0, of the ranks, in units of the distance; 0.01 in the authors' code.
        rank_temperature: above 0, of the cut at k, in ranks; the authors' code has k itself for each k.
        reachable: divide by min(k, |P|), the most positives that k places hold, and let no more than k count. A class
            of more than k other rows then can reach a loss of 0.
        distance: see `metric_learning.distances`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positives or without negatives. Memory is O(B x M) and time
        O(B x M x largest class).

    Raises:
        ValueError: no k or one below 1, a temperature not above 0, unknown distance.

    Example:
        >>> recall_at_k = RecallAtK(k=[1, 2], temperature=0.001, rank_temperature=0.01, distance="euclidean")
        >>> values = recall_at_k.call([0, 0, 1], [[0.0], [4.0], [1.0]])  # rank 2: 1/2 at k = 1 and ...
        >>> [round(float(value), 4) for value in values]  # ... rank = k counts half at k = 2; mean, times 3/2
        [1.125, 1.125, 0.0]

    Reference: Patel, Tolias, Matas, "Recall@k Surrogate Loss with Large Batches and Similarity Mixup", CVPR 2022,
    https://arxiv.org/abs/2108.11179
    """

    def __init__(
        self,
        *,
        k: Sequence[int] = (1, 2, 4, 8, 16),
        temperature: float = 0.01,
        rank_temperature: float = 1.0,
        reachable: bool = False,
        distance: str = "cosine",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        k = tuple(k) if isinstance(k, Iterable) else (k,)
        if not k:
            raise ValueError("k must name at least one number; got none")
        for number in k:
            check_whole(1, k=number)
        check_positive(temperature=temperature, rank_temperature=rank_temperature)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.k = k
        self.temperature = temperature
        self.rank_temperature = rank_temperature
        self.reachable = reachable

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        (nearer,), exists = soft_counts(distances, positive_mask, [positive_mask | negative_mask], self.temperature)
        num_positives = tf.reduce_sum(tf.cast(exists, tf.float32), axis=0)
        values = [self._missed(k, nearer, exists, num_positives) for k in self.k]
        # Without negatives the recall depends on k alone, and not on what is learned.
        valid = (num_positives > 0.0) & tf.reduce_any(negative_mask, axis=1)
        return mean_of_anchors(tf.add_n(values) / len(values), valid)

    def _missed(self, k, nearer, exists, num_positives):
        """1 - recall@k of each anchor, [B]."""
        found = tf.reduce_sum(tf.where(exists, self._among_first(k, nearer), 0.0), axis=0)
        most = tf.maximum(num_positives, 1.0)
        if self.reachable:
            found, most = tf.minimum(found, float(k)), tf.minimum(most, float(k))
        return 1.0 - found / most

    def _among_first(self, k, nearer):
        """sigmoid((k - rank) / rank_temperature), of which nothing is kept for the way back: the ks would add up."""

        @tf.custom_gradient
        def sigmoid(nearer):
            def grad(upstream):
                small = tf.exp(-tf.abs(k - 1.0 - nearer) / self.rank_temperature)
                return -upstream * small / tf.square(1.0 + small) / self.rank_temperature

            return tf.sigmoid((k - 1.0 - nearer) / self.rank_temperature), grad

        return sigmoid(nearer)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "k": self.k,
            "temperature": self.temperature,
            "rank_temperature": self.rank_temperature,
            "reachable": self.reachable,
        }

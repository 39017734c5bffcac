"""For each positive pair, the nearest negative that is still farther than the positive: semi-hard."""

import tensorflow as tf

from metric_learning.tuples import thresholds
from metric_learning.tuples.sorted_search import count_up_to_where, sort_rows
from metric_learning.tuples.walks import at, largest_count, put, through_columns


def nearest_farther(
    distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """argmin {d_an : d_an > d_ap} of each positive pair (a, p), in O(B x M) memory.

    Args:
        distances: [B, M] float32 without gradient.
        positive_mask: [B, M] boolean.
        negative_mask: [B, M] boolean.

    Returns:
        [B, M] int32, the column of the negative of the pair of a row and a column, and [B, M] boolean, whether there is
        one; false where the pair is no positive one.
    """
    few = largest_count(positive_mask) <= thresholds.MOST_FOR_A_SEARCH_LOOP
    return tf.cond(
        few,
        lambda: _by_loop(distances, positive_mask, negative_mask),
        lambda: _by_sorting(distances, positive_mask, negative_mask),
    )


def _by_loop(distances, positive_mask, negative_mask):
    """One positive of every anchor at a time: a few passes over [B, M] each."""

    def add(positive, exists, negative, found):
        farther = negative_mask & (distances > at(distances, positive[:, None]))
        nearest = tf.argmin(tf.where(farther, distances, float("inf")), axis=1, output_type=tf.int32)
        return put(negative, positive, exists, nearest), put(found, positive, exists, tf.reduce_any(farther, axis=1))

    return through_columns(positive_mask, add, tf.zeros_like(distances, tf.int32), tf.zeros_like(positive_mask))


def _by_sorting(distances, positive_mask, negative_mask):
    """The same for classes of any size: a sort of each row, and a search in it for each pair."""
    ranked, order = sort_rows(tf.where(negative_mask, distances, float("inf")))
    num_negatives = tf.reduce_sum(tf.cast(negative_mask, tf.int32), axis=1, keepdims=True)
    num_nearer = count_up_to_where(positive_mask, ranked, distances)
    negative = at(order, tf.minimum(num_nearer, tf.shape(distances)[1] - 1))
    return negative, positive_mask & (num_nearer < num_negatives)

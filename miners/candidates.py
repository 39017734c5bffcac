"""For each positive pair, one of the negatives at a given distance from it, and how many of them there are."""

import tensorflow as tf

from metric_learning.tuples import at, count_up_to_where, largest_count, put, sort_rows, thresholds, through_columns
from miners.draws import uniform_like

PICKS = ("random", "hardest", "easiest")
# Steps of this length spread any number of points evenly over [0, 1).
GOLDEN = 0.6180339887


def pick_negatives(
    distances: tf.Tensor,
    positive_mask: tf.Tensor,
    negative_mask: tf.Tensor,
    low: float | tf.Tensor,
    high: float | tf.Tensor,
    pick: str,
    *,
    closed: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One negative of each positive pair (a, p) among those with low < d_an - d_ap <= high.

    Args:
        distances: [B, M] float32 without gradient.
        positive_mask: [B, M] boolean.
        negative_mask: [B, M] boolean.
        low: a number or scalar; -inf for no bound.
        high: the same; inf for no bound.
        pick: "hardest", the nearest of them to the anchor; "easiest", the farthest; "random", each as likely.
        closed: whether d_an - d_ap = high is within.

    Returns:
        [B, M] int32, the column of the negative of the pair of a row and a column, and [B, M] float32, how many there
        were to choose from; 0 where the pair is no positive one.
    """
    bounds = tf.cast(low, tf.float32), tf.cast(high, tf.float32), closed
    few = largest_count(positive_mask) <= thresholds.MOST_FOR_A_SEARCH_LOOP
    return tf.cond(
        few,
        lambda: _by_loop(distances, positive_mask, negative_mask, *bounds, pick),
        lambda: _by_sorting(distances, positive_mask, negative_mask, *bounds, pick),
    )


def _by_loop(distances, positive_mask, negative_mask, low, high, closed, pick):
    """One positive of every anchor at a time: a few passes over [B, M] each."""
    order = {"hardest": -distances, "easiest": distances}.get(pick)
    draws = uniform_like(distances) if pick == "random" else None

    def add(positive, exists, turn, negative, count):
        farther_by = distances - at(distances, positive[:, None])
        below = farther_by <= high if closed else farther_by < high
        candidates = negative_mask & (farther_by > low) & below
        # The highest draw wins. Turned round [0, 1), the same draws are fair again and favor others.
        turned = None if draws is None else draws + GOLDEN * turn
        height = order if turned is None else turned - tf.floor(turned)
        chosen = tf.argmax(tf.where(candidates, height, float("-inf")), axis=1, output_type=tf.int32)
        total = tf.reduce_sum(tf.cast(candidates, tf.float32), axis=1)
        return turn + 1.0, put(negative, positive, exists, chosen), put(count, positive, exists, total)

    state = (0.0, tf.zeros_like(distances, tf.int32), tf.zeros_like(distances))
    return through_columns(positive_mask, add, *state)[1:]


def _by_sorting(distances, positive_mask, negative_mask, low, high, closed, pick):
    """The same for classes of any size: a sort of each row, in which the candidates of a pair are neighbors."""
    ranked, order = sort_rows(tf.where(negative_mask, distances, float("inf")))
    num_negatives = tf.reduce_sum(tf.cast(negative_mask, tf.int32), axis=1, keepdims=True)
    first = tf.minimum(count_up_to_where(positive_mask, ranked, distances + low), num_negatives)
    last = tf.minimum(count_up_to_where(positive_mask, ranked, distances + high, below=not closed), num_negatives)
    count = tf.where(positive_mask, tf.maximum(last - first, 0), 0)
    if pick == "random":
        rank = first + tf.cast(uniform_like(distances) * tf.cast(count, tf.float32), tf.int32)
        rank = tf.minimum(rank, last - 1)  # as 0.9999999 x count may round up to it
    else:
        rank = first if pick == "hardest" else last - 1
    negative = at(order, tf.clip_by_value(rank, 0, tf.shape(distances)[1] - 1))
    return negative, tf.cast(count, tf.float32)

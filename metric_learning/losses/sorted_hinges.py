"""All triplets of a hinge at once: a sort of each row instead of a pass for each positive."""

import functools

import tensorflow as tf

from metric_learning.tuples import at, in_blocks, sort_rows


def sum_of_hinges(
    distances: tf.Tensor, positive_weights: tf.Tensor, negative_weights: tf.Tensor, margin: float | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums [d_ap + margin - d_an]+ over every positive and negative of each anchor, in O(B x M x log M) time.

    With the keys d_ap + margin and d_an in one order, the sum is that of the gaps between neighbors, each times the
    weight of the negatives before it and that of the positives behind it: all terms are at least 0, so that nothing
    cancels. A triplet is active when its negative comes before its positive.

    Args:
        distances: [B, M] float32.
        positive_weights: [B, M] float32, at least 0.
        negative_weights: [B, M] float32, at least 0, and 0 where the other is not.
        margin: a number, or a scalar without gradient.

    Returns:
        Per anchor, [B] each: the weighted sum, and the weight of the triplets of a cost above 0, without gradient.
    """

    @tf.custom_gradient
    def sums(matrix):
        matrices = (matrix, positive_weights, negative_weights)
        total, active, slopes = in_blocks(functools.partial(_of_rows, margin=margin), matrices, (tf.float32,) * 3)
        return (total, active), lambda upstream, _: upstream[:, None] * slopes

    return sums(distances)


def _of_rows(matrix, positive_weights, negative_weights, margin):
    """The sum and the weight of the active triplets, [B] each, and the slopes of the sum, [B, M]."""
    is_positive, is_negative = positive_weights > 0.0, negative_weights > 0.0
    keys = tf.where(is_positive, matrix + margin, tf.where(is_negative, matrix, float("inf")))
    sorted_keys, order = sort_rows(_positives_first(keys, is_positive))
    sorted_keys = tf.cast(sorted_keys, tf.float32)  # which are the keys again
    # One gather for both weights: positives are above 0, negatives below.
    weights = at(positive_weights - negative_weights, order)
    of_positives, of_negatives = tf.nn.relu(weights), tf.nn.relu(-weights)
    negatives_before = tf.cumsum(of_negatives, axis=1)
    # Not the total minus a sum, which leaves a rest where weights are no whole numbers.
    positives_behind = tf.cumsum(of_positives, axis=1, exclusive=True, reverse=True)

    crossing = negatives_before * positives_behind
    gaps = sorted_keys[:, 1:] - sorted_keys[:, :-1]
    # The gap to the references that do not count is infinite.
    total = tf.reduce_sum(tf.where(crossing[:, :-1] > 0.0, crossing[:, :-1] * gaps, 0.0), axis=1)
    active = tf.reduce_sum(of_positives * negatives_before, axis=1)
    # A NaN comes last, where nothing crosses its gap, but is not to be hidden.
    total += tf.reduce_sum(tf.where((is_positive | is_negative) & tf.math.is_nan(matrix), matrix, 0.0), axis=1)

    slopes = of_positives * negatives_before - of_negatives * positives_behind
    num_rows, num_columns = tf.unstack(tf.shape(order))
    cells = order + tf.range(num_rows)[:, None] * num_columns
    slopes = tf.math.unsorted_segment_sum(slopes, cells, tf.size(order))
    return total, active, tf.reshape(slopes, tf.shape(order))


def _positives_first(keys, is_positive):
    """The keys as float64 [B, M], those of positives smaller by less than any two float32 numbers differ.

    So a positive comes before a negative of the same key, as a hinge at 0 is not active.
    """
    exact = tf.cast(keys, tf.float64)
    step = 2.0**-40 * tf.clip_by_value(tf.abs(exact), 1e-45, 1e38)
    return tf.where(is_positive, exact - step, exact)

"""Finds the rows of two matrices that are equal, without comparing each with each entry by entry."""

import tensorflow as tf

from metric_learning.xla import compiling


def put_where_equal(values: tf.Tensor, distances: tf.Tensor, rows: tf.Tensor, refs: tf.Tensor) -> tf.Tensor:
    """The distances with other values where the two rows are equal, and the gradient that they had.

    Args:
        values: [B], one for each of the rows.
        distances: [B, M].
        rows: [B, D] float32.
        refs: [M, D] float32; the tensor `rows` itself where these are compared with each other.
    """
    among_themselves = refs is rows

    @tf.custom_gradient
    def put(values, distances, rows, refs):
        def gradient(upstream):
            return None, upstream, None, None

        def compare_all():
            of_rows = _hashes(rows)
            of_refs = of_rows if among_themselves else _hashes(refs)
            return tf.where(tf.equal(of_rows[:, None], of_refs[None, :]), values[:, None], distances)

        if compiling():  # which makes one pass of the distances and the comparison, and none ends at a tf.cond
            return compare_all(), gradient
        starts = _starts(rows) if among_themselves else tf.concat([_starts(rows), _starts(refs)], axis=0)
        if among_themselves:
            distances = tf.linalg.set_diag(distances, values)
        starts = tf.math.top_k(starts, tf.size(starts)).values  # sorted, and equal ones side by side
        some_may_be_equal = tf.reduce_any(tf.equal(starts[1:], starts[:-1]))
        return tf.cond(some_may_be_equal, compare_all, lambda: distances), gradient

    return put(values, distances, rows, refs)


def _starts(rows):
    """A number for each row, [B] integers of [B, D] float32, the same for equal rows: its first entry or two.

    They show in a moment that no two rows of a batch are equal, which is nearly always so.
    """
    pair = tf.abs(rows[:, :2])  # as 0 and -0 are equal
    return tf.bitcast(pair, tf.int64) if pair.shape[1] == 2 else tf.bitcast(pair[:, 0], tf.int32)


def _hashes(rows):
    """A number for each row, [B] int64 of [B, D] float32: the same for equal rows, else another but once in 2^60.

    As sums of integers wrap around, they do not depend on the order of the summands, as sums of floats do.
    """
    bits = tf.bitcast(tf.where(tf.equal(rows, 0.0), 0.0, rows), tf.int32)  # 0 and -0 are equal
    # Each place and what it holds make one number, which two odd factors scatter: else rows of few different entries,
    # or rows of the same ones in another order, had sums in common.
    places = tf.range(tf.shape(rows, out_type=tf.int64)[1])
    numbers = tf.cast(bits, tf.int64) + 2**32 * places
    for factor in (-7046029254386353131, -4658895280553007687):
        numbers = tf.bitwise.bitwise_xor(numbers, tf.bitwise.right_shift(numbers, 32)) * factor
    return tf.reduce_sum(numbers, axis=1)

"""Finds the rows of two matrices that are equal, without comparing each with each entry by entry."""

import tensorflow as tf


def put_where_equal(
    own: tf.Tensor, equal: tf.Tensor, products: tf.Tensor, rows: tf.Tensor, refs: tf.Tensor
) -> tf.Tensor:
    """The products of rows, with other values where the two rows are equal, and the gradient that they had.

    Products rather than the distances made of them: the matrix of a product is in memory anyhow, while XLA computes
    distances where they are used, again and again, with all that was done to them.

    Args:
        own: [B], the value for each of the rows and itself.
        equal: [B, 1] or [B, M], the values for equal rows.
        products: [B, M].
        rows: [B, D] float32.
        refs: [M, D] float32; the tensor `rows` itself where these are compared with each other.
    """
    among_themselves = refs is rows

    @tf.custom_gradient
    def put(own, equal, products, rows, refs):
        def gradient(upstream):
            return None, None, upstream, None, None

        def compare_all():
            of_rows = _hashes(rows)
            of_refs = of_rows if among_themselves else _hashes(refs)
            return tf.where(of_rows[:, None] == of_refs[None, :], equal, products)

        starts = _starts(rows)
        if among_themselves:
            products = tf.linalg.set_diag(products, own)
        else:
            starts = tf.concat([starts, _starts(refs)], axis=0)
        starts = tf.math.top_k(starts, tf.size(starts)).values  # sorted, and equal ones side by side
        some_may_be_equal = tf.reduce_any(tf.equal(starts[1:], starts[:-1]))
        return tf.cond(some_may_be_equal, compare_all, lambda: products), gradient

    return put(own, equal, products, rows, refs)


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

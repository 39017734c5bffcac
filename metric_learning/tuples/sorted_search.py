"""Searches in sorted rows, for the few places of a matrix that ask.

`tf.searchsorted` takes all places, asked or not, and under XLA compares all with all, in a tensor [B, M, M].
"""

from collections.abc import Callable

import tensorflow as tf

from metric_learning.tuples import thresholds
from metric_learning.tuples.walks import at, columns_of, entries, in_blocks, largest_count, slots_of


def of_selected(selected: tf.Tensor, find: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], nothing: int) -> tf.Tensor:
    """What `find` makes of the true columns of a mask, some of every row at a time.

    Args:
        selected: [B, M] boolean.
        find: from rows [b] and columns [s, b], s of each row, to [s, b] int32. What it makes of column 0 is
            dropped where a row has no more.
        nothing: the integer for columns that are not selected.

    Returns:
        [B, M] int32.
    """
    rows = tf.range(tf.shape(selected)[0])
    return in_blocks(lambda mask, rows: (_of_rows(mask, rows, find, nothing),), (selected, rows), (tf.int32,))[0]


def _of_rows(selected, rows, find, nothing):
    width = thresholds.SLOTS
    slots, _ = columns_of(selected)
    num_slots, num_rows = tf.unstack(tf.shape(slots))
    slots = tf.reshape(tf.pad(slots, [[0, -num_slots % width], [0, 0]]), [-1, width, num_rows])

    def add(turn, found):
        return turn + 1, tf.tensor_scatter_nd_update(found, [[turn]], find(rows, tf.gather(slots, turn))[None])

    num_turns = (largest_count(selected) + width - 1) // width
    found = tf.while_loop(lambda turn, _: turn < num_turns, add, (0, tf.zeros_like(slots)))[1]
    found = tf.transpose(tf.reshape(found, [-1, num_rows])[:num_slots])
    # From the s-th column of a row back to its place.
    return tf.where(selected, at(found, tf.minimum(slots_of(selected), num_slots - 1)), nothing)


def sort_rows(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows of a floating matrix in growing order, and the columns of their entries: the first of equal ones first.

    Both [B, M], in one pass where `tf.argsort` needs a gather too.
    """
    negated, order = tf.math.top_k(-matrix, k=tf.shape(matrix)[1])
    return -negated, order


def count_up_to(ranked: tf.Tensor, rows: tf.Tensor, values: tf.Tensor, *, below: bool = False) -> tf.Tensor:
    """How many entries of the rows of a matrix [M, N], each sorted, are at most the values, or below them.

    Args:
        ranked: [M, N], its rows growing.
        rows: int32, of the shape of the values or one that broadcasts to it.
        values: of any shape.
        below: leave out the entries that equal the value.

    Returns:
        int32 of the shape of the values.
    """
    size = tf.shape(ranked)[1]
    bits = 31 if ranked.shape[1] is None else ranked.shape[1].bit_length()
    count = tf.zeros_like(values, tf.int32)
    for bit in reversed(range(bits)):
        longer = count + 2**bit
        entry = nearest_entries(ranked, rows, longer - 1)
        is_within = (longer <= size) & (entry < values if below else entry <= values)
        count = tf.where(is_within, longer, count)
    return count


def count_up_to_where(mask: tf.Tensor, ranked: tf.Tensor, values: tf.Tensor, *, below: bool = False) -> tf.Tensor:
    """The same for the values [B, M] in their rows of `ranked` [B, N], where a mask is true; 0 elsewhere."""

    def count(rows, columns):
        return count_up_to(ranked, rows, entries(values, rows, columns), below=below)

    return of_selected(mask, count, 0)


def nearest_entries(matrix: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """As `walks.entries`; for a column outside, the one nearest to it."""
    return entries(matrix, rows, tf.clip_by_value(columns, 0, tf.shape(matrix)[1] - 1))

"""Walks over the true columns of masks, and entries of matrices, in O(B x M) memory: no tensor [B, M, M] exists."""

import math
from collections.abc import Callable

import tensorflow as tf

from metric_learning.tuples import thresholds


def at(matrix: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """The entries [B, S] of `matrix` [B, M] at `columns` [B, S]."""
    return entries(matrix, tf.range(tf.shape(matrix)[0])[:, None], columns)


def entries(matrix: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """The entries of a matrix at rows and columns, int32 that broadcast."""
    return _entries(matrix, rows * tf.shape(matrix)[1] + columns)


@tf.custom_gradient
def _entries(matrix, cells):
    def grad(upstream):
        # Most slots of most selections are empty. An id below 0 drops its entry, and adding it would take far longer.
        cells_in_use = tf.where(tf.equal(upstream, 0.0), -1, cells)
        sums = tf.math.unsorted_segment_sum(upstream, cells_in_use, tf.size(matrix))
        return tf.reshape(sums, tf.shape(matrix)), None

    return tf.gather(tf.reshape(matrix, [-1]), cells), grad


def next_column(mask: tf.Tensor, previous: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first true column of each row after a given one: a way to go through a sparse mask without sorting it.

    Args:
        mask: [B, M] boolean.
        previous: [B] int32 columns, -1 to begin.

    Returns:
        [B] int32, and [B] boolean, whether there is one; the column is 0 where there is none.
    """
    return _next_number(_numbers(mask), previous)


def through_columns(
    mask: tf.Tensor, add: Callable[..., tuple[tf.Tensor, ...]], *state: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Goes through the true columns of all rows at once, the first of each row, then the second of each, and so on.

    Each turn costs what `add` does; nothing of shape [B, M, M] exists.

    Args:
        mask: [B, M] boolean.
        add: `add(column, found, *state)` returns the state after a turn, a tuple: [B] int32 columns, one of each row,
            and [B] boolean, whether the row had one more; where it had not, the column is 0.
        *state: tensors, the state to begin with.

    Returns:
        The state after the last turn, a tuple.
    """
    counts = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    num_turns = tf.reduce_max(counts)
    few = num_turns <= thresholds.MOST_WITHOUT_A_LIST
    numbers = tf.cond(few, lambda: _numbers(mask), lambda: tf.transpose(columns_of(mask)[0]))

    def turn(number, previous, *state):
        column = tf.cond(few, lambda: _next_number(numbers, previous)[0], lambda: tf.gather(numbers, number, axis=1))
        found = number < counts
        column = tf.where(found, column, 0)
        return number + 1, column, *add(column, found, *state)

    begin = (0, -tf.ones_like(counts), *state)
    return tf.while_loop(lambda number, *_: number < num_turns, turn, begin)[2:]


def in_blocks(
    function: Callable[..., tuple[tf.Tensor, ...]], matrices: tuple[tf.Tensor, ...], dtypes: tuple[tf.DType, ...]
) -> tuple[tf.Tensor, ...]:
    """`function(*matrices)` of large matrices, one block of rows after another: less memory, and nearer to the cache.

    Args:
        function: of tensors [b, ...] to a tuple of tensors [b, ...], in which no row depends on another. The last block
            may be filled up with rows of zeros, whose results are dropped.
        matrices: tensors [B, ...]; the first, [B, M], is the measure of the blocks.
        dtypes: of what the function returns.

    Returns:
        The tuple that the function returns of all rows at once.
    """
    num_rows, num_columns = matrices[0].shape
    if num_rows is None or num_columns is None or num_rows * num_columns <= thresholds.BLOCK:
        return function(*matrices)
    num_blocks = math.ceil(num_rows / max(thresholds.BLOCK // num_columns, 1))
    size = math.ceil(num_rows / num_blocks)

    def part(matrix):
        padding = [[0, num_blocks * size - num_rows], *[[0, 0]] * (matrix.shape.rank - 1)]
        padded = tf.pad(matrix, padding) if any(padding[0]) else matrix
        return tf.reshape(padded, [num_blocks, size, *matrix.shape[1:]])

    results = tf.map_fn(
        lambda rows: function(*rows),
        tuple(part(matrix) for matrix in matrices),
        parallel_iterations=1,
        fn_output_signature=dtypes,
    )
    return tuple(tf.reshape(result, [-1, *result.shape[2:]])[:num_rows] for result in results)


def _numbers(mask):
    """The numbers of the true columns, [B, M] int32; M where the mask is false."""
    num_columns = tf.shape(mask)[1]
    return tf.where(mask, tf.range(num_columns)[None, :], num_columns)


def _next_number(numbers, previous):
    # A minimum instead of argmax, which XLA computes several times more slowly on a CPU.
    end = tf.shape(numbers)[1]
    column = tf.reduce_min(tf.where(numbers > previous[:, None], numbers, end), axis=1)
    found = column < end
    return tf.where(found, column, 0), found


def put(matrix: tf.Tensor, columns: tf.Tensor, found: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`matrix` [B, M] with `values` [B] in its `columns` [B], one of each row, where `found` [B] is true."""
    here = found[:, None] & (tf.range(tf.shape(matrix)[1])[None, :] == columns[:, None])
    return tf.where(here, values[:, None], matrix)


def columns_of(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The true columns of each row in their order: [M, B] int32, row s holding the s-th of each; and [M, B] boolean.

    The integer is 0 where the boolean, whether there is an s-th, is false.
    """
    rows, columns = (tf.range(size) for size in tf.unstack(tf.shape(mask)))
    # An id below 0 drops its entry.
    cells = tf.where(mask, slots_of(mask) * tf.size(rows) + rows[:, None], -1)
    each = tf.broadcast_to(columns[None, :], tf.shape(mask))
    listed = tf.math.unsorted_segment_sum(each, cells, tf.size(mask))
    exists = columns[:, None] < tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)[None, :]
    return tf.ensure_shape(tf.reshape(listed, tf.shape(exists)), mask.shape[::-1]), exists


def slots_of(mask: tf.Tensor) -> tf.Tensor:
    """How many true columns stand before each in its row, [B, M] int32: for the s-th of a row, s."""
    return tf.cumsum(tf.cast(mask, tf.int32), axis=1, exclusive=True)


def largest_count(mask: tf.Tensor) -> tf.Tensor:
    """The largest number of true columns that a row of `mask` [B, M] has: an int32 scalar."""
    return tf.reduce_max(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))

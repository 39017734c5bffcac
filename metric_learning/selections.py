"""What miners return and losses take: pairs, triplets or quadruplets, of static shape, padded with weight 0.

All of them hold O(B x M) numbers. Anchors are rows and references columns of the distance matrix [B, M]; each anchor
has S slots, S being 1 (one tuple an anchor) or M (one tuple a positive pair).
"""

from typing import NamedTuple

import tensorflow as tf

from metric_learning.relations import same_class_rows


class Pairs(NamedTuple):
    """How often each pair counts, [B, M] float32 each; 0 for pairs that are not selected.

    As triplets it stands for every positive of an anchor with every negative of the same anchor.
    """

    positive_weights: tf.Tensor
    negative_weights: tf.Tensor


class Triplets(NamedTuple):
    """Columns of the positive and the negative in each slot, [B, S] int32, and the slot's weight, [B, S] float32."""

    positive: tf.Tensor
    negative: tf.Tensor
    weights: tf.Tensor


class Quadruplets(NamedTuple):
    """Triplets and, for each, the row (an anchor) of a second negative, of a class that is neither's, [B, S] int32.

    `second_weights` is 0 where there are triplets but no third class.
    """

    positive: tf.Tensor
    negative: tf.Tensor
    second_negative: tf.Tensor
    weights: tf.Tensor
    second_weights: tf.Tensor


def all_pairs(positive_mask, negative_mask):
    """Every pair, once: what `miner=none` means."""
    return Pairs(tf.cast(positive_mask, tf.float32), tf.cast(negative_mask, tf.float32))


def distinct(pairs):
    """Every selected pair once, however many tuples it came from: for losses over sets of positives and negatives."""
    return Pairs(*(tf.cast(weights > 0.0, tf.float32) for weights in pairs))


def at(matrix, columns):
    """The entries [B, S] of `matrix` [B, M] at `columns` [B, S]."""
    return tf.gather(matrix, columns, axis=1, batch_dims=1)


def next_column(mask, previous):
    """The first true column of each row after a given one: a way to go through a sparse mask without sorting it.

    Args:
        mask: [B, M] boolean.
        previous: [B] int32 columns, -1 to begin.

    Returns:
        [B] int32, and [B] boolean, whether there is one; the column is 0 where there is none.
    """
    num_columns = tf.shape(mask)[1]
    columns = tf.range(num_columns)[None, :]
    # A minimum instead of argmax, which XLA computes several times more slowly on a CPU.
    column = tf.reduce_min(tf.where(mask & (columns > previous[:, None]), columns, num_columns), axis=1)
    found = column < num_columns
    return tf.where(found, column, 0), found


def largest_count(mask):
    """The largest number of true columns that a row of `mask` [B, M] has: an int32 scalar."""
    return tf.reduce_max(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))


def to_pairs(selection, num_references):
    """The pairs of the tuples; a pair in several tuples counts several times, as each tuple's terms would.

    Args:
        selection: Pairs, Triplets or Quadruplets; of quadruplets the pairs with the anchor.
        num_references: M, the columns of the distance matrix.

    Returns:
        Pairs.
    """
    if isinstance(selection, Pairs):
        return selection
    return Pairs(
        _count(selection.positive, selection.weights, num_references),
        _count(selection.negative, selection.weights, num_references),
    )


def _count(columns, weights, num_references):
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    cells = tf.stack([rows, columns], axis=-1)
    return tf.scatter_nd(cells, weights, tf.stack([tf.shape(columns)[0], num_references]))


def to_quadruplets(selection, distances, negative_mask, second_negative="hard"):
    """Gives each triplet a second negative, of a class that is neither the anchor's nor the negative's.

    Args:
        selection: Triplets, or Quadruplets, which stay as they are.
        distances: [B, M]; `distances[second_negative, negative]` is the distance between two negatives.
        negative_mask: [B, M] boolean.
        second_negative: "hard", the nearest to the negative; or "semi_hard", the nearest that is farther from it than
            the positive is from the anchor, and where all are nearer, the farthest.

    Returns:
        Quadruplets.
    """
    if isinstance(selection, Quadruplets):
        return selection
    search = _nearest_rows if second_negative == "hard" else _nearest_farther_rows
    rows, valid = search(selection, distances, negative_mask, same_class_rows(negative_mask))
    weights = selection.weights * tf.cast(valid, tf.float32)
    return Quadruplets(selection.positive, selection.negative, rows, selection.weights, weights)


def _nearest_rows(triplets, distances, negative_mask, kin):
    """Rows [B, S] nearest to each negative, of a third class, and whether there is one."""
    # For each column the nearest row of another class, and the nearest row of yet another class: one of the two is
    # outside the class of any anchor, so two candidates a column replace a search per triplet.
    to_rows = tf.where(negative_mask, distances, float("inf"))
    first = tf.argmin(to_rows, axis=0, output_type=tf.int32)
    other_class = ~tf.transpose(tf.gather(kin, first))
    second = tf.argmin(tf.where(other_class, to_rows, float("inf")), axis=0, output_type=tf.int32)

    first_row = tf.gather(first, triplets.negative)
    second_row = tf.gather(second, triplets.negative)
    rows = tf.where(at(kin, first_row), second_row, first_row)
    # argmin of an empty column is row 0, so what was found is checked once more.
    cells = tf.stack([rows, triplets.negative], axis=-1)
    return rows, tf.gather_nd(negative_mask, cells) & ~at(kin, rows)


def _nearest_farther_rows(triplets, distances, negative_mask, kin):
    """The same with the nearest row beyond the distance of the positive, one triplet of every anchor at a time."""
    by_column, strangers = tf.transpose(distances), tf.transpose(negative_mask)
    to_positive = at(distances, triplets.positive)
    selected = triplets.weights > 0.0
    slots = tf.range(tf.shape(selected)[1])[None, :]

    def add(turn, previous, rows, valid):
        slot, exists = next_column(selected, previous)
        negative = at(triplets.negative, slot[:, None])[:, 0]
        third_class = tf.gather(strangers, negative) & ~kin
        between = tf.gather(by_column, negative)
        farther = third_class & (between > at(to_positive, slot[:, None]))
        nearest = tf.argmin(tf.where(farther, between, float("inf")), axis=1, output_type=tf.int32)
        farthest = tf.argmax(tf.where(third_class, between, float("-inf")), axis=1, output_type=tf.int32)
        row = tf.where(tf.reduce_any(farther, axis=1), nearest, farthest)
        here = exists[:, None] & (slots == slot[:, None])
        return (
            turn + 1,
            tf.where(exists, slot, previous),
            tf.where(here, row[:, None], rows),
            tf.where(here, tf.reduce_any(third_class, axis=1, keepdims=True), valid),
        )

    num_turns = largest_count(selected)
    state = (0, -tf.ones_like(triplets.positive[:, 0]), tf.zeros_like(triplets.negative), tf.zeros_like(selected))
    return tf.while_loop(lambda turn, *_: turn < num_turns, add, state)[2:]

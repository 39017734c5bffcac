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
    later = mask & (tf.range(tf.shape(mask)[1])[None, :] > previous[:, None])
    return tf.argmax(tf.cast(later, tf.int32), axis=1, output_type=tf.int32), tf.reduce_any(later, axis=1)


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


def to_quadruplets(selection, distances, negative_mask):
    """Gives each triplet the nearest second negative to its negative, from a third class.

    Args:
        selection: Triplets, or Quadruplets, which stay as they are.
        distances: [B, M]; `distances[second_negative, negative]` is the distance between two negatives.
        negative_mask: [B, M] boolean.

    Returns:
        Quadruplets.
    """
    if isinstance(selection, Quadruplets):
        return selection
    kin = same_class_rows(negative_mask)
    # For each column the nearest row of another class, and the nearest row of yet another class: one of the two is
    # outside the class of any anchor, so two candidates a column replace a search per triplet.
    to_rows = tf.where(negative_mask, distances, float("inf"))
    first = tf.argmin(to_rows, axis=0, output_type=tf.int32)
    other_class = ~tf.transpose(tf.gather(kin, first))
    second = tf.argmin(tf.where(other_class, to_rows, float("inf")), axis=0, output_type=tf.int32)

    first_row = tf.gather(first, selection.negative)
    second_row = tf.gather(second, selection.negative)
    second_negative = tf.where(at(kin, first_row), second_row, first_row)
    # argmin of an empty column is row 0, so what was found is checked once more.
    cells = tf.stack([second_negative, selection.negative], axis=-1)
    valid = tf.gather_nd(negative_mask, cells) & ~at(kin, second_negative)
    return Quadruplets(
        selection.positive,
        selection.negative,
        second_negative,
        selection.weights,
        selection.weights * tf.cast(valid, tf.float32),
    )

"""What miners return and losses take: pairs, triplets or quadruplets, of static shape, padded with weight 0.

All of them hold O(B x M) numbers. Anchors are rows and references columns of the distance matrix [B, M]; each anchor
has S slots, S being 1 (one tuple an anchor) or M (one tuple a positive pair).
"""

from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf


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


Selection: TypeAlias = Pairs | Triplets | Quadruplets


class AnyMiner(Protocol):
    """One of `miners`, or any other function that selects tuples of a matrix, [B, M] each."""

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor, /) -> Selection: ...


def all_pairs(positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs:
    """Every pair, once: what `miner=none` means."""
    return Pairs(tf.cast(positive_mask, tf.float32), tf.cast(negative_mask, tf.float32))


def distinct(pairs: Pairs) -> Pairs:
    """Every selected pair once, however many tuples it came from: for losses over sets of positives and negatives."""
    return Pairs(*(tf.cast(weights > 0.0, tf.float32) for weights in pairs))


def to_pairs(selection: Selection, num_references: int | tf.Tensor) -> Pairs:
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

"""Which pairs of rows belong together: labels in, boolean masks out."""

from typing import NamedTuple

import tensorflow as tf

from metric_learning.labels import as_labels
from metric_learning.types import TensorLike


class Relations(NamedTuple):
    """Boolean [B, M] masks of an anchor (row) and a reference (column). An anchor's own row is in neither.

    `grades`, [B, M] float32 in [0, 1], says how alike labels [B, C] are; None for labels [B], which are equal or not.
    """

    positive_mask: tf.Tensor
    negative_mask: tf.Tensor
    grades: tf.Tensor | None = None


def relate(
    labels: TensorLike,
    ref_labels: TensorLike | None = None,
    *,
    ids: TensorLike | None = None,
    ref_ids: TensorLike | None = None,
) -> Relations:
    """Compares the labels of the anchors with those of the references.

    Args:
        labels: [B] or [B, 1] integers, booleans or strings, one class an item; or [B, C] multi-hot or graded, at least
            0, alike when they share a class.
        ref_labels: [M] or [M, C]; the anchors themselves when None, and then every anchor's own column is its position.
        ids: [B] integers or strings naming the items. With `ref_ids`, an own row is one of the same id wherever it
            stands, as in a memory bank or a gathered batch. Without references, copies of an item are one item.
        ref_ids: [M], needed with `ids` when there are references.

    Returns:
        Relations. Integer labels are compared as integers: float32 merges those above 2^24.

    Raises:
        ValueError: labels of a shape, or of a dtype, that cannot name classes; ids given on one side only.
    """
    labels = as_labels(labels, "labels")
    own_batch = ref_labels is None
    ref_labels = labels if own_batch else as_labels(ref_labels, "ref_labels")
    if labels.shape.rank != ref_labels.shape.rank or (labels.dtype == tf.string) != (ref_labels.dtype == tf.string):
        raise ValueError(
            f"labels and ref_labels must be of one kind; got {labels.dtype.name} {labels.shape}, "
            f"{ref_labels.dtype.name} {ref_labels.shape}"
        )
    if not own_batch and (ids is None) != (ref_ids is None):
        raise ValueError("ids and ref_ids must be given together when there are references; got one of them")

    if labels.shape.rank == 1:
        same, grades = _equal(labels, ref_labels), None
    else:
        grades = _overlap(labels, ref_labels)
        same = grades > 0.0

    if ids is not None:
        ids = as_labels(ids, "ids")
        own = _equal(ids, ids if ref_ids is None else as_labels(ref_ids, "ref_ids"))
    elif own_batch:
        rows = tf.range(tf.shape(labels)[0])
        own = tf.equal(rows[:, None], rows[None, :])
    else:
        return Relations(same, tf.logical_not(same), grades)
    return Relations(same & ~own, ~same & ~own, grades)


def _overlap(labels, ref_labels):
    """[B, M] float32: x.y / (|x|^2 + |y|^2 - x.y), for multi-hot rows the shared classes over those of either."""
    labels, ref_labels = tf.cast(labels, tf.float32), tf.cast(ref_labels, tf.float32)
    shared = tf.matmul(labels, ref_labels, transpose_b=True)
    squares, ref_squares = (tf.reduce_sum(tf.square(rows), axis=1) for rows in (labels, ref_labels))
    either = squares[:, None] + ref_squares[None, :] - shared
    return shared / tf.where(either > 0.0, either, 1.0)


def _equal(labels, ref_labels):
    """[B, M], whether labels are equal; integers of any two types are compared as int64, which holds both."""
    if labels.dtype != ref_labels.dtype:
        labels, ref_labels = tf.cast(labels, tf.int64), tf.cast(ref_labels, tf.int64)
    return tf.equal(labels[:, None], ref_labels[None, :])


def same_class_rows(negative_mask: tf.Tensor) -> tf.Tensor:
    """Which anchors share a class, from the relations to the references alone.

    Two anchors are of one class when some reference is a negative of neither. For rows of several classes that is too
    much, as a reference of both may join two that have nothing in common; but where the anchors are the references, as
    in a batch, their relations are there already.

    Args:
        negative_mask: [B, M] boolean, every class that matters having a reference.

    Returns:
        [B, B] boolean, true on the diagonal.
    """
    classes, is_parted = classes_of_rows(negative_mask)
    return tf.cond(is_parted, lambda: classes[:, None] == classes[None, :], lambda: _are_alike(negative_mask))


def _are_alike(negative_mask):
    """`same_class_rows` for rows of several classes."""

    def through_references():
        same_class = tf.cast(~negative_mask, tf.float32)
        return tf.matmul(same_class, same_class, transpose_b=True) > 0.0

    if not negative_mask.shape[0:1].is_compatible_with(negative_mask.shape[1:2]):
        return through_references()
    num_rows, num_columns = tf.unstack(tf.shape(negative_mask))

    def is_of_itself():
        is_symmetric = tf.reduce_all(tf.equal(negative_mask, tf.transpose(negative_mask)))
        return is_symmetric & ~tf.reduce_any(tf.linalg.diag_part(negative_mask))

    of_itself = tf.cond(tf.equal(num_rows, num_columns), is_of_itself, lambda: tf.constant(False))
    return tf.cond(of_itself, lambda: ~negative_mask, through_references)


def classes_of_rows(negative_mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The classes of the anchors, from the relations to the references alone.

    Args:
        negative_mask: [B, M] boolean.

    Returns:
        [B] int32, the first reference that is no negative of the anchor, M without any; and a boolean scalar, whether
        these are classes: false for rows of several classes, which can be alike to two rows that are not.
    """
    num_columns = tf.shape(negative_mask)[1]
    first = tf.reduce_min(tf.where(negative_mask, num_columns, tf.range(num_columns)[None, :]), axis=1)
    # All anchors of a reference must have the same.
    smallest = tf.reduce_min(tf.where(negative_mask, num_columns, first[:, None]), axis=0)
    largest = tf.reduce_max(tf.where(negative_mask, -1, first[:, None]), axis=0)
    return first, tf.reduce_all((smallest == largest) | (largest < 0))

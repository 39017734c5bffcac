"""Which rows of a batch are two views of one item: for losses that learn without labels."""

import tensorflow as tf

from metric_learning.relations import relate
from metric_learning.tuples import next_column
from metric_learning.types import TensorLike


def second_views(labels: TensorLike) -> tuple[tf.Tensor, tf.Tensor]:
    """The second view of each row: the next row of its label, after the last one the first.

    Args:
        labels: [B] names of the items, or of the classes, whose rows then count as views of one thing.

    Returns:
        [B] int32 rows, and [B] boolean, whether there is one.
    """
    same = relate(labels).positive_mask
    first, exists = next_column(same, -tf.ones_like(same[:, 0], tf.int32))
    following, is_last = next_column(same, tf.range(tf.shape(same)[0]))
    return tf.where(is_last, following, first), exists


def centered_on_mean(rows: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The valid rows less their mean, [B, D], zeros elsewhere; and how many are valid, a float32 scalar."""
    count = tf.reduce_sum(tf.cast(valid, tf.float32))
    mean = tf.reduce_sum(tf.where(valid[:, None], rows, 0.0), axis=0) / tf.maximum(count, 1.0)
    return tf.where(valid[:, None], rows - mean, 0.0), count

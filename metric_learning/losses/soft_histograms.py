"""Histograms of distances that have a gradient: a value is shared by the two nearest nodes."""

from collections.abc import Sequence

import tensorflow as tf


def soft_histograms(values: tf.Tensor, masks: Sequence[tf.Tensor], *, high: float, num_bins: int) -> list[tf.Tensor]:
    """Counts the values of each row by triangular bins around the nodes 0, high / num_bins, ..., high.

    A value between two nodes counts for both, the more the nearer it is; the gradient moves its weight between them.

    Args:
        values: [B, M] float32 in [0, high].
        masks: boolean [B, M] masks that exclude each other, one for each histogram.
        high: the last node.
        num_bins: bins between the nodes, so there is one node more.

    Returns:
        A list with [B, num_bins + 1] float32 for each mask.
    """
    num_rows, num_nodes = tf.shape(values)[0], num_bins + 1
    positions = values * (num_bins / high)
    # The bin of a value at the very end, or beyond by rounding, is the last one.
    below = tf.clip_by_value(tf.cast(tf.floor(positions), tf.int32), 0, num_bins - 1)
    above_share = positions - tf.cast(below, tf.float32)

    # Each row has its nodes, first those of the first mask. An id below 0 drops its value.
    first_node = tf.fill(tf.shape(values), -1)
    for index, mask in enumerate(masks):
        rows = (tf.range(num_rows)[:, None] * len(masks) + index) * num_nodes
        first_node = tf.where(mask, rows + below, first_node)
    second_node = tf.where(first_node < 0, -1, first_node + 1)

    size = num_rows * len(masks) * num_nodes
    counts = tf.math.unsorted_segment_sum(1.0 - above_share, first_node, size)
    counts += tf.math.unsorted_segment_sum(above_share, second_node, size)
    counts = tf.reshape(counts, tf.stack([num_rows, len(masks), num_nodes]))
    return tf.unstack(tf.ensure_shape(counts, [values.shape[0], len(masks), num_nodes]), axis=1)

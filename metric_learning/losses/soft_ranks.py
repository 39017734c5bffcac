"""How many references are nearer than each positive, counted by sigmoids, in O(B x M) memory."""

from collections.abc import Sequence

import tensorflow as tf

from metric_learning.tuples import at, columns_of, largest_count, mean_of_anchors


def soft_counts(
    distances: tf.Tensor, positive_mask: tf.Tensor, groups: Sequence[tf.Tensor], temperature: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """For each positive p and each group: sum_j sigmoid((d_ap - d_aj) / temperature) over the group without p.

    One positive of every anchor at a time, so that no [B, M, M] tensor exists. The backward pass repeats the forward
    pass instead of keeping its tensors.

    Args:
        distances: [B, M] float32.
        positive_mask: [B, M] boolean.
        groups: a list of boolean masks [B, M], the references to count.
        temperature: above 0; as it goes to 0 the sum becomes the number of references nearer than p.

    Returns:
        A list with [M, B] float32 for each group: in column a and row s the count of the s-th positive of anchor a,
        0 where it has no s-th; and [M, B] boolean, whether it has.
    """
    columns, exists = columns_of(positive_mask)
    num_slots = largest_count(positive_mask)
    references = tf.range(tf.shape(distances)[1])[None, :]

    def over_slots(add, *state):
        return tf.while_loop(
            lambda slot, *_: slot < num_slots, lambda slot, *rest: (slot + 1, *add(slot, *rest)), (0, *state)
        )[1:]

    def nearer(matrix, slot):
        """The positive [B, 1] of the slot, and the sigmoids [B, M], that of the positive itself being 1/2."""
        positive = tf.gather(columns, slot)[:, None]
        # A sigmoid, by the function that XLA computes faster.
        return positive, 0.5 + 0.5 * tf.tanh((0.5 / temperature) * (at(matrix, positive) - matrix))

    @tf.custom_gradient
    def counts(matrix):
        def add(slot, *totals):
            positive, sigmoids = nearer(matrix, slot)
            found = tf.gather(exists, slot)
            rows = []
            for group in groups:
                itself = 0.5 * tf.cast(at(group, positive)[:, 0], tf.float32)
                rows.append(tf.where(found, tf.reduce_sum(tf.where(group, sigmoids, 0.0), axis=1) - itself, 0.0))
            return [
                tf.tensor_scatter_nd_update(total, [[slot]], row[None]) for total, row in zip(totals, rows, strict=True)
            ]

        def grad(*upstreams):
            def add_gradient(slot, gradient):
                positive, sigmoids = nearer(matrix, slot)
                found = tf.gather(exists, slot)
                weights = tf.add_n(
                    [
                        tf.where(group, tf.where(found, tf.gather(upstream, slot), 0.0)[:, None], 0.0)
                        for group, upstream in zip(groups, upstreams, strict=True)
                    ]
                )
                slopes = weights * sigmoids * (1.0 - sigmoids)
                # What the positive would do to itself is in both terms.
                own = tf.reduce_sum(slopes, axis=1, keepdims=True)
                return [gradient - slopes + tf.where(references == positive, own, 0.0)]

            return over_slots(add_gradient, tf.zeros_like(matrix))[0] / temperature

        return over_slots(add, *[tf.zeros_like(columns, tf.float32) for _ in groups]), grad

    return list(counts(distances)), exists


def mean_over_positives(values: tf.Tensor, exists: tf.Tensor) -> tf.Tensor:
    """Values of positives [M, B], as `soft_counts` orders them, to [B]: the mean of each anchor's positives.

    Scaled so that the mean over [B] is the mean over the anchors that have positives; 0 for the others.
    """
    count = tf.reduce_sum(tf.cast(exists, tf.float32), axis=0)
    means = tf.reduce_sum(tf.where(exists, values, 0.0), axis=0) / tf.where(count > 0.0, count, 1.0)
    return mean_of_anchors(means, count > 0.0)

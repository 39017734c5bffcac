"""Sums, means and log-sum-exps over the tuples that count: 0 where there is none, and never a hidden NaN."""

import tensorflow as tf


def mean_per_anchor(values: tf.Tensor, weights: tf.Tensor, average: str = "selected") -> tf.Tensor:
    """Shares the weighted mean of tuple losses among the anchors that the tuples belong to.

    Args:
        values: [B, S] float32, the loss of each tuple.
        weights: [B, S] float32, 0 for no tuple.
        average: "selected" divides by all tuples, "active" by those of a loss above 0.

    Returns:
        [B] float32. Its mean over the anchors is the mean over the tuples; 0 when there is none.
    """
    if average == "active":
        weights *= tf.cast(values > 0.0, tf.float32)
    return share_mean(tf.reduce_sum(weights * values, axis=1), tf.reduce_sum(weights))


def mean_of_anchors(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Anchor losses [B], scaled so that their mean is the mean over the valid anchors [B] (boolean); 0 elsewhere."""
    return share_mean(tf.where(valid, values, 0.0), tf.reduce_sum(tf.cast(valid, tf.float32)))


def share_mean(sums: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Per-anchor sums [B] of tuple losses, scaled so that their mean is the mean over `count` tuples; 0 when none."""
    # Not divide_no_nan, which makes 0 of the NaN / 0 of a broken encoder and so hides it: no NaN counts as active.
    return sums / tf.where(count > 0.0, count, 1.0) * tf.cast(tf.shape(sums)[0], tf.float32)


def masked_mean(values: tf.Tensor, weights: tf.Tensor, axis: int | None = None) -> tf.Tensor:
    """The weighted mean along an axis, 0 over nothing; weights of any numeric or boolean type."""
    weights = tf.cast(weights, tf.float32)
    total = tf.reduce_sum(weights, axis=axis)
    return tf.reduce_sum(weights * values, axis=axis) / tf.where(total > 0.0, total, 1.0)


def log_sum_exp(logits: tf.Tensor, weights: tf.Tensor, *, plus_one: bool = False) -> tf.Tensor:
    """log(sum_j w_ij exp(x_ij)) of each row, or log(1 + sum) with `plus_one`.

    Args:
        logits: [B, M] float32 of any size: the largest that counts is taken out before exp.
        weights: [B, M] float32, at least 0.
        plus_one: add 1 to the sum.

    Returns:
        [B] float32; 0, with gradient 0, for a row without weight.
    """
    present = weights > 0.0
    exists = tf.reduce_any(present, axis=1)
    largest = tf.reduce_max(tf.where(present, logits, logits.dtype.min), axis=1)
    shift = tf.maximum(largest, 0.0) if plus_one else largest
    shift = tf.stop_gradient(tf.where(exists, shift, 0.0))
    total = tf.reduce_sum(weights * tf.exp(tf.where(present, logits - shift[:, None], float("-inf"))), axis=1)
    if plus_one:
        return shift + tf.math.log(total + tf.exp(-shift))
    return tf.where(exists, shift + tf.math.log(tf.where(exists, total, 1.0)), 0.0)

"""Gradients of tables in which an id has one row, however often the batch and the replicas look it up."""

import keras
import tensorflow as tf


def sum_repeated_ids(
    gradients: list[tf.Tensor | tf.IndexedSlices | None], optimizer: keras.optimizers.Optimizer
) -> list[tf.Tensor | tf.IndexedSlices | None]:
    """Gradients as Keras' optimizers and clipping take them to be: the whole gradient of each row of a table, at once.

    The gradient of a table comes as `tf.IndexedSlices` with a slice for each look-up. Keras squares and clips these one
    by one, so that an id which occurs twice would move by two clipped steps, and count in second moments as g^2 + h^2
    instead of (g + h)^2.

    On one device `SGD` without momentum and `Adagrad`, which touch only the rows of a batch, get slices of different
    ids. All others work on whole tables anyway, and so do replicas, whose sum would repeat ids again: they get dense
    gradients, and are faster with them. Where several replicas clip, they clip the sum of all, as one device would.

    Args:
        gradients: of this replica, a list of tensors, `tf.IndexedSlices` and None; multiplied by the optimizer's loss
            scale, if it has one.
        optimizer: keras.optimizers.Optimizer that they are for, built; its `apply` adds up those of all replicas.

    Returns:
        A list of tensors, `tf.IndexedSlices` of different ids and None, for `optimizer.apply`.
    """
    rule = getattr(optimizer, "inner_optimizer", optimizer)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    summed = _summed if replicas == 1 and _is_sparse(rule) else tf.convert_to_tensor
    gradients = [summed(part) if isinstance(part, tf.IndexedSlices) else part for part in gradients]
    if replicas == 1 or not (rule.clipnorm or rule.global_clipnorm or rule.clipvalue):
        return gradients
    present = [part for part in gradients if part is not None]
    present = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, present)
    # Within the limits after this, a share is too, so the clipping of Keras changes nothing any more.
    shares = iter([part / replicas for part in _clipped(present, rule, optimizer.scale_loss(1.0))])
    return [None if part is None else next(shares) for part in gradients]


def _is_sparse(rule):
    is_plain = (
        isinstance(rule, keras.optimizers.SGD) and not rule.momentum or isinstance(rule, keras.optimizers.Adagrad)
    )
    return is_plain and not rule.gradient_accumulation_steps


def _summed(slices):
    ids, places = tf.unique(slices.indices)
    sums = tf.math.unsorted_segment_sum(slices.values, places, tf.size(ids))
    return tf.IndexedSlices(sums, ids, slices.dense_shape)


def _clipped(gradients, rule, scale):
    """As Keras clips, with limits multiplied by `scale`."""
    if rule.clipnorm:
        return [tf.clip_by_norm(part, rule.clipnorm * scale) for part in gradients]
    if rule.global_clipnorm:
        return tf.clip_by_global_norm(gradients, rule.global_clipnorm * scale)[0]
    return [tf.clip_by_value(part, -rule.clipvalue * scale, rule.clipvalue * scale) for part in gradients]

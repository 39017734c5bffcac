"""Blocks of training steps, compiled: from data in memory, or read ahead while the step before is computed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from metric_learning import xla
from metric_learning.data.batches import BatchPlan
from metric_learning.data.random_access import in_memory
from metric_learning.data.split import Split
from metric_learning.labels import label_array
from metric_learning.read_ahead import read_ahead
from metric_learning.training.learner import Learner
from metric_learning.types import Augmentation

# Every run of a sweep traces a block of its own, which TensorFlow takes for a mistake after five of them.
tf.get_logger().addFilter(
    lambda record: not ("_block_" in record.getMessage() and "triggered tf.function retracing" in record.getMessage())
)


def compile_block(
    learner: Learner, split: Split, plan: BatchPlan, augment: Augmentation | None = None, jit_compile: bool = False
) -> Callable[[np.ndarray, int], list[np.ndarray]]:
    """Compiles `block(indices [S, B], first_step) -> losses [S], active fractions [S]`, NumPy in and out.

    Inputs in memory are gathered inside the graph. All others are read in threads, a few steps ahead, each process only
    the rows of its own replicas; the steps are the same bit for bit.

    Args:
        learner, split, plan, augment, jit_compile: as in `Loop.run`.

    Raises:
        ValueError: replicas that cannot share the batch evenly; with jit_compile, a step that XLA cannot compile.
    """
    strategy = learner.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    if plan.batch_size % replicas:
        raise ValueError(
            f"batch.classes x batch.samples must be a multiple of the {replicas} replicas; got {plan.batch_size}"
        )
    num_randoms = 0 if augment is None else augment.num_randoms
    labels = label_array(split.labels)
    if labels.ndim == 1:  # classes numbered from 0 without gaps, as losses that learn a vector per class need them
        labels = np.unique(labels, return_inverse=True)[1]

    weights = getattr(split, "weights", None)
    targets = [labels] if weights is None else [labels, weights]  # by row

    def update(inputs, randoms, *targets):
        if augment is not None:
            inputs = augment(inputs, randoms)
        return learner.update(inputs, *targets)

    with strategy.scope():
        replicas_meet = tf.distribute.has_strategy()
    if jit_compile and not replicas_meet:
        update = tf.function(update, jit_compile=True, autograph=False)
        xla.check_compiles(
            update,
            tf.TensorSpec([plan.batch_size, *split.inputs.shape[1:]], split.inputs.dtype),
            tf.TensorSpec([plan.batch_size, num_randoms], tf.float32),
            *(tf.TensorSpec([plan.batch_size, *rows.shape[1:]], rows.dtype) for rows in targets),
        )

    @tf.autograph.experimental.do_not_convert
    def replica_step(own_items, step):
        # Drawn for the whole batch, so that an item gets the same numbers however many replicas there are.
        randoms = tf.random.stateless_uniform([plan.batch_size, num_randoms], [plan.seed, step], alg="philox")
        own = plan.batch_size // replicas
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * own
        inputs, *targets = own_items(first, own)
        return update(inputs, randoms[first : first + own], *targets)

    make = _block_in_memory if in_memory(split.inputs) else _block_of_reads
    return make(strategy, replica_step, [split.inputs, *targets], plan)


def _block_in_memory(strategy, replica_step, columns, plan):
    # In host memory, however large: only a batch at a time goes to an accelerator.
    with tf.device("CPU:0"):
        columns = [tf.constant(column) for column in columns]

    @tf.autograph.experimental.do_not_convert
    def step_of(indices, step):
        def gather(first, count):
            with tf.device("CPU:0"):
                rows = indices[first : first + count]
                return [tf.gather(column, rows) for column in columns]

        return replica_step(gather, step)

    @tf.function(
        input_signature=[tf.TensorSpec([None, plan.batch_size], tf.int64), tf.TensorSpec([], tf.int32)],
    )
    def block(indices, first_step):
        num_steps = tf.shape(indices)[0]
        losses = tf.TensorArray(tf.float32, num_steps, element_shape=[])
        active_fractions = tf.TensorArray(tf.float32, num_steps, element_shape=[])
        for i in tf.range(num_steps):
            results = strategy.run(step_of, args=(indices[i], first_step + i))
            # Every replica has the loss of the whole batch, so one of them tells it all.
            loss, active_fraction = (strategy.experimental_local_results(result)[0] for result in results)
            losses = losses.write(i, loss)
            active_fractions = active_fractions.write(i, active_fraction)
        return losses.stack(), active_fractions.stack()

    return lambda indices, first_step: [
        result.numpy() for result in block(tf.constant(indices, tf.int64), tf.constant(first_step, tf.int32))
    ]


def _block_of_reads(strategy, replica_step, columns, plan):
    local = []  # the replicas of this process, by their place in the batch

    def note(context):
        local.append(context.replica_id_in_sync_group)
        return tf.constant(0)

    strategy.experimental_distribute_values_from_function(note)

    def read(step):
        """Inputs, labels and weights of a step for each replica of this process."""
        shares = plan.batch(step).reshape(strategy.num_replicas_in_sync, -1)[local]
        found = [column[shares.reshape(-1)] for column in columns]
        return [rows.reshape(*shares.shape, *rows.shape[1:]) for rows in found]

    @tf.function(autograph=False)
    def one_step(step, *batch):
        results = strategy.run(
            lambda step, *batch: replica_step(lambda first, count: batch, step),
            args=(step, *batch),
        )
        return [strategy.experimental_local_results(result)[0] for result in results]

    def on_replicas(values):
        with tf.device("CPU:0"):
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(values[local.index(context.replica_id_in_sync_group)])
            )

    ahead: Iterator[Any] = iter(())
    next_step = None

    def block(indices, first_step):
        nonlocal ahead, next_step
        if first_step != next_step:
            ahead = read_ahead(read, np.iinfo(np.int32).max, first=first_step)
        results = []
        for step, batch in zip(range(first_step, first_step + len(indices)), ahead, strict=False):
            results.append(one_step(tf.constant(step, tf.int32), *map(on_replicas, batch)))
        next_step = first_step + len(indices)
        return [np.array([float(value) for value in values], np.float32) for values in zip(*results, strict=True)]

    return block

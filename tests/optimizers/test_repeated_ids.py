"""A table learns by the whole gradient of each id, however often a batch repeats it, in every way of training."""

import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from metric_learning import encoders, losses
from metric_learning.data import BatchPlan, Split
from metric_learning.optimizers import sum_repeated_ids
from metric_learning.training import Learner
from metric_learning.training.blocks import compile_block

pytestmark = pytest.mark.slow  # together they take a minute or so

ROOT = pathlib.Path(__file__).parent.parent.parent
IDS = np.array([[1, 1, 2], [1, 2, 3], [1, 1, 1], [2, 3, 3]], np.int32)
LABELS = np.array([0, 0, 1, 1])
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "plain": lambda: keras.optimizers.SGD(0.1),
    "accumulated": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    "clipvalue": lambda: keras.optimizers.SGD(1.0, clipvalue=1e-3),
    "clipnorm": lambda: keras.optimizers.SGD(1.0, clipnorm=1e-2),
    "global_clipnorm": lambda: keras.optimizers.SGD(1.0, global_clipnorm=1e-2),
    "adam clipvalue": lambda: keras.optimizers.Adam(0.01, clipvalue=1e-3),
    "adagrad clipnorm": lambda: keras.optimizers.Adagrad(0.1, clipnorm=1e-2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01, clipnorm=1e-2), 4.0),
}


@pytest.fixture(autouse=True)
def not_deterministic():
    """Keras' `fit` compiles nothing by XLA where an earlier test of this process asked for deterministic operations."""
    config.disable_op_determinism()


def new_learner(optimizer):
    keras.utils.set_random_seed(0)
    encoder = encoders.embedding((3,), vocabulary_size=5, embedding_dim=4)
    learner = Learner(encoder, losses.Contrastive(distance="cosine", average="selected"))
    learner.compile(OPTIMIZERS[optimizer]())
    learner.optimizer.build(learner.trainable_variables)
    return learner


def table_of(learner):
    return learner.encoder.get_layer("tokens").embeddings


def dense_steps(optimizer, steps):
    """The table after steps by a gradient that is a whole matrix, as the ids are looked up by a product."""
    learner = new_learner(optimizer)
    table = table_of(learner)
    chosen = tf.one_hot(IDS, 5) / 3.0
    for _ in range(steps):
        with tf.GradientTape() as tape:
            embeddings = tf.math.l2_normalize(tf.einsum("blv,vd->bd", chosen, table.value), axis=1)
            loss = learner.optimizer.scale_loss(learner.embedding_loss(LABELS, embeddings))
        gradient = tape.gradient(loss, table.value)
        assert isinstance(gradient, tf.Tensor)
        learner.optimizer.apply([gradient], [table])
    return table.numpy()


def by_fit(learner, jit_compile):
    learner.jit_compile = jit_compile
    learner.fit(IDS, LABELS, batch_size=4, epochs=2, shuffle=False, verbose=0)


def by_the_loop(learner, jit_compile):
    plan = BatchPlan(LABELS, classes=2, samples=2)
    block = compile_block(learner, Split(IDS, LABELS, ("",) * 4), plan, jit_compile=jit_compile)
    block(plan.block(0, 2), 0)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("train", [by_fit, by_the_loop])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_are_those_of_the_dense_gradient(optimizer, train, jit_compile):
    learner = new_learner(optimizer)
    before = table_of(learner).numpy()
    train(learner, jit_compile)
    expected = dense_steps(optimizer, steps=2)
    assert np.abs(expected - before).max() > 1e-3
    np.testing.assert_allclose(table_of(learner), expected, rtol=1e-4, atol=2e-6)


def test_clipvalue_lets_no_more_than_itself_through():
    learner = new_learner("clipvalue")
    before = table_of(learner).numpy()
    learner.fit(IDS, LABELS, batch_size=4, verbose=0)
    moved = np.abs(table_of(learner).numpy() - before)
    assert 0.9e-3 < moved.max() <= 1e-3 + 1e-7


def test_plain_steps_on_a_large_table_touch_its_few_rows_only():
    slices = tf.IndexedSlices(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([7, 3, 7]), tf.constant([10, 1]))
    for optimizer in (keras.optimizers.SGD(0.1), keras.optimizers.Adagrad(0.1)):
        (summed,) = sum_repeated_ids([slices], optimizer)
        assert isinstance(summed, tf.IndexedSlices)
        assert dict(zip(summed.indices.numpy(), summed.values.numpy()[:, 0], strict=True)) == {7: 5.0, 3: 2.0}
    (dense,) = sum_repeated_ids([slices], keras.optimizers.Adam(0.1))
    np.testing.assert_array_equal(dense, [[0], [0], [0], [2], [0], [0], [0], [5], [0], [0]])


@pytest.mark.slow
def test_replicas_make_the_steps_of_the_dense_gradient():
    program = """
        import sys
        import numpy as np
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
        from tests.optimizers import test_repeated_ids as cases

        for name in sys.argv[1:]:
            expected = cases.dense_steps(name, 2)
            strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
            with strategy.scope():
                learner = cases.new_learner(name)
            cases.by_the_loop(learner, False)
            found = cases.table_of(learner).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6, err_msg=name)
            print(name)
    """
    names = [name for name in OPTIMIZERS if name != "accumulated"]  # which Keras cannot do with replicas
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *names], capture_output=True, text=True, cwd=ROOT, timeout=280
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.splitlines() == names

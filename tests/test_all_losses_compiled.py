"""Every loss of conf/loss as a graph and under XLA: the same values, one trace, and no large tensor."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow  # together they take a minute or so

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(file.stem for file in (ROOT / "conf/loss").glob("*.yaml"))
MINERS = sorted(file.stem for file in (ROOT / "conf/miner").glob("*.yaml"))
# Their draws compare with cumulated sums, which XLA rounds otherwise; test_all_miners tests that they are valid.
ROUNDING_MATTERS = {"distance_weighted", "quadruplet_margin", "random", "triplet_margin", "uniform_histogram"}

CASES = {name: (f"loss={name}", "miner=none") for name in LOSSES}
# It remembers the batches before; with this it knows the last one only, and so is a function of its arguments.
CASES["dynamic_soft_margin"] += ("loss.momentum=1.0",)
CASES |= {f"triplet-{miner}": ("loss=triplet", f"miner={miner}") for miner in MINERS if miner not in ("none", "packed")}
CASES |= {
    "quadruplet-batch_hard": ("loss=quadruplet", "miner=batch_hard"),
    "contrastive-semi_hard": ("loss=contrastive", "miner=semi_hard"),
    "triplet-none-soft-swap": ("loss=triplet", "miner=none", "loss.soft=true", "loss.swap=true"),
}
# All take minutes to compile; these are of pairs, of triplets and of classes, with a miner and without.
SOON = {"arc_face", "contrastive-semi_hard", "triplet", "triplet-batch_hard"}
every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def loss(build, case):
    return build("loss", *CASES[case])


def value_and_gradient(loss, labels, rows):
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss(labels, rows)
    return value, tf.convert_to_tensor(tape.gradient(value, rows))


@every_case
def test_a_graph_costs_the_same_and_is_traced_once(batch, loss, labels_for):
    labels = tf.constant(labels_for(loss, batch.labels))
    graph = tf.function(lambda labels, rows: value_and_gradient(loss, labels, rows))
    for factor in (1.0, 0.5):
        rows = tf.constant(factor * batch.embeddings, tf.float32)
        for got, expected in zip(graph(labels, rows), value_and_gradient(loss, labels, rows), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case in SOON else pytest.mark.slow)
        for case in CASES
        if case.split("-")[-1] not in ROUNDING_MATTERS
    ],
)
def test_xla_costs_the_same(batch, loss, labels_for):
    labels, rows = tf.constant(labels_for(loss, batch.labels)), tf.constant(batch.embeddings, tf.float32)
    compiled = tf.function(
        lambda labels, rows: value_and_gradient(loss, labels, rows), jit_compile=True, autograph=False
    )
    for got, expected in zip(compiled(labels, rows), value_and_gradient(loss, labels, rows), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


@every_case
def test_a_graph_of_unknown_batch_size_costs_the_same(batch, loss, labels_for):
    labels = labels_for(loss, batch.labels)
    shapes = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)]
    graph = tf.function(loss, input_signature=shapes)
    for size in (10, 7):
        some = labels[:size], batch.embeddings[:size].astype(np.float32)
        np.testing.assert_allclose(graph(*some), loss(*some), rtol=1e-5, atol=1e-6)


def graphs_in(graph):
    """A graph and those of its functions: loop bodies, gradients."""
    yield graph
    for name in graph._functions:
        yield from graphs_in(graph._get_function(name).graph)


@every_case
def test_memory_is_that_of_a_few_distance_matrices(build, case):
    size = 1024
    loss = build("loss", *CASES[case])
    graph = (
        tf.function(lambda labels, rows: value_and_gradient(loss, labels, rows), autograph=False)
        .get_concrete_function(tf.TensorSpec([size], tf.int64), tf.TensorSpec([size, 3], tf.float32))
        .graph
    )
    operations = [operation for part in graphs_in(graph) for operation in part.get_operations()]
    assert len(operations) > 30
    # A list would keep a tensor of every turn of a loop.
    assert not [operation.name for operation in operations if operation.type.startswith("TensorList")]
    for tensor in (tensor for operation in operations for tensor in operation.outputs if tensor.consumers()):
        assert tensor.shape.is_fully_defined(), tensor
        assert tensor.shape.num_elements() <= 4 * size * size, tensor

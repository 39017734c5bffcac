"""Every loss of conf/loss, with every miner of conf/miner: the properties that all of them have."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(file.stem for file in (ROOT / "conf/loss").glob("*.yaml"))
MINERS = sorted(file.stem for file in (ROOT / "conf/miner").glob("*.yaml"))

# Contrastive and cosine are losses of pairs: one class has positives, and different classes have negatives, that cost.
OF_PAIRS = {"contrastive", "cosine"}
# The miner draws by the first row's distances, so another order of the batch is another draw.
ORDER_MATTERS = {"distance_weighted"}
# Its draws compare with cumulated sums, which XLA rounds otherwise; test_all_miners tests that they are valid.
ROUNDING_MATTERS = {"distance_weighted"}

PAIRINGS = {f"{loss}-{miner}": (f"loss={loss}", f"miner={miner}") for loss in LOSSES for miner in MINERS}
VARIANTS = {
    "triplet-none-soft-swap": ("loss=triplet", "miner=none", "loss.soft=true", "loss.swap=true"),
    "triplet-none-euclidean": ("loss=triplet", "miner=none", "distance=euclidean"),
    "triplet-semi_hard-squared": ("loss=triplet", "miner=semi_hard", "distance=squared_euclidean"),
    "triplet-batch_hard-dot": ("loss=triplet", "miner=batch_hard", "distance=dot"),
    "triplet-none-snr": ("loss=triplet", "miner=none", "distance=snr"),
    "triplet-none-selected": ("loss=triplet", "miner=none", "loss.average=selected"),
    "quadruplet-none-adaptive": ("loss=quadruplet", "miner=none", "loss.adaptive_weights=[1.0,0.5]"),
    "quadruplet-batch_hard-euclidean": ("loss=quadruplet", "miner=batch_hard", "distance=euclidean"),
    "contrastive-none-euclidean": ("loss=contrastive", "miner=none", "distance=euclidean", "loss.squared=true"),
    "contrastive-hard_pairs-snr": ("loss=contrastive", "miner=hard_pairs", "distance=snr"),
}
CASES = PAIRINGS | VARIANTS
# What takes long is tested on a spread: every loss alone, every miner with triplets, selections of another kind.
ALONE = [f"{loss}-none" for loss in LOSSES]
MINED = [f"triplet-{miner}" for miner in MINERS if miner != "none"]
CONVERTED = ["quadruplet-batch_hard", "contrastive-semi_hard"]
SPREAD = [*ALONE, *MINED, *CONVERTED, *VARIANTS]
# Tracing with optimisation, and compiling, take longest.
GRAPHED = [*ALONE, *MINED, *CONVERTED, "triplet-none-soft-swap"]
COMPILED = [case for case in GRAPHED if case.split("-")[1] not in ROUNDING_MATTERS]
every_case = pytest.mark.parametrize("case", CASES)
spread_of_cases = pytest.mark.parametrize("case", SPREAD)


def value_and_gradient(loss, labels, rows, **arguments):
    rows = tf.convert_to_tensor(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss(labels, rows, **arguments)
    return value, tf.convert_to_tensor(tape.gradient(value, rows))


def test_files_exports_and_tests_cover_each_other(build):
    built = {name: build("loss", f"loss={name}") for name in LOSSES}
    assert sorted(type(loss).__name__ for loss in built.values()) == sorted(losses.__all__)
    for name, loss in built.items():
        assert type(loss).__module__ == f"metric_learning.losses.{name}"
        assert (ROOT / f"tests/losses/test_{name}.py").exists()
    assert OF_PAIRS <= set(LOSSES)
    assert ORDER_MATTERS | ROUNDING_MATTERS <= set(MINERS)


@pytest.mark.parametrize("name", LOSSES)
def test_the_yaml_names_every_hyperparameter(build, name):
    config = build("loss", f"loss={name}").get_config()
    written = (ROOT / f"conf/loss/{name}.yaml").read_text()
    assert {key for key in config if f"\n{key}:" not in written} == {"name", "reduction"}


@every_case
def test_the_loss_is_the_mean_of_its_values_per_anchor(batch, build, case):
    loss = build("loss", *CASES[case])
    values, mean = loss.call(*batch), loss(*batch)
    assert values.shape == [10] and mean.shape == []
    assert values.dtype == mean.dtype == tf.float32
    assert mean > 0.01
    np.testing.assert_allclose(mean, np.mean(values), rtol=1e-6)


@every_case
def test_a_step_along_the_gradient_brings_positives_closer_relative_to_negatives(batch, build, case):
    loss = build("loss", *CASES[case])
    labels, rows = batch.labels, batch.embeddings.astype(np.float32)
    if loss.distance == "snr":
        rows = rows + np.array([1.0, 0.0, -1.0], np.float32)  # a signal in every row, so that none counts alone
    same = np.equal.outer(labels, labels)
    positive, negative = same & ~np.eye(10, dtype=bool), ~same

    def gap(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        against = {
            "cosine": lambda: 1.0 - unit @ unit.T,
            "dot": lambda: -rows @ rows.T,
            "snr": lambda: np.var(rows[:, None] - rows, axis=-1) / np.var(rows, axis=-1)[:, None],
        }
        plain = np.linalg.norm(rows[:, None] - rows, axis=-1)
        distances = against.get(loss.distance, lambda: plain)()
        return distances[negative].mean() - distances[positive].mean()

    _, gradient = value_and_gradient(loss, labels, rows)
    moved = rows - 0.02 * gradient / tf.norm(gradient)
    assert gap(moved.numpy()) > gap(rows) + 1e-4


@every_case
def test_order_of_the_batch_and_names_of_classes_do_not_matter(batch, build, case):
    loss = build("loss", *CASES[case])
    labels, rows = batch
    values = loss.call(labels, rows)
    names = {label: 7 - 1000 * index for index, label in enumerate(np.unique(labels))}
    renamed = np.array([names[label] for label in labels])
    np.testing.assert_allclose(loss.call(renamed, rows), values, rtol=1e-6)
    if case.split("-")[1] not in ORDER_MATTERS:
        order = np.random.default_rng(1).permutation(10)
        moved = loss.call(labels[order], rows[order])
        np.testing.assert_allclose(moved, tf.gather(values, order), rtol=1e-5, atol=1e-6)


@spread_of_cases
def test_ids_above_2_to_the_24_are_told_apart(batch, build, case):
    loss = build("loss", *CASES[case])
    merged = batch.labels.astype(np.float32).astype(np.int64)
    assert abs(loss(*batch) - loss(merged, batch.embeddings)) > 1e-4


@spread_of_cases
@pytest.mark.parametrize("labels", [[5], [5, 5, 5, 5], [1, 2, 3, 4]], ids=["one row", "one class", "all different"])
def test_without_a_valid_tuple_loss_and_gradient_are_zero(batch, build, case, labels):
    loss = build("loss", *CASES[case])
    value, gradient = value_and_gradient(loss, labels, batch.embeddings[: len(labels)])
    assert np.isfinite(gradient).all()
    if case.split("-")[0] in OF_PAIRS and len(labels) > 1:
        assert np.isfinite(value)
    else:
        assert value == 0.0 and not np.any(gradient)


HARD_ROWS = {
    "duplicates": lambda rows: rows[[0, 0, 2, 2, 4, 0, 0, 7, 7, 7]],
    "all equal": lambda rows: np.tile(rows[:1], (10, 1)),
    "all zero": np.zeros_like,
    "some zero": lambda rows: rows * (np.arange(10) % 3 > 0)[:, None],
    "long": lambda rows: 1e4 * rows / np.linalg.norm(rows, axis=1, keepdims=True),
    "short": lambda rows: 1e-12 * rows,
    "opposite": lambda rows: rows[[0] * 10] * np.array([1, -1] * 5)[:, None],
}


@spread_of_cases
@pytest.mark.parametrize("rows", HARD_ROWS.values(), ids=HARD_ROWS)
def test_value_and_gradient_stay_finite(batch, build, case, rows):
    loss = build("loss", *CASES[case])
    value, gradient = value_and_gradient(loss, batch.labels, rows(batch.embeddings).astype(np.float32))
    assert np.isfinite(value) and value >= 0.0
    assert np.isfinite(gradient).all()


@spread_of_cases
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_embeddings_cost_what_they_cost_in_double(batch, build, case, dtype):
    loss = build("loss", *CASES[case])
    half = tf.cast(batch.embeddings, dtype)
    value, gradient = value_and_gradient(loss, batch.labels, half)
    exact, exact_gradient = value_and_gradient(loss, batch.labels, tf.cast(half, tf.float64))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(tf.cast(gradient, tf.float64), exact_gradient, rtol=1e-2, atol=2e-3)


@spread_of_cases
def test_the_batch_as_its_own_references_is_the_plain_call(batch, build, case):
    if "loss.swap=true" in CASES[case]:
        pytest.skip("swap is refused with references")
    loss = build("loss", *CASES[case])
    labels, rows = batch
    ids = np.arange(10) * 3 + 2**25
    values = loss.call(labels, rows, ref_labels=labels, ref_embeddings=rows, ids=ids, ref_ids=ids)
    np.testing.assert_allclose(values, loss.call(labels, rows), rtol=1e-6)


@spread_of_cases
def test_references_in_another_order_cost_the_same(batch, bank, build, case):
    miner = case.split("-")[1]
    if miner in ORDER_MATTERS or "loss.swap=true" in CASES[case]:
        pytest.skip("the draw depends on the order; swap is refused with references")
    loss = build("loss", *CASES[case])
    plain = loss.call(*batch, ref_labels=bank.labels, ref_embeddings=bank.embeddings)
    turned = loss.call(*batch, ref_labels=bank.labels[::-1], ref_embeddings=bank.embeddings[::-1])
    assert np.sum(plain) > 0.0
    np.testing.assert_allclose(turned, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", GRAPHED)
def test_a_graph_costs_the_same_and_is_traced_once(batch, build, case):
    loss = build("loss", *CASES[case])
    graph = tf.function(lambda labels, rows: value_and_gradient(loss, labels, rows))
    for factor in (1.0, 0.5):
        rows = tf.constant(factor * batch.embeddings, tf.float32)
        for got, expected in zip(
            graph(tf.constant(batch.labels), rows), value_and_gradient(loss, batch.labels, rows), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert graph.experimental_get_tracing_count() == 1


def test_a_graph_of_unknown_batch_size_costs_the_same(batch, build):
    for loss in (build("loss", f"loss={name}", "miner=none") for name in LOSSES):
        shapes = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)]
        graph = tf.function(loss, input_signature=shapes)
        for size in (10, 7):
            labels, rows = batch.labels[:size], batch.embeddings[:size].astype(np.float32)
            np.testing.assert_allclose(graph(labels, rows), loss(labels, rows), rtol=1e-5)


@pytest.mark.parametrize("case", COMPILED)
def test_xla_costs_the_same(batch, build, case):
    loss = build("loss", *CASES[case])
    rows = batch.embeddings.astype(np.float32)
    compiled = tf.function(lambda labels, rows: value_and_gradient(loss, labels, rows), jit_compile=True)
    for got, expected in zip(compiled(batch.labels, rows), value_and_gradient(loss, batch.labels, rows), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def graphs_in(graph):
    """A graph and those of its functions: loop bodies, gradients."""
    yield graph
    for name in graph._functions:
        yield from graphs_in(graph._get_function(name).graph)


@spread_of_cases
def test_memory_is_that_of_a_few_distance_matrices(build, case):
    size = 1024
    loss = build("loss", *CASES[case])
    graph = (
        tf.function(lambda labels, rows: value_and_gradient(loss, labels, rows))
        .get_concrete_function(tf.TensorSpec([size], tf.int64), tf.TensorSpec([size, 64], tf.float32))
        .graph
    )
    operations = [operation for part in graphs_in(graph) for operation in part.get_operations()]
    assert len(operations) > 50
    # A list would keep a tensor of every turn of a loop.
    assert not [operation.name for operation in operations if operation.type.startswith("TensorList")]
    for tensor in (tensor for operation in operations for tensor in operation.outputs if tensor.consumers()):
        assert tensor.shape.is_fully_defined(), tensor
        assert tensor.shape.num_elements() <= 4 * size * size, tensor


BAD_CALLS = {
    "embeddings of rank 3": ({"embeddings": np.ones((4, 2, 2))}, r"embeddings must be \[batch, dim\]"),
    "only ref_labels": ({"ref_labels": [0, 1]}, "must be given together"),
    "only ref_embeddings": ({"ref_embeddings": np.ones((2, 3))}, "must be given together"),
    "labels of rank 3": ({"labels": np.ones((4, 1, 1), int)}, r"labels must be \[batch\]"),
}


@pytest.mark.parametrize(("change", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_calls_that_make_no_sense_are_refused(build, change, message):
    arguments = {"labels": [0, 0, 1, 1], "embeddings": np.ones((4, 3))} | change
    with pytest.raises(ValueError, match=message):
        build("loss", "loss=triplet")(**arguments)


def test_labels_of_another_batch_are_refused(build):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        build("loss", "loss=triplet")([0, 0, 1], np.ones((4, 3)))

"""Every miner of conf/miner: the properties that all of them have."""

import dataclasses
import inspect
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.tuples import Pairs, Quadruplets, Triplets

ROOT = pathlib.Path(__file__).parent.parent
# "none" is no miner: all pairs.
MINERS = sorted(file.stem for file in (ROOT / "conf/miner").glob("*.yaml") if file.stem != "none")

# They draw; the first row's distances are the seed, so another order of the batch is another draw.
DRAWS = {"distance_weighted", "quadruplet_margin", "random", "triplet_margin", "uniform_histogram"}
# They compare references with each other, or go by the place of a row, so the references must be the anchors.
OWN_BATCH = {"angular", "packed"}
# The place of a row says what it is.
ORDERED = {"packed"}

every_miner = pytest.mark.parametrize("name", MINERS)


def as_sets(selection):
    """(anchor, positive, negative..., weight...) of the tuples that count, or the weights of pairs."""
    if isinstance(selection, Pairs):
        return [selection.positive_weights.numpy().tolist(), selection.negative_weights.numpy().tolist()]
    num_columns = 3 if isinstance(selection, Quadruplets) else 2
    fields = [field.numpy() for field in selection]
    cells = np.argwhere(np.any(fields[num_columns:], axis=0))
    return sorted((int(a), *(float(field[a, s]) for field in fields)) for a, s in cells)


def weights_of(selection):
    """The fields that are weights, one array."""
    return np.stack(selection[{Pairs: 0, Triplets: 2, Quadruplets: 3}[type(selection)] :])


def check_valid(selection, positive_mask, negative_mask):
    """Brute force: every tuple that counts is one of its masks, and has the right shape and type."""
    num_anchors, num_references = positive_mask.shape
    if isinstance(selection, Pairs):
        for weights, mask in zip(selection, (positive_mask, negative_mask), strict=True):
            assert weights.dtype == tf.float32 and weights.shape == mask.shape
            assert np.all(weights.numpy() >= 0.0) and not np.any(weights.numpy()[~mask])
        return
    assert isinstance(selection, Triplets | Quadruplets)
    positive, negative, *second, weights = (field.numpy() for field in selection)
    assert positive.dtype == negative.dtype == np.int32
    assert np.all((0 <= positive) & (positive < num_references) & (0 <= negative) & (negative < num_references))
    if second:
        second_negative, first_weights = second
        assert second_negative.dtype == np.int32
        assert np.all((0 <= second_negative) & (second_negative < num_anchors))
        for a, slot in np.argwhere(weights):
            m = second_negative[a, slot]
            assert negative_mask[m, negative[a, slot]]
            # Of another class than the anchor: some reference is a negative of one of them only.
            assert np.any(negative_mask[a] != negative_mask[m])
        both = (first_weights, weights)
    else:
        both = (weights,)
    for weights in both:
        assert weights.dtype == np.float32 and np.all(weights >= 0.0)
        assert positive.shape == negative.shape == weights.shape
        assert len(weights) == num_anchors and weights.shape[1] in (1, num_references)
        for a, slot in np.argwhere(weights):
            assert positive_mask[a, positive[a, slot]]
            assert negative_mask[a, negative[a, slot]]


def placed(name, rows):
    """The batch [A, B, A, C, ...], or for a miner that goes by places one whose rows 0-2, and 3-5, are triplets."""
    if name not in ORDERED:
        return rows
    labels, embeddings = rows
    order = [0, 2, 1, 5, 8, 3, 4, 6, 7, 9]
    return type(rows)(labels[order], embeddings[order])


def problem_of(labels, rows):
    distances = np.linalg.norm(rows[:, None] - rows, axis=-1).astype(np.float32)
    same = np.equal.outer(labels, labels)
    return distances, same & ~np.eye(len(rows), dtype=bool), ~same


def test_files_exports_and_tests_cover_each_other(build):
    built = {name: build("miner", f"miner={name}") for name in MINERS}
    assert sorted(type(miner).__name__ for miner in built.values()) == sorted(miners.__all__)
    for name, miner in built.items():
        assert type(miner).__module__ == f"miners.{name}"
        assert (ROOT / f"tests/miners/test_{name}.py").exists()
    assert DRAWS | OWN_BATCH | ORDERED <= set(MINERS)
    assert build("miner", "miner=none") is None


@every_miner
def test_is_a_frozen_dataclass_whose_fields_the_yaml_names(build, name):
    miner = build("miner", f"miner={name}")
    written = (ROOT / f"conf/miner/{name}.yaml").read_text()
    for field in dataclasses.fields(miner):
        assert f"\n{field.name}:" in written or f"@{field.name}:" in written
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(miner, field.name, None)
    assert list(inspect.signature(miner).parameters) == ["distances", "positive_mask", "negative_mask"]


@every_miner
def test_selects_valid_tuples_only_and_some(batch, batch_with_duplicates, build, name):
    miner = build("miner", f"miner={name}")
    for rows in (batch, batch_with_duplicates):
        problem = problem_of(*placed(name, rows))
        selection = miner(*problem)
        check_valid(selection, *problem[1:])
        assert np.all(weights_of(selection).sum(axis=(1, 2)) > 0.0)


@every_miner
def test_selects_valid_tuples_from_references_of_another_number(batch, bank, build, name):
    distances = np.linalg.norm(batch.embeddings[:, None] - bank.embeddings, axis=-1).astype(np.float32)
    same = np.equal.outer(batch.labels, bank.labels)
    miner = build("miner", f"miner={name}")
    if name in OWN_BATCH:
        with pytest.raises(ValueError, match="got 10 anchors and 7"):
            miner(distances, same, ~same)
        return
    selection = miner(distances, same, ~same)
    check_valid(selection, same, ~same)
    assert np.all(weights_of(selection).sum(axis=(1, 2)) > 0.0)


@every_miner
@pytest.mark.parametrize("labels", [[5], [5, 5, 5], [1, 2, 3]], ids=["one row", "one class", "all different"])
def test_selects_nothing_where_nothing_is_valid(batch, build, name, labels):
    problem = problem_of(np.array(labels), batch.embeddings[: len(labels)])
    selection = build("miner", f"miner={name}")(*problem)
    check_valid(selection, *problem[1:])
    if not isinstance(selection, Pairs):
        assert not np.any(weights_of(selection))


EXTREMES = {"all equal": 0.0, "far": 1e8, "tiny": 1e-30}


@every_miner
@pytest.mark.parametrize("distance", EXTREMES.values(), ids=EXTREMES)
def test_equal_and_extreme_distances_still_give_valid_finite_tuples(batch, build, name, distance):
    _, positive_mask, negative_mask = problem_of(*batch)
    selection = build("miner", f"miner={name}")(np.full((10, 10), distance, np.float32), positive_mask, negative_mask)
    check_valid(selection, positive_mask, negative_mask)
    assert all(np.isfinite(field).all() for field in selection)


@every_miner
def test_no_gradient_flows_through_the_selection(batch, build, name):
    distances, positive_mask, negative_mask = problem_of(*batch)
    with tf.GradientTape() as tape:
        distances = tf.Variable(distances)
        selection = build("miner", f"miner={name}")(distances, positive_mask, negative_mask)
        total = sum(tf.reduce_sum(tf.cast(field, tf.float32)) for field in selection)
    assert tape.gradient(total, distances) is None


@pytest.mark.parametrize("name", [name for name in MINERS if name not in DRAWS | ORDERED])
def test_order_of_the_batch_does_not_matter(batch, build, name):
    miner = build("miner", f"miner={name}")
    labels, rows = batch
    order = np.random.default_rng(2).permutation(10)
    # Row i of the permuted batch is row order[i] of the batch.
    permuted = miner(*problem_of(labels[order], rows[order]))
    plain = miner(*problem_of(labels, rows))
    if isinstance(plain, Pairs):
        for before, after in zip(plain, permuted, strict=True):
            np.testing.assert_array_equal(before.numpy()[order][:, order], after)
    else:
        num_columns = 4 if isinstance(plain, Quadruplets) else 3
        renamed = [
            (*(order[int(column)] for column in row[:num_columns]), *row[num_columns:]) for row in as_sets(permuted)
        ]
        assert sorted(renamed) == as_sets(plain)


@every_miner
def test_a_graph_selects_the_same_and_is_traced_once(batch, build, name):
    miner = build("miner", f"miner={name}")
    graph = tf.function(miner)
    for factor in (1.0, 0.5):
        labels, rows = placed(name, batch)
        distances, *masks = problem_of(labels, factor * rows)
        arguments = [tf.constant(field) for field in (distances, *masks)]
        assert as_sets(graph(*arguments)) == as_sets(miner(*arguments))
    assert graph.experimental_get_tracing_count() == 1
    shapes = [field.shape for field in graph.get_concrete_function(*arguments).structured_outputs]
    assert all(shape.is_fully_defined() for shape in shapes)


@every_miner
def test_xla_selects_the_same(batch, build, name):
    miner = build("miner", f"miner={name}")
    problem = problem_of(*placed(name, batch))
    compiled = tf.function(miner, jit_compile=True)(*problem)
    if name in DRAWS:
        # Sums are rounded otherwise, so a draw close to a bound may fall to the other side.
        check_valid(compiled, *problem[1:])
        assert np.mean(weights_of(compiled) == weights_of(miner(*problem))) > 0.9
    else:
        assert as_sets(compiled) == as_sets(miner(*problem))


@every_miner
def test_memory_is_that_of_a_few_distance_matrices(build, name):
    size = 1024
    shapes = [tf.TensorSpec([size, size], dtype) for dtype in (tf.float32, tf.bool, tf.bool)]
    graph = tf.function(build("miner", f"miner={name}")).get_concrete_function(*shapes).graph
    functions = [graph._get_function(function).graph for function in graph._functions]
    for part in [graph, *functions]:
        for tensor in (tensor for operation in part.get_operations() for tensor in operation.outputs):
            if tensor.consumers():
                assert tensor.shape.is_fully_defined(), tensor
                assert tensor.shape.num_elements() <= 4 * size * size, tensor


@every_miner
def test_a_saved_miner_is_rebuilt(build, name):
    miner = build("miner", f"miner={name}")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(miner)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert rebuilt == miner and type(rebuilt) is type(miner)

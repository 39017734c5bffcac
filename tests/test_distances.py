"""Each distance against its definition in float64 loops, and its gradient where a formula would divide by zero."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.distances import DISTANCES, check_distance, normalize, pairwise, rowwise
from metric_learning.losses import Contrastive
from miners import Angular


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def variance(x):
    mean = sum(x) / len(x)
    return sum((a - mean) ** 2 for a in x) / len(x)


ORACLES = {
    "cosine": lambda x, y: 1.0 - dot(x, y) / math.sqrt(dot(x, x) * dot(y, y)),
    "euclidean": lambda x, y: math.dist(x, y),
    "squared_euclidean": lambda x, y: math.dist(x, y) ** 2,
    "dot": lambda x, y: -dot(x, y),
    "snr": lambda x, y: variance([a - b for a, b in zip(x, y, strict=True)]) / variance(x),
}
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def loops(rows, refs, distance):
    return np.array([[ORACLES[distance](x, y) for y in refs] for x in rows])


@pytest.fixture
def rows():
    """Multiples of 1/64, rows of unequal length: float32 computes their dot products exactly."""
    rng = np.random.default_rng(21)
    return np.round(64 * rng.normal(size=(6, 5)) * rng.uniform(0.2, 2.0, size=(6, 1))) / 64


@pytest.fixture
def refs():
    return np.round(64 * np.random.default_rng(22).normal(size=(4, 5))) / 64


def test_every_distance_has_an_oracle():
    assert set(ORACLES) == set(DISTANCES)


@every_distance
def test_equals_its_definition(rows, refs, distance):
    np.testing.assert_allclose(pairwise(rows, refs, distance=distance), loops(rows, refs, distance), rtol=1e-5)


@every_distance
def test_without_references_the_rows_are_compared_with_each_other(rows, distance):
    np.testing.assert_allclose(pairwise(rows, distance=distance), loops(rows, rows, distance), rtol=1e-5, atol=1e-6)


@every_distance
def test_gradients_equal_central_differences(rows, refs, distance, central_differences):
    weights = np.random.default_rng(23).normal(size=(6, 4))
    with tf.GradientTape() as tape:
        variables = tf.Variable(rows, dtype=tf.float32), tf.Variable(refs, dtype=tf.float32)
        total = tf.reduce_sum(pairwise(*variables, distance=distance) * weights.astype(np.float32))
    gradients = tape.gradient(total, variables)
    wanted = (
        central_differences(lambda rows: np.sum(weights * loops(rows, refs, distance)), rows),
        central_differences(lambda refs: np.sum(weights * loops(rows, refs, distance)), refs),
    )
    for gradient, expected in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3)


@every_distance
def test_grows_with_difference(distance):
    anchor = np.array([[1.0, 0.5, -0.25, 2.0]])
    near, far = anchor + [[0.1, -0.1, 0.1, 0.0]], anchor * [[1.0, -1.0, 1.0, -1.0]]
    to_near, to_far = pairwise(anchor, np.concatenate([near, far]), distance=distance)[0]
    assert to_near < to_far


DEGENERATE = {
    "equal rows": np.tile([[0.3, -1.7, 2.9]], (4, 1)),
    "zero rows": np.zeros((4, 3)),
    "constant rows": np.ones((4, 3)),
    "one zero row": np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [-1.0, 0.0, 0.5]]),
    "long rows": 1e4 * np.array([[0.1, 0.7, 0.7], [0.1, 0.7, 0.7], [0.5, -0.5, 0.7], [0.0, 0.0, 1.0]]),
    "short rows": 1e-20 * np.array([[0.1, 0.7, 0.7], [0.1, 0.7, 0.7], [0.5, -0.5, 0.7], [0.0, 0.0, 1.0]]),
}


@every_distance
@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE)
def test_value_and_gradient_are_finite_on_degenerate_rows(distance, rows):
    rows = tf.Variable(rows, dtype=tf.float32)
    with tf.GradientTape() as tape:
        distances = pairwise(rows, distance=distance)
        total = tf.reduce_sum(distances)
    assert np.isfinite(distances).all()
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(total, rows))).all()
    if distance != "dot":
        assert np.all(distances >= 0.0)


def test_the_gradient_at_distance_zero_is_zero():
    rows = tf.Variable([[1.0, 2.0], [1.0, 2.0]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(pairwise(rows, distance="euclidean"))
    assert total == 0.0
    assert not np.any(tape.gradient(total, rows))


ZERO_FOR_EQUAL_ROWS = sorted(set(DISTANCES) - {"dot"})
every_zero = pytest.mark.parametrize("distance", ZERO_FOR_EQUAL_ROWS)
graph_and_xla = pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])


def repeated(dim, kind, size=1.0, num_rows=57):
    """[num_rows, dim] float32, of which every row stands there several times, and which is which."""
    rng = np.random.default_rng(25)
    different = rng.normal(size=(19, dim)) * size
    if kind == "sparse":  # like the output of a ReLU: nothing, or 0 with either sign, in the columns that come first
        different[:, : dim // 3] = 0.0
    which = rng.permutation(np.arange(num_rows) % len(different))
    rows = different[which].astype(np.float32)
    return np.where(rows == 0.0, np.copysign(0.0, rng.normal(size=rows.shape)), rows).astype(np.float32), which


@graph_and_xla
@every_zero
@pytest.mark.parametrize("dim", [3, 127, 2048])
def test_equal_rows_and_only_these_are_at_distance_zero(distance, dim, jit_compile):
    @functools.partial(tf.function, jit_compile=jit_compile)
    def compared(rows, refs):
        return pairwise(rows, distance=distance), pairwise(rows, refs, distance=distance)

    for size in (1e-3, 1.0, 1e8):
        for kind in ("dense", "sparse"):
            rows, which = repeated(dim, kind, size)
            chosen = np.random.default_rng(26).permutation(len(rows))[:41]
            among_themselves, to_refs = compared(rows, rows[chosen])
            equal = np.equal.outer(which, which)
            np.testing.assert_array_equal(among_themselves == 0.0, equal)
            np.testing.assert_array_equal(to_refs == 0.0, equal[:, chosen])


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
def test_rows_that_differ_in_one_entry_keep_their_distances(distance):
    same_start = np.tile(np.random.default_rng(27).integers(-64, 64, size=(1, 40)), (30, 1)) / 64
    same_start[:, -1] += np.arange(30) / 64
    zeros_and_ones = np.array(list(itertools.product([0.0, 1.0], repeat=9)))
    orders = np.array(list(itertools.permutations([-2.0, 0.5, 1.0, 2.0, 3.0])))
    for rows in (same_start, zeros_and_ones, orders):  # whose distances float32 computes exactly
        expected = np.square(rows[:, None] - rows).sum(axis=2)
        expected = np.sqrt(expected) if distance == "euclidean" else expected
        np.testing.assert_allclose(pairwise(rows, distance=distance), expected, rtol=1e-6)


@every_zero
def test_duplicates_leave_the_gradient_of_other_pairs_alone(distance):
    rows, which = repeated(16, "dense")
    others = np.not_equal.outer(which, which)
    variable = tf.Variable(rows)
    with tf.GradientTape(persistent=True) as tape:
        compared = tf.reduce_sum(tf.boolean_mask(pairwise(variable, distance=distance), others))
        first, second = (tf.gather(variable, place) for place in np.nonzero(others))
        one_by_one = tf.reduce_sum(rowwise(first, second, distance=distance))
    gradient, expected = (tf.convert_to_tensor(tape.gradient(total, variable)) for total in (compared, one_by_one))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@graph_and_xla
@pytest.mark.parametrize("dim", [3, 128])
@pytest.mark.parametrize("num_rows", [15, 505])
def test_normalize_does_the_same_wherever_a_row_stands(num_rows, dim, jit_compile):
    rows = np.tile(np.random.default_rng(28).normal(size=(1, dim)), (num_rows, 1)).astype(np.float32)
    unit = tf.function(normalize, jit_compile=jit_compile)(rows).numpy()
    np.testing.assert_array_equal(unit, unit[:1].repeat(num_rows, axis=0))


@every_zero
def test_equal_rows_of_the_same_place_are_at_distance_zero(distance):
    rows = np.random.default_rng(29).normal(size=(400, 37)).astype(np.float32)
    np.testing.assert_array_equal(rowwise(rows, rows, distance=distance), 0.0)
    np.testing.assert_array_equal(rowwise(rows, 2.0 * rows, distance="cosine"), 0.0)


def test_a_zero_row_has_no_direction_in_common_with_another():
    assert rowwise([[0.0, 0.0]], [[0.0, 0.0]], distance="cosine")[0] == 1.0


@every_zero
def test_a_loss_that_averages_the_active_pairs_counts_no_duplicates(distance):
    rows, labels = repeated(64, "dense")
    labels[labels == 1] = 0  # so that a class has pairs of unequal rows too
    loss = Contrastive(negative_margin=0.9, squared=False, average="active", distance=distance)
    distances = loops(rows.astype(np.float64), rows.astype(np.float64), distance)
    distances[np.all(rows[:, None] == rows, axis=2)] = 0.0
    same = np.equal.outer(labels, labels) & ~np.eye(len(rows), dtype=bool)
    pulls = distances[same & (distances > 0.0)]
    pushes = 0.9 - distances[(distances < 0.9) & np.not_equal.outer(labels, labels)]
    expected = pulls.mean() + (pushes.mean() if len(pushes) else 0.0)
    np.testing.assert_allclose(loss(labels, rows), expected, rtol=1e-4)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_a_duplicate_is_seen_under_no_angle(distance):
    rows, labels = repeated(64, "dense")
    same = np.equal.outer(labels, labels)
    selected = Angular(angle=1e-6, distance=distance)(
        pairwise(rows, distance=distance), same & ~np.eye(len(rows), dtype=bool), ~same
    )
    assert not np.any(selected.weights)


def test_cosine_stays_in_its_range_and_puts_a_zero_row_at_one():
    rows = np.random.default_rng(24).normal(size=(200, 3))
    rows = np.concatenate([rows, -rows, np.zeros((1, 3))])
    distances = pairwise(rows, distance="cosine").numpy()
    assert distances.min() == 0.0 and distances.max() == 2.0
    np.testing.assert_array_equal(distances[-1], 1.0)


@every_distance
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64], ids=lambda dtype: dtype.name)
def test_is_computed_in_float32_whatever_the_input(distance, dtype):
    # In half precision the squares, about 90,000, would be infinite and the differences lost.
    rows = tf.cast(300.0 + np.arange(12.0).reshape(3, 4) ** 1.5, dtype)
    distances = pairwise(rows, distance=distance)
    assert distances.dtype == tf.float32
    np.testing.assert_array_equal(distances, pairwise(tf.cast(rows, tf.float32), distance=distance))
    mixed = pairwise(rows, tf.cast(rows, tf.float32), distance=distance)
    np.testing.assert_array_equal(mixed, distances)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_normalize_makes_unit_rows_of_any_size(rows, size):
    unit = normalize(rows * size)
    np.testing.assert_allclose(unit, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_normalize_keeps_a_zero_row_without_gradient():
    rows = tf.Variable([[0.0, 0.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        unit = normalize(rows)
        total = tf.reduce_sum(unit * [[1.0, 2.0], [1.0, 2.0]])
    np.testing.assert_allclose(unit, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)
    # (w - u (u.w)) / |x| with w = (1, 2), u = (.6, .8), |x| = 5
    np.testing.assert_allclose(tape.gradient(total, rows), [[0.0, 0.0], [-0.064, 0.048]], atol=1e-6)


def test_an_unknown_distance_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="distance must be one of cosine, euclidean, .*; got 'manhattan'"):
        pairwise([[1.0]], distance="manhattan")
    check_distance("snr")


@every_distance
def test_rows_of_the_same_place_are_as_far_as_the_definition_says(rows, distance):
    others = rows[::-1].copy()
    expected = [ORACLES[distance](x, y) for x, y in zip(rows, others, strict=True)]
    np.testing.assert_allclose(rowwise(rows, others, distance=distance), expected, rtol=1e-5)
    blocks = rowwise(rows.reshape(2, 3, 5), others.reshape(2, 3, 5), distance=distance)
    np.testing.assert_allclose(blocks, np.reshape(expected, (2, 3)), rtol=1e-5)


@every_distance
@pytest.mark.parametrize("row", [np.zeros(5), np.ones(5), np.full(5, 1e4)], ids=["zero", "ones", "long"])
def test_equal_rows_of_the_same_place_pass_a_finite_gradient(row, distance):
    first = tf.Variable([row], dtype=tf.float16 if row[0] < 2 else tf.float32)
    with tf.GradientTape() as tape:
        value = rowwise(first, tf.constant([row], first.dtype), distance=distance)
    assert value.dtype == tf.float32 and np.isfinite(value).all()
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(value, first))).all()


def test_near_rows_of_the_same_place_do_not_cancel():
    near = rowwise([[1000.0, 0.0]], [[1000.0, 0.001]], distance="euclidean")
    np.testing.assert_allclose(near, [0.001], rtol=1e-6)


def test_rows_of_other_shapes_or_distances_are_refused():
    with pytest.raises(ValueError, match="rows must come in equal shapes"):
        rowwise([[1.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="distance must be one of"):
        rowwise([[1.0]], [[1.0]], distance="manhattan")


@every_distance
def test_broken_rows_are_not_hidden(distance):
    broken, sound = [[np.nan, 1.0]], [[1.0, 2.0]]
    assert np.isnan(rowwise(broken, sound, distance=distance)).all()
    assert np.isnan(pairwise(broken, sound, distance=distance)).all()

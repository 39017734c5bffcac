"""All triplets of a hinge by sorting: the sums, counts and slopes of a loop over every triplet."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Triplet, sorted_hinges, triplet
from metric_learning.tuples import thresholds


def loops(distances, positive_weights, negative_weights, margin):
    """Sums and active weights [B], and the slope of each distance [B, M], in float64."""
    sums, active, slopes = np.zeros(len(distances)), np.zeros(len(distances)), np.zeros(distances.shape)
    for a, p in np.argwhere(positive_weights):
        for n in np.flatnonzero(negative_weights[a]):
            cost = float(distances[a, p]) - float(distances[a, n]) + margin
            if cost > 0.0:
                weight = float(positive_weights[a, p]) * float(negative_weights[a, n])
                sums[a] += weight * cost
                active[a] += weight
                slopes[a, p] += weight
                slopes[a, n] -= weight
    return sums, active, slopes


def problem(ties, seed=0):
    """Distances and weights [12, 30]; row 0 has positives only, row 1 negatives only, row 2 neither."""
    rng = np.random.default_rng(seed)
    distances = rng.uniform(-1.0, 1.0, size=(12, 30)).astype(np.float32)
    if ties:
        distances = np.round(4 * distances) / 4
    kinds = rng.integers(0, 3, size=(12, 30))
    kinds[0], kinds[1], kinds[2] = 0, 1, 2
    weights = rng.integers(0, 3, size=(12, 30)) * rng.uniform(0.1, 1.0, size=(12, 30))
    return distances, *((weights * (kinds == kind)).astype(np.float32) for kind in (0, 1))


def with_slopes(function, distances):
    """The sums, the active weights, and the slopes with every anchor counting differently."""
    distances = tf.convert_to_tensor(distances)
    upstream = tf.linspace(0.5, 2.0, distances.shape[0])
    with tf.GradientTape() as tape:
        tape.watch(distances)
        sums, active = function(distances)
        total = tf.reduce_sum(upstream * sums)
    return sums, active, tape.gradient(total, distances) / upstream[:, None]


@pytest.mark.parametrize("ties", [False, True], ids=["all different", "ties"])
@pytest.mark.parametrize("margin", [0.0, 0.25])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_equals_loops(ties, margin, how):
    distances, *weights = problem(ties)
    expected = loops(distances, *weights, margin)
    assert 0 < np.count_nonzero(expected[1]) < 12
    differences = distances[:, :, None] - distances[:, None, :] + margin
    counted = (weights[0][:, :, None] > 0) & (weights[1][:, None, :] > 0)
    assert np.any(differences[counted] == 0.0) == ties

    def got(distances):
        return with_slopes(lambda matrix: sorted_hinges.sum_of_hinges(matrix, *weights, margin), distances)

    run = got if how == "eager" else tf.function(got, jit_compile=how == "xla")
    for value, wanted in zip(run(distances), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-6, atol=2e-6)


# Below 1.2e-38 TensorFlow counts as 0.
@pytest.mark.parametrize(
    "distances", [[0.0, -0.0, 0.0], [1.2e-38, 0.0, 2.0], [-3e38, 3e38, 3e38], [-1.2e-38, 0.0, 1.0]]
)
def test_order_at_a_margin_of_zero_is_exact(distances):
    distances = np.array([distances], np.float32)
    for positive, negatives in ((0, [1, 2]), (1, [0, 2]), (2, [0, 1])):
        weights = np.zeros((2, 1, 3), np.float32)
        weights[0, 0, positive], weights[1, 0, negatives] = 1.0, 1.0
        _, active, slopes = with_slopes(
            lambda matrix, pair=weights: sorted_hinges.sum_of_hinges(matrix, *pair, 0.0), distances
        )
        wanted = loops(distances, *weights, 0.0)
        np.testing.assert_array_equal(active, wanted[1])
        np.testing.assert_array_equal(slopes, wanted[2])


def test_infinite_negatives_and_references_that_do_not_count_cost_nothing():
    distances = np.array([[1.0, 0.5, np.inf, np.nan, np.inf]], np.float32)
    positive, negative = np.array([[[1, 0, 0, 0, 0]], [[0, 1, 1, 0, 0]]], np.float32)
    sums, active, slopes = with_slopes(lambda m: sorted_hinges.sum_of_hinges(m, positive, negative, 0.25), distances)
    assert sums[0] == 0.75 and active[0] == 1.0
    np.testing.assert_array_equal(slopes, [[1.0, -1.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("column", [0, 1])
def test_a_nan_is_not_hidden(column):
    distances = np.array([[1.0, 0.5, 0.7]], np.float32)
    distances[0, column] = np.nan
    weights = np.array([[[1, 0, 0]], [[0, 1, 1]]], np.float32)
    assert np.isnan(sorted_hinges.sum_of_hinges(tf.constant(distances), *weights, 0.25)[0][0])


@pytest.mark.parametrize("most", [0, 1, 100])
@pytest.mark.parametrize("average", ["selected", "active"])
def test_the_loss_is_the_same_on_either_path(batch, monkeypatch, most, average):
    labels, rows = batch

    def value_and_gradient():
        with tf.GradientTape() as tape:
            watched = tf.Variable(rows, dtype=tf.float32)
            value = Triplet(margin=0.5, average=average)(labels, watched)
        return value, tf.convert_to_tensor(tape.gradient(value, watched))

    calls = []
    sorting = triplet.sum_of_hinges
    monkeypatch.setattr(triplet, "sum_of_hinges", lambda *arguments: calls.append(1) or sorting(*arguments))
    monkeypatch.setattr(thresholds, "MOST_FOR_A_HINGE_LOOP", 100)
    wanted = value_and_gradient()
    assert not calls
    monkeypatch.setattr(thresholds, "MOST_FOR_A_HINGE_LOOP", most)
    for got, expected in zip(value_and_gradient(), wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    # The largest class has three positives for each row.
    assert len(calls) == (most < 3)


def test_weights_that_overlap_take_the_loop(monkeypatch):
    monkeypatch.setattr(thresholds, "MOST_FOR_A_HINGE_LOOP", 0)
    distances, positive, negative = problem(ties=False)
    negative = negative + 0.5 * positive
    got = triplet.sum_over_all_triplets(
        tf.constant(distances), positive, negative, lambda x: tf.nn.relu(x + 0.25), margin=0.25
    )
    for value, wanted in zip(got, loops(distances, positive, negative, 0.25), strict=False):
        np.testing.assert_allclose(value, wanted, rtol=1e-5)


def test_a_margin_may_be_a_tensor():
    distances, *weights = problem(ties=False)
    sums, _ = tf.function(sorted_hinges.sum_of_hinges)(tf.constant(distances), *weights, tf.constant(0.25))
    np.testing.assert_allclose(sums, loops(distances, *weights, 0.25)[0], rtol=2e-6, atol=2e-6)

"""UniformHistogram: the weights of bins against numpy.histogram, and its draws against them."""

import numpy as np
import pytest

from miners import UniformHistogram


def oracle(distances, mask, num_bins, per_bin):
    """The average weight of each pair: per_bin / pairs in its bin; and the edges of the bins."""
    inside = distances[mask].astype(np.float64)
    expected, edges = np.zeros(distances.shape), np.zeros(0)
    if len(inside):
        edges = np.linspace(inside.min(), inside.max(), num_bins + 1)
        for a, j in np.argwhere(mask):
            place = min(np.searchsorted(edges, distances[a, j], side="right"), num_bins) - 1
            last = place == num_bins - 1
            above = inside >= edges[place]
            expected[a, j] = per_bin / np.sum(above & ((inside <= edges[-1]) if last else (inside < edges[place + 1])))
    return expected, edges


def check_drawn(weights, expected):
    """Kept pairs weigh their average, or 1 if that is a probability; others weigh 0."""
    np.testing.assert_allclose(weights[weights > 0], np.maximum(expected, 1.0)[weights > 0], rtol=1e-6)
    assert np.all(weights[expected >= 1.0] > 0)
    assert not np.any(weights[expected == 0.0])


@pytest.mark.parametrize(("num_bins", "per_bin"), [(1, 2), (4, 1), (7, 2.5), (100, 10)])
def test_each_bin_weighs_the_same_on_average(problems, num_bins, per_bin):
    miner = UniformHistogram(num_bins, per_bin, 2 * per_bin)
    for name, problem in problems.items():
        distances, *masks = problem
        if name in ("all equal", "ties"):
            continue  # below: many distances lie on the edge of two bins
        for weights, mask, wanted in zip(miner(*problem), masks, (per_bin, 2 * per_bin), strict=True):
            expected, _ = oracle(distances, mask, num_bins, wanted)
            np.testing.assert_allclose(miner.expected_weights(distances, mask, wanted), expected, rtol=1e-6)
            check_drawn(weights.numpy(), expected)


def test_by_hand():
    # Two bins, [0, 2) and [2, 4]: three pairs and two, the last distance being in the last bin.
    distances = np.array([[0.0, 1.0, 1.5, 2.0, 4.0, 9.0]], np.float32)
    mask = np.array([[1, 1, 1, 1, 1, 0]], bool)
    expected = UniformHistogram(num_bins=2).expected_weights(distances, mask, 6.0)
    np.testing.assert_allclose(expected, [[2, 2, 2, 3, 3, 0]])


def test_equal_distances_share_one_bin(problems):
    distances, *masks = problems["all equal"]
    miner = UniformHistogram(num_bins=10)
    for mask in masks:
        np.testing.assert_allclose(miner.expected_weights(distances, mask, 4.0), mask * 4.0 / mask.sum())


def test_draws_spread_evenly_over_distance_though_the_pairs_do_not():
    rng = np.random.default_rng(18)
    mask = np.triu(np.ones((120, 120), bool), 1)
    totals = np.zeros(10)
    for _ in range(10):
        distances = rng.normal(size=(120, 120)).astype(np.float32)
        distances[~mask] = 99.0
        pairs = UniformHistogram(10, 40, 40)(distances, mask, np.zeros_like(mask))
        _, edges = oracle(distances, mask, 10, 40)
        totals += np.histogram(distances[mask], bins=edges, weights=pairs.positive_weights.numpy()[mask])[0]
        assert not np.any(pairs.negative_weights)
    # 400 a bin, drawn with a standard deviation of at most 20.
    assert np.all(np.abs(totals - 400) < 80)


def test_another_batch_keeps_others(problems):
    rng = np.random.default_rng(19)
    distances = rng.uniform(size=(60, 60)).astype(np.float32)
    mask = np.ones((60, 60), bool)
    first, again, other = (
        UniformHistogram(5, 40, 40)(matrix, mask, ~mask).positive_weights.numpy() > 0
        for matrix in (distances, distances, 0.9 * distances)
    )
    np.testing.assert_array_equal(first, again)
    assert 100 < first.sum() < 300 and np.sum(first & other) < 0.3 * first.sum()


@pytest.mark.parametrize("name", ["num_bins", "positives_per_bin", "negatives_per_bin"])
def test_bad_arguments_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be .*; got 0"):
        UniformHistogram(**{name: 0})

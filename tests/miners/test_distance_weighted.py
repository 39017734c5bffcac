"""DistanceWeighted: its probabilities against the paper's density, and its draws against them."""

import dataclasses
import math

import numpy as np
import pytest

from miners import DistanceWeighted


def oracle(distances, negative_mask, embedding_dim, cutoff=0.5, nonzero_loss_cutoff=1.4):
    """Section 4 of the paper: P(n | a) ~ 1 / q(d_an), distances below the cutoff counting as it."""
    probabilities = np.zeros(distances.shape)
    for a, to in enumerate(distances.astype(np.float64)):
        for n in np.flatnonzero(negative_mask[a]):
            d = max(to[n], cutoff)
            if d < nonzero_loss_cutoff:
                q = d ** (embedding_dim - 2) * (1 - d * d / 4) ** ((embedding_dim - 3) / 2)
                probabilities[a, n] = 1 / q
        total = probabilities[a].sum()
        if total:
            probabilities[a] /= total
    return probabilities


@pytest.fixture
def sphere():
    """Distances of 40 points of the sphere in 8 dimensions, near and far ones, and their masks."""
    rng = np.random.default_rng(12)
    labels = rng.integers(0, 6, size=40)
    rows = rng.normal(size=(40, 8)) + 2.0 * rng.normal(size=(6, 8))[labels]
    rows[1] = rows[0] + 0.1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=-1).astype(np.float32)
    same = np.equal.outer(labels, labels)
    return distances, same & ~np.eye(40, dtype=bool), ~same


OPTIONS = {
    "paper": {"embedding_dim": 8},
    "plane": {"embedding_dim": 2},
    "high": {"embedding_dim": 128},
    "cutoff": {"embedding_dim": 8, "cutoff": 0.9},
    "far": {"embedding_dim": 8, "nonzero_loss_cutoff": 1.8},
}


@pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)
def test_probabilities_are_one_over_the_density_of_distances(sphere, arguments):
    distances, _, negative_mask = sphere
    expected = oracle(distances, negative_mask, **arguments)
    probabilities = DistanceWeighted(**arguments).probabilities(distances, negative_mask)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6, rtol=2e-4)


def test_every_hyperparameter_changes_the_probabilities(sphere):
    distances, _, negative_mask = sphere
    first = [oracle(distances, negative_mask, **arguments)[0] for arguments in OPTIONS.values()]
    for i, left in enumerate(first):
        for right in first[:i]:
            assert np.abs(left - right).max() > 1e-3


@pytest.mark.parametrize(
    ("distance", "matrix"),
    [("squared_euclidean", np.square), ("cosine", lambda distances: np.square(distances) / 2)],
    ids=["squared_euclidean", "cosine"],
)
def test_other_distances_of_the_sphere_give_the_same_probabilities(sphere, distance, matrix):
    distances, _, negative_mask = sphere
    miner = DistanceWeighted(embedding_dim=8, distance=distance)
    probabilities = miner.probabilities(matrix(distances), negative_mask)
    expected = oracle(distances, negative_mask, 8)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5, rtol=1e-3)


def test_draws_one_possible_negative_for_each_positive_pair(sphere):
    distances, positive_mask, negative_mask = sphere
    selected = DistanceWeighted(embedding_dim=8)(distances, positive_mask, negative_mask)
    possible = oracle(distances, negative_mask, 8) > 0.0
    np.testing.assert_array_equal(selected.weights, positive_mask & possible.any(axis=1, keepdims=True))
    for a, slot in np.argwhere(selected.weights.numpy()):
        assert selected.positive[a, slot] == slot
        assert possible[a, selected.negative[a, slot]]


def test_an_anchor_with_all_negatives_beyond_the_cutoff_draws_none():
    distances = np.array([[0.0, 1.0, 1.3], [1.0, 0.0, 1.5], [1.3, 1.5, 0.0]], np.float32)
    labels = np.array([0, 0, 1])
    same = np.equal.outer(labels, labels)
    miner = DistanceWeighted(embedding_dim=8)
    weights = miner(distances, same & ~np.eye(3, dtype=bool), ~same).weights
    assert weights.numpy().tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_frequencies_follow_the_probabilities_over_many_batches():
    # 300 anchors see the same eight references, four of them positives: 1,200 draws a batch.
    far = np.array([0.6, 0.8, 1.0, 1.2])
    negative_mask = np.zeros((300, 8), bool)
    negative_mask[:, 4:] = True
    counts, uncertain = np.zeros(4), DistanceWeighted(embedding_dim=4)
    rng = np.random.default_rng(13)
    for _ in range(20):
        distances = np.tile(np.r_[rng.uniform(0.5, 1.0, size=4), far], (300, 1))
        distances = distances.astype(np.float32)
        selected = uncertain(distances, ~negative_mask, negative_mask)
        assert selected.weights.numpy().sum() == 1200
        counts += np.bincount(selected.negative.numpy()[:, :4].ravel(), minlength=8)[4:]
    expected = 24_000 * oracle(distances, negative_mask, 4)[0, 4:]
    assert expected.min() > 1000
    # Chi-squared with 3 degrees of freedom: above 16.3 once in a thousand times.
    assert np.sum((counts - expected) ** 2 / expected) < 16.3


def test_slots_and_anchors_draw_independently():
    distances = np.tile(np.array([1.0] * 32, np.float32), (32, 1))
    negative_mask = np.zeros((32, 32), bool)
    negative_mask[:, 16:] = True
    drawn = DistanceWeighted(embedding_dim=4)(distances, ~negative_mask, negative_mask).negative
    drawn = drawn.numpy()[:, :16]
    assert len(np.unique(drawn, axis=0)) == 32 and len(np.unique(drawn, axis=1).T) == 16
    assert len(np.unique(drawn)) == 16


def test_one_batch_always_draws_alike_and_another_batch_otherwise(sphere):
    distances, positive_mask, negative_mask = sphere
    miner = DistanceWeighted(embedding_dim=8)
    first, again = (miner(distances, positive_mask, negative_mask).negative for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = miner(distances * 0.99, positive_mask, negative_mask).negative
    assert np.mean(first.numpy()[positive_mask] != other.numpy()[positive_mask]) > 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_dim": 1}, "embedding_dim must be at least 2; got 1"),
        ({"distance": "dot"}, "distance must be one of euclidean, .*; got 'dot'"),
        ({"cutoff": 1.5}, "expected 0 < cutoff < nonzero_loss_cutoff <= 2; got cutoff=1.5"),
    ],
    ids=["embedding_dim", "distance", "cutoff"],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DistanceWeighted(embedding_dim=8), **arguments)


def test_the_density_is_that_of_points_on_the_sphere():
    # The formula itself, against random points: their distances, weighted by 1 / q, are uniform.
    rng = np.random.default_rng(14)
    rows = rng.normal(size=(400, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=-1)[np.triu_indices(400, k=1)]
    distances = distances[(distances > 0.6) & (distances < 1.4)].astype(np.float32)[None]
    weights = oracle(distances, np.ones_like(distances, bool), 5)[0]
    shares, _ = np.histogram(distances[0], bins=8, range=(0.6, 1.4), weights=weights)
    assert math.isclose(shares.sum(), 1.0, rel_tol=1e-6)
    np.testing.assert_allclose(shares, 1 / 8, atol=0.01)

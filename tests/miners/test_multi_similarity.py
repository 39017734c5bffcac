"""MultiSimilarity against the paper's inequalities, which are written in similarities."""

import numpy as np
import pytest

from miners import MultiSimilarity


def oracle(similarities, positive_mask, negative_mask, epsilon):
    """Eq. 11 and 12: (positives, negatives) as sets of (anchor, column)."""
    positives, negatives = set(), set()
    for a, row in enumerate(similarities):
        own, others = row[positive_mask[a]], row[negative_mask[a]]
        if not len(own) or not len(others):
            continue
        negatives |= {(a, n) for n in np.flatnonzero(negative_mask[a]) if row[n] > min(own) - epsilon}
        positives |= {(a, p) for p in np.flatnonzero(positive_mask[a]) if row[p] < max(others) + epsilon}
    return positives, negatives


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
def test_keeps_the_pairs_of_the_paper(problems, epsilon):
    for name, problem in problems.items():
        distances, *masks = problem
        expected = oracle(1.0 - distances.astype(np.float64), *masks, epsilon)
        for weights, cells in zip(MultiSimilarity(epsilon=epsilon)(*problem), expected, strict=True):
            assert np.isin(weights, [0.0, 1.0]).all()
            assert {(a, j) for a, j in np.argwhere(weights.numpy())} == cells, name


def test_epsilon_changes_both_sides_on_these_inputs(problems):
    for name in ("batch", "bank"):
        distances, *masks = problems[name]
        none, some = (oracle(-distances.astype(np.float64), *masks, epsilon) for epsilon in (0.0, 0.3))
        every = [mask.sum() for mask in masks]
        for side in (0, 1):
            assert len(none[side]) < len(some[side]) < every[side], name


def test_by_hand():
    # Positives at 0.2 and 0.5, negatives at 0.45, 0.55 and 0.9; epsilon 0.1 lets d_ap > 0.35 and d_an < 0.6.
    distances = np.array([[0.2, 0.5, 0.45, 0.55, 0.9]], np.float32)
    positive_mask = np.array([[1, 1, 0, 0, 0]], bool)
    pairs = MultiSimilarity()(distances, positive_mask, ~positive_mask)
    assert pairs.positive_weights.numpy().tolist() == [[0, 1, 0, 0, 0]]
    assert pairs.negative_weights.numpy().tolist() == [[0, 0, 1, 1, 0]]


def test_epsilon_below_0_is_refused():
    with pytest.raises(ValueError, match="epsilon must be at least 0; got -0.1"):
        MultiSimilarity(epsilon=-0.1)

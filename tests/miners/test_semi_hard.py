"""SemiHard against loops: for each positive pair the nearest negative farther than the positive."""

import numpy as np
import pytest

from metric_learning.tuples import thresholds
from miners import SemiHard


def oracle(distances, positive_mask, negative_mask, farthest_if_none):
    """{(anchor, positive): distance of the negative}."""
    chosen = {}
    for a, p in np.argwhere(positive_mask):
        to_negatives = distances[a][negative_mask[a]]
        farther = [d for d in to_negatives if d > distances[a, p]]
        if farther:
            chosen[a, p] = min(farther)
        elif len(to_negatives) and farthest_if_none:
            chosen[a, p] = max(to_negatives)
    return chosen


@pytest.mark.parametrize("most_for_a_loop", [0, 100], ids=["sorting", "loop"])
@pytest.mark.parametrize("farthest_if_none", [True, False])
def test_takes_the_nearest_negative_farther_than_each_positive(
    problems, farthest_if_none, most_for_a_loop, monkeypatch
):
    monkeypatch.setattr(thresholds, "MOST_FOR_A_SEARCH_LOOP", most_for_a_loop)
    miner = SemiHard(farthest_if_none=farthest_if_none)
    for name, problem in problems.items():
        distances, _, negative_mask = problem
        positive, negative, weights = (x.numpy() for x in miner(*problem))
        expected = oracle(*problem, farthest_if_none)
        selected = np.argwhere(weights)
        assert np.all(weights[weights > 0] == 1.0)
        assert {(a, positive[a, s]) for a, s in selected} == set(expected), name
        for a, slot in selected:
            n = negative[a, slot]
            assert negative_mask[a, n], name
            assert distances[a, n] == expected[a, positive[a, slot]], name


def test_some_pairs_of_these_inputs_have_no_farther_negative(problems):
    for name in ("batch", "bank", "ties"):
        strict, filled = (oracle(*problems[name], fill) for fill in (False, True))
        assert 0 < len(strict) < len(filled), name


def test_a_negative_as_far_as_the_positive_is_not_farther():
    distances = np.array([[0.0, 1.0, 1.0, 3.0]], np.float32)
    positive_mask, negative_mask = np.array([[0, 1, 0, 0], [0, 0, 1, 1]], bool)[:, None]
    selected = SemiHard()(distances, positive_mask, negative_mask)
    assert selected.negative[0, 1] == 3

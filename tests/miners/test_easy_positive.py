"""EasyPositive against loops: the nearest positive, and a hard or semi-hard negative."""

import numpy as np
import pytest

from miners import EasyPositive


def oracle(distances, positive_mask, negative_mask, farther):
    """{anchor: (positive, negative)}; of equals the first."""
    chosen = {}
    for a, to in enumerate(distances):
        positives = np.flatnonzero(positive_mask[a])
        if len(positives) == 0:
            continue
        p = min(positives, key=lambda j: to[j])
        negatives = [n for n in np.flatnonzero(negative_mask[a]) if not farther or to[n] > to[p]]
        if negatives:
            chosen[a] = p, min(negatives, key=lambda j: to[j])
    return chosen


@pytest.mark.parametrize("negative", ["semi_hard", "hard"])
def test_takes_the_nearest_positive_and_the_nearest_allowed_negative(problems, negative):
    miner = EasyPositive(negative=negative)
    for name, problem in problems.items():
        positives, negatives, weights = (x.numpy()[:, 0] for x in miner(*problem))
        expected = oracle(*problem, farther=negative == "semi_hard")
        assert weights.tolist() == [float(a in expected) for a in range(len(weights))], name
        assert {a: (positives[a], negatives[a]) for a in expected} == expected, name


def test_the_two_kinds_of_negatives_differ_on_these_inputs(problems):
    for name in ("batch", "bank", "ties"):
        assert oracle(*problems[name], True) != oracle(*problems[name], False), name


def test_without_a_farther_negative_semi_hard_selects_nothing():
    distances = np.array([[0.0, 2.0, 2.0, 1.0]], np.float32)  # the negative at 2 ties, none is farther
    positive_mask, negative_mask = np.array([[0, 1, 0, 0], [0, 0, 1, 1]], bool)[:, None]
    assert EasyPositive()(distances, positive_mask, negative_mask).weights == 0.0
    assert EasyPositive(negative="hard")(distances, positive_mask, negative_mask).negative == 3


def test_unknown_negatives_are_refused():
    with pytest.raises(ValueError, match="negative must be one of semi_hard, hard; got 'easy'"):
        EasyPositive(negative="easy")

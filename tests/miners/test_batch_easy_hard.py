"""BatchEasyHard against loops: one pair of each side, picked by how hard it is."""

import itertools

import numpy as np
import pytest

from metric_learning.tuples import Pairs
from miners import BatchEasyHard

SINGLE = [
    (positive, negative)
    for positive, negative in itertools.product(("easy", "semi_hard", "hard"), repeat=2)
    if (positive, negative) != ("semi_hard", "semi_hard")
]
WITH_ALL = [("all", "all"), ("all", "easy"), ("all", "hard"), ("easy", "all"), ("hard", "all")]
RANGES = [(None, None), ((0.5, 2.0), None), (None, (1.0, 3.0)), ((0.0, 1.0), (-1.0, 1.0))]


def oracle(distances, positive_mask, negative_mask, kinds, ranges):
    """Per anchor the distance of the chosen positive and negative, None where there is none."""
    chosen = []
    for a, row in enumerate(distances):
        sides = []
        for mask, limits in zip((positive_mask, negative_mask), ranges, strict=True):
            low, high = limits or (-np.inf, np.inf)
            sides.append([d for d in row[mask[a]] if low <= d <= high])
        near, far = (lambda side: min(side, default=None)), (lambda side: max(side, default=None))
        positive = {"easy": near, "hard": far}.get(kinds[0], lambda side: None)(sides[0])
        negative = {"easy": far, "hard": near}.get(kinds[1], lambda side: None)(sides[1])
        if kinds[0] == "semi_hard" and negative is not None:
            positive = far([d for d in sides[0] if d < negative])
        if kinds[1] == "semi_hard" and positive is not None:
            negative = near([d for d in sides[1] if d > positive])
        chosen.append((positive, negative))
    return chosen


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("kinds", SINGLE)
def test_takes_the_positive_and_the_negative_of_each_kind(problems, kinds, ranges):
    miner = BatchEasyHard(*kinds, *ranges)
    for name, problem in problems.items():
        distances, positive_mask, negative_mask = problem
        positive, negative, weights = (x.numpy()[:, 0] for x in miner(*problem))
        for a, (to_positive, to_negative) in enumerate(oracle(*problem, kinds, ranges)):
            assert weights[a] == (to_positive is not None and to_negative is not None), (name, a)
            if weights[a]:
                assert positive_mask[a, positive[a]] and negative_mask[a, negative[a]], (name, a)
                assert distances[a, positive[a]] == to_positive, (name, a)
                assert distances[a, negative[a]] == to_negative, (name, a)


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("kinds", WITH_ALL)
def test_with_all_there_are_pairs_instead(problems, kinds, ranges):
    miner = BatchEasyHard(*kinds, *ranges)
    for name, problem in problems.items():
        distances, *masks = problem
        pairs = miner(*problem)
        assert isinstance(pairs, Pairs)
        expected = oracle(*problem, kinds, ranges)
        for side in (0, 1):
            weights, (low, high) = pairs[side].numpy(), ranges[side] or (-np.inf, np.inf)
            if kinds[side] == "all":
                np.testing.assert_array_equal(weights, masks[side] & (low <= distances) & (distances <= high))
                continue
            for a, row in enumerate(weights):
                wanted = [] if expected[a][side] is None else [expected[a][side]]
                assert distances[a][row == 1.0].tolist() == wanted, (name, a)
                assert not np.any(row[~masks[side][a]])


def test_the_kinds_differ_on_these_inputs(problems):
    for name in ("batch", "bank", "ties"):
        assert len({str(oracle(*problems[name], kinds, (None, None))) for kinds in SINGLE}) == len(SINGLE), name


def test_a_negative_as_far_as_the_positive_is_not_semi_hard_and_ranges_include_their_ends():
    problem = (
        np.array([[0.0, 1.0, 1.0, 3.0, 2.0]]),
        np.array([[0, 1, 0, 0, 0]], bool),
        np.array([[0, 0, 1, 1, 1]], bool),
    )
    problem = (problem[0].astype(np.float32), *problem[1:])
    assert BatchEasyHard()(*problem).negative.numpy() == 4
    assert BatchEasyHard(negative_range=(3.0, 3.0))(*problem).negative.numpy() == 3
    assert BatchEasyHard(negative="hard")(*problem).negative.numpy() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positive": "semihard"}, "positive must be one of easy, semi_hard, hard, all; got 'semihard'"),
        ({"negative": "any"}, "negative must be one of .*; got 'any'"),
        ({"positive": "semi_hard", "negative": "semi_hard"}, "semi_hard is measured .*got positive='semi_hard', neg"),
        ({"positive": "all", "negative": "semi_hard"}, "must be easy or hard; got positive='all'"),
        ({"positive": "semi_hard", "negative": "all"}, "must be easy or hard; .*negative='all'"),
        ({"positive_range": (2, 1)}, r"positive_range must be \(smallest, largest\), or None; got \(2, 1\)"),
        ({"negative_range": [1, 2, 3]}, "negative_range must be .*; got"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchEasyHard(**arguments)


def test_a_range_read_from_yaml_equals_one_that_was_written():
    assert BatchEasyHard(positive_range=[0.1, 0.5]) == BatchEasyHard(positive_range=(0.1, 0.5))
    assert hash(BatchEasyHard(positive_range=[0.1, 0.5]))

"""QuadrupletMargin against the paper's rule, over all triplets and all quadruplets."""

import numpy as np
import pytest

from metric_learning.tuples import thresholds
from miners import QuadrupletMargin


def margins(distances, positive_mask, negative_mask, weights):
    means = [float(np.mean(distances[mask])) if mask.any() else 0.0 for mask in (negative_mask, positive_mask)]
    return [weight * max(means[0] - means[1], 0.0) for weight in weights]


def of_one_class(negative_mask, a, m):
    return any(not negative_mask[a, j] and not negative_mask[m, j] for j in range(negative_mask.shape[1]))


def third_rows(negative_mask, a, n):
    return [m for m in range(len(negative_mask)) if negative_mask[m, n] and not of_one_class(negative_mask, a, m)]


@pytest.fixture(params=["loop", "sort"], autouse=True)
def way(request, monkeypatch):
    """Few positives are gone through one by one, many are found by sorting."""
    monkeypatch.setattr(thresholds, "MOST_FOR_A_SEARCH_LOOP", {"loop": 10**6, "sort": -1}[request.param])


# "ties" has masks that no labels give, and margins that its distances may hit.
LABELED = ("batch", "duplicates", "bank", "one class", "all different", "one row", "all equal")


@pytest.mark.parametrize("second_negative", ["semi_hard", "hard"])
@pytest.mark.parametrize("negative", ["random", "hardest"])
@pytest.mark.parametrize("weights", [(1.0, 0.5), (0.3, 0.0), (0.0, 1.5)])
def test_takes_tuples_that_break_the_adaptive_margins(problems, weights, negative, second_negative):
    miner = QuadrupletMargin(weights, negative, second_negative)
    for name in LABELED:
        distances, positive_mask, negative_mask = problems[name]
        first_margin, second_margin = margins(*problems[name], weights)
        columns, negatives, rows, first, second = (x.numpy() for x in miner(*problems[name]))
        assert not np.any(first[~positive_mask]) and not np.any(second[~positive_mask]), name
        for a, p in np.argwhere(positive_mask):
            assert columns[a, p] == p
            others = np.flatnonzero(negative_mask[a])
            breaking = [n for n in others if distances[a, p] - distances[a, n] + first_margin > 0]
            expected = len(breaking) if negative == "random" else bool(breaking)
            assert first[a, p] == expected, (name, a, p)
            if not len(others):
                assert second[a, p] == 0.0
                continue
            n = negatives[a, p]
            if breaking and negative == "random":
                assert n in breaking
            else:
                assert distances[a, n] == distances[a, others].min()

            between = {m: distances[m, n] for m in third_rows(negative_mask, a, n)}
            if between:
                farther = [d for d in between.values() if d > distances[a, p]]
                wanted = min(between.values())
                if second_negative == "semi_hard":
                    wanted = min(farther) if farther else max(between.values())
                assert second[a, p] == (distances[a, p] - wanted + second_margin > 0), (name, a, p)
                if second[a, p]:
                    assert between[rows[a, p]] == wanted, (name, a, p)
            else:
                assert second[a, p] == 0.0


def test_margins_are_those_of_the_paper(problems):
    for name in LABELED:
        found = QuadrupletMargin((1.0, 0.5)).margins(*problems[name])
        np.testing.assert_allclose(found, margins(*problems[name], (1.0, 0.5)), rtol=1e-6)
    assert margins(*problems["batch"], (1.0,))[0] > 0.1


def test_both_rules_keep_some_and_drop_some(problems):
    weights = [QuadrupletMargin((0.3, 0.3))(*problems["batch"])[i].numpy() for i in (3, 4)]
    pairs = problems["batch"][1]
    for kept in weights:
        assert 0 < np.count_nonzero(kept) < pairs.sum()
    # They are two rules: some pairs have one of the terms only.
    assert np.any((weights[0] > 0) != (weights[1] > 0))


def test_no_margin_where_the_classes_are_mixed():
    labels = np.array([0, 0, 1, 1])
    same = np.equal.outer(labels, labels)
    distances = np.where(same, 2.0, 1.0).astype(np.float32)
    for margin in QuadrupletMargin().margins(distances, same & ~np.eye(4, dtype=bool), ~same):
        assert margin == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"adaptive_weights": (1.0,)}, r"adaptive_weights must be two numbers of at least 0; got \(1.0,\)"),
        ({"adaptive_weights": (1.0, -0.5)}, "adaptive_weights must be two"),
        ({"negative": "semi_hard"}, "negative must be one of random, hardest; got 'semi_hard'"),
        ({"second_negative": "easy"}, "second_negative must be one of semi_hard, hard; got 'easy'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuadrupletMargin(**arguments)

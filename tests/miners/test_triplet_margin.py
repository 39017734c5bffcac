"""TripletMargin against the list of all triplets."""

import numpy as np
import pytest

from metric_learning.tuples import thresholds, to_pairs
from miners import TripletMargin

KINDS = {
    "all": lambda gap, margin: gap <= margin,
    "hard": lambda gap, margin: gap <= 0,
    "semi_hard": lambda gap, margin: 0 < gap <= margin,
    "easy": lambda gap, margin: gap > margin,
}


def oracle(distances, positive_mask, negative_mask, kind, margin):
    """{(a, p): columns n of the triplets of the kind}."""
    return {
        (a, p): [
            n
            for n in np.flatnonzero(negative_mask[a])
            if KINDS[kind](float(distances[a, n]) - float(distances[a, p]), margin)
        ]
        for a, p in np.argwhere(positive_mask)
    }


@pytest.fixture(params=["loop", "sort"], autouse=True)
def way(request, monkeypatch):
    """Few positives are gone through one by one, many are found by sorting."""
    monkeypatch.setattr(thresholds, "MOST_FOR_A_SEARCH_LOOP", {"loop": 10**6, "sort": -1}[request.param])


@pytest.mark.parametrize("per_pair", ["random", "hardest", "easiest"])
@pytest.mark.parametrize("margin", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_takes_one_triplet_of_the_kind_from_each_positive_pair(problems, kind, margin, per_pair):
    for name, problem in problems.items():
        distances, positive_mask, _ = problem
        positive, negative, weights = (x.numpy() for x in TripletMargin(kind, margin, per_pair)(*problem))
        expected = oracle(*problem, kind, margin)
        assert not np.any(weights[~positive_mask]), name
        for (a, p), negatives in expected.items():
            assert positive[a, p] == p
            assert weights[a, p] == (len(negatives) if per_pair == "random" else bool(negatives)), name
            if negatives:
                n, to_negatives = negative[a, p], distances[a, negatives]
                assert n in negatives, name
                if per_pair != "random":
                    nearest_or_farthest = to_negatives.min() if per_pair == "hardest" else to_negatives.max()
                    assert distances[a, n] == nearest_or_farthest, name


def test_the_kinds_part_the_triplets_and_each_has_some(problems):
    for name in ("batch", "bank", "ties"):
        counts = {kind: sum(map(len, oracle(*problems[name], kind, 1.0).values())) for kind in KINDS}
        assert counts["hard"] + counts["semi_hard"] == counts["all"] and min(counts.values()) > 0, name


def test_positive_pairs_count_as_often_as_in_the_list_of_all_triplets(problems):
    for name, problem in problems.items():
        expected = np.zeros(problem[0].shape)
        for (a, p), negatives in oracle(*problem, "all", 0.5).items():
            expected[a, p] = len(negatives)
        pairs = to_pairs(TripletMargin("all", 0.5)(*problem), expected.shape[1])
        np.testing.assert_array_equal(pairs.positive_weights, expected, name)


def test_draws_are_even_and_means_are_right_on_average():
    rng = np.random.default_rng(16)
    positive_mask = np.zeros((200, 14), bool)
    positive_mask[:, [0, 6, 9]] = True
    # Only 1, 3, 5, 8 and 12 are within the margin of every positive.
    row = np.array([1.0, 1.1, 2.0, 0.9, 3.0, 0.5, 1.0, 4.0, 1.15, 1.0, 5.0, 6.0, 0.7, 7.0])
    counts = np.zeros((3, 14))
    for _ in range(20):
        distances = np.tile(row, (200, 1)).astype(np.float32) + rng.uniform(0, 0.01)
        selected = TripletMargin("all", 0.2)(distances.astype(np.float32), positive_mask, ~positive_mask)
        assert set(selected.weights.numpy()[positive_mask]) == {5.0}
        for i, p in enumerate((0, 6, 9)):
            counts[i] += np.bincount(selected.negative.numpy()[:, p], minlength=14)
    drawn = counts[:, [1, 3, 5, 8, 12]]
    assert drawn.sum() == counts.sum() == 12_000
    # Chi-squared with 4 degrees of freedom for each positive: above 18.5 once in a thousand times.
    assert np.all(np.sum((drawn - 800) ** 2 / 800, axis=1) < 18.5)


def test_positives_of_an_anchor_draw_apart():
    positive_mask = np.zeros((60, 60), bool)
    positive_mask[:, :8] = True
    negative = TripletMargin()(np.ones((60, 60), np.float32), positive_mask, ~positive_mask).negative.numpy()[:, :8]
    assert np.mean([len(set(row)) for row in negative]) > 6
    assert len(np.unique(negative, axis=0)) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "semihard"}, "kind must be one of all, hard, semi_hard, easy; got 'semihard'"),
        ({"margin": -0.1}, "margin must be at least 0; got -0.1"),
        ({"per_pair": "all"}, "per_pair must be one of random, hardest, easiest; got 'all'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TripletMargin(**arguments)

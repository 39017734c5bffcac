"""How sure a share is: against slow loops, tables, and decisions that go together."""

from math import comb

import numpy as np
import pytest

from metric_learning.evaluation import nearest_of_all
from metric_learning.evaluation.nearest import Nearest
from metric_learning.evaluation.promises import Sureness, Units, bound, share_of, sureness


def slow_variance(parts, units):
    """Of a sum: over all pairs of decisions, as often as they share a unit."""
    found = 0.0
    for i, first in enumerate(parts):
        for j, second in enumerate(parts):
            found += first * second * len(set(units[i]) & set(units[j]))
    count = len(set(units.reshape(-1).tolist()))
    return found * count / (count - 1)


@pytest.mark.parametrize("rate", ["precision", "recall", "far"])
def test_the_worth_of_queries_is_that_of_slow_loops(clusters, rate):
    rows, labels = clusters
    nearest = nearest_of_all(rows, labels, distance="euclidean")
    thresholds = np.array([0.5, 0.7, 0.9])
    found = sureness(share_of(nearest, rate), Units(nearest.units), thresholds)
    for place, threshold in enumerate(thresholds):
        matched = nearest.distances <= threshold
        success, tried = {
            "precision": (matched & nearest.right, matched),
            "recall": (matched & nearest.right & nearest.has_positive, nearest.has_positive),
            "far": (nearest.strangers <= threshold, np.ones(len(rows), bool)),
        }[rate]
        share = success.sum() / tried.sum()
        variance = slow_variance(success - share * tried, nearest.units)
        assert found.share[place] == pytest.approx(share)
        assert found.worth[place] == pytest.approx(min(tried.sum(), share * (1 - share) * tried.sum() ** 2 / variance))


def test_where_nothing_varies_a_query_is_worth_what_it_is_where_something_does(clusters):
    rows, labels = clusters
    nearest = nearest_of_all(rows, labels, distance="euclidean")
    found = sureness(share_of(nearest, "far"), Units(nearest.units), np.array([-1.0, -0.5, 0.7, 0.9, 99.0]))
    assert found.share.tolist()[:2] == [0.0, 0.0] and 0 < found.share[2] < found.share[3] < found.share[4] == 1
    worth = found.worth / len(rows)
    assert worth[0] == worth[1] == worth[2] < 1 and worth[2] != worth[3] == worth[4]


def test_few_units_make_bounds_wider_by_students_t():
    """One-sided at 95 %: 1.6449 of the normal, 2.0150 of Student's t with 5 degrees of freedom."""
    found = Sureness(np.array([0.8]), np.array([50.0]), units=6)
    trials = 50 * (1.644854 / 2.015048) ** 2
    for lower in (True, False):
        expected = bound(0.8 * trials, trials, lower=lower, confidence=0.95)
        np.testing.assert_allclose(found.bound(lower=lower, confidence=0.95), expected, rtol=1e-5)


def test_bounds_are_those_of_tables():
    """Zero errors in n: 1 - .05^(1/n), the exact form of the rule of three; 8 of 10: sums of binomial probabilities."""
    assert bound(59, 59, lower=True, confidence=0.95) == pytest.approx(0.05 ** (1 / 59))
    assert bound(0, 59, lower=False, confidence=0.95) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert bound([0, 0], [59, 0], lower=True, confidence=0.95).tolist() == [0, 0]
    assert bound([59, 0], [59, 0], lower=False, confidence=0.95).tolist() == [1, 1]
    low = bound(8, 10, lower=True, confidence=0.95)
    assert sum(comb(10, i) * low**i * (1 - low) ** (10 - i) for i in range(8, 11)) == pytest.approx(0.05)


def test_queries_of_a_class_that_go_together_are_worth_one():
    """All of a class accepted or none: n queries of a class are worth one. Independent ones are worth themselves."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(2000), 6)
    there = np.ones(len(labels), bool)
    for accepted, worth in ((np.repeat(rng.random(2000) < 0.3, 6), 2000), (rng.random(12_000) < 0.3, 12_000)):
        distances = np.where(accepted, 0.0, 1.0).astype(np.float32)
        nearest = Nearest(distances, ~there, distances, there, there, np.stack([labels, labels], axis=1))
        found = sureness(share_of(nearest, "far"), Units(nearest.units), np.array([0.5]))
        assert found.worth[0] == pytest.approx(worth, rel=0.06)

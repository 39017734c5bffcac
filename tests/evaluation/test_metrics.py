"""Metrics against tables worked out by hand and against loops over the definitions."""

import numpy as np
import pytest

from metric_learning.evaluation import metrics


def row(*ranks, depth=10):
    """[1, depth] hit table with hits at these ranks, counted from 1."""
    return np.isin(np.arange(1, depth + 1), ranks)[None]


# Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, table of R = 10: precision@1,
# R-precision, MAP@R.
@pytest.mark.parametrize(
    "ranks, precision_at_1, r_precision, map_at_r",
    [
        ((1,), 1, 0.10, 0.10),
        ((1, 10), 1, 0.20, 0.12),
        ((1, 2), 1, 0.20, 0.20),
        (tuple(range(1, 11)), 1, 1, 1),
        ((2,), 0, 0.10, 0.05),
        ((), 0, 0, 0),
    ],
)
def test_table_of_the_paper(ranks, precision_at_1, r_precision, map_at_r):
    assert metrics.precision_at_1(row(*ranks), [10]) == precision_at_1
    assert metrics.r_precision(row(*ranks), [10]) == pytest.approx(r_precision)
    assert metrics.map_at_r(row(*ranks), [10]) == pytest.approx(map_at_r)


def test_hits_beyond_r_count_for_recall_alone():
    hits = row(1, 3, depth=4)  # R = 2
    assert metrics.r_precision(hits, [2]) == 0.5
    assert metrics.map_at_r(hits, [2]) == 0.5
    assert metrics.recall_at_k(row(3, depth=4), [2], 4) == 1


def test_recall_at_k_is_any_hit():
    hits = np.concatenate([row(3), row(1, 2), row(10), row()])
    np.testing.assert_array_equal(metrics.recall_at_k(hits, [3, 3, 3, 3], 1), [0, 1, 0, 0])
    np.testing.assert_array_equal(metrics.recall_at_k(hits, [3, 3, 3, 3], 3), [1, 1, 0, 0])
    np.testing.assert_array_equal(metrics.recall_at_k(hits, [3, 3, 3, 3], 10), [1, 1, 1, 0])


def test_reciprocal_rank_of_the_first_hit_within_k():
    hits = np.concatenate([row(4, 5), row(1), row()])
    np.testing.assert_array_equal(metrics.reciprocal_rank_at_k(hits, [2, 1, 4], 4), [0.25, 1, 0])
    np.testing.assert_array_equal(metrics.reciprocal_rank_at_k(hits, [2, 1, 4], 3), [0, 1, 0])


def test_queries_without_positives_are_nan_in_every_metric():
    hits, relevant = np.concatenate([row(1, 2), row()]), np.array([2, 0])
    for values in (
        metrics.recall_at_k(hits, relevant, 2),
        metrics.precision_at_1(hits, relevant),
        metrics.r_precision(hits, relevant),
        metrics.map_at_r(hits, relevant),
        metrics.reciprocal_rank_at_k(hits, relevant, 2),
    ):
        np.testing.assert_array_equal(values, [1, np.nan])


def test_equal_loops_over_the_definitions():
    rng = np.random.default_rng(0)
    relevant = rng.integers(0, 9, size=60)
    hits = np.zeros((60, 12), bool)
    for q, count in enumerate(relevant):  # no more hits than relevant rows, as in a true table
        hits[q, rng.permutation(12)[: rng.integers(0, count + 1)]] = True
    for q in range(60):
        r = relevant[q]
        if r == 0:
            continue
        precisions = [sum(hits[q, :i]) / i for i in range(1, 13)]
        average = sum(precisions[i] for i in range(r) if hits[q, i]) / r
        assert metrics.map_at_r(hits, relevant)[q] == pytest.approx(average)
        assert metrics.r_precision(hits, relevant)[q] == pytest.approx(precisions[r - 1])
        ranks = [i + 1 for i in range(12) if hits[q, i]]
        assert metrics.reciprocal_rank_at_k(hits, relevant, 12)[q] == pytest.approx(1 / ranks[0] if ranks else 0)
        assert metrics.recall_at_k(hits, relevant, 5)[q] == (len(ranks) > 0 and ranks[0] <= 5)


def test_long_tables_do_not_overflow():
    assert metrics.map_at_r(np.ones((1, 70_000), bool), [70_000]) == pytest.approx(1)


@pytest.mark.parametrize("metric", [metrics.r_precision, metrics.map_at_r])
def test_refuses_a_table_shallower_than_r(metric):
    with pytest.raises(ValueError, match="at least 11 neighbors deep; got 10"):
        metric(row(1), [11])


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="at least 11 neighbors deep; got 10"):
        metrics.recall_at_k(row(1), [1], 11)
    with pytest.raises(ValueError, match="got int64"):
        metrics.precision_at_1(row(1).astype(np.int64), [1])
    with pytest.raises(ValueError, match=r"got bool \[1, 10\] and \[2\]"):
        metrics.precision_at_1(row(1), [1, 1])

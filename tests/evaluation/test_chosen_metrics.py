"""The metrics that are chosen by name: against loops over the definitions, and through `evaluate`."""

import math

import numpy as np
import pytest

from metric_learning.evaluation import evaluate, metrics
from metric_learning.evaluation.choice import DEFAULT, NAMES, WHOLE, choose


@pytest.fixture
def tables():
    """60 full rankings of 14 rows, R of them relevant, some queries without; and gains of up to 3."""
    rng = np.random.default_rng(0)
    relevant = rng.integers(0, 9, size=60)
    hits = np.stack([rng.permutation(np.arange(14) < r) for r in relevant])
    gains = hits * rng.integers(1, 4, size=hits.shape)
    return hits, relevant, gains


def test_equal_loops_over_the_definitions(tables):
    hits, relevant, gains = tables
    at_least = np.stack([(gains >= level).sum(1) for level in (1, 2, 3)], axis=1)
    for q, (row, r) in enumerate(zip(hits, relevant, strict=True)):
        for k in (1, 5, 14):
            found = {
                "share": metrics.recall_of_relevant_at_k(hits, relevant, k)[q],
                "precision": metrics.precision_at_k(hits, relevant, k)[q],
                "map": metrics.map_at_k(hits, relevant, k)[q],
                "ndcg": metrics.ndcg_at_k(gains, at_least, k)[q],
                "binary ndcg": metrics.ndcg_at_k(hits, relevant[:, None], k)[q],
            }
            if r == 0:
                assert all(math.isnan(value) for value in found.values())
                continue
            precisions = [sum(row[:i]) / i for i in range(1, 15)]
            assert found["share"] == pytest.approx(sum(row[:k]) / r)
            assert found["precision"] == pytest.approx(sum(row[:k]) / k)
            assert found["map"] == pytest.approx(sum(precisions[i] for i in range(k) if row[i]) / min(k, r))
            for name, of in (("ndcg", gains[q]), ("binary ndcg", row)):
                best = sorted(of, reverse=True)
                cumulated, most = (sum(each[i] / math.log2(i + 2) for i in range(k)) for each in (of, best))
                assert found[name] == pytest.approx(cumulated / most)
        if r:
            precisions = [sum(row[:i]) / i for i in range(1, 15)]
            average = sum(precisions[i] for i in range(14) if row[i]) / r
            assert metrics.mean_average_precision(hits, relevant)[q] == pytest.approx(average)
            last = max(i + 1 for i in range(14) if row[i])
            assert metrics.mean_inverse_negative_penalty(hits, relevant)[q] == pytest.approx(r / last)


def test_whole_rankings_must_be_whole(tables):
    hits, relevant, _ = tables
    for metric in (metrics.mean_average_precision, metrics.mean_inverse_negative_penalty):
        with pytest.raises(ValueError, match="hits must hold all relevant rows; got .* of 60 queries with fewer"):
            metric(hits[:, :9], relevant)
    with pytest.raises(ValueError, match=r"gains must be \[n, 15 or more\]"):
        metrics.ndcg_at_k(hits, relevant[:, None], 15)


def by_hand(rows, labels, groups, levels):
    """Whole rankings of a leave-one-out search without rows of the label and the group, as (relevant, gain)."""
    rankings = []
    for q, row in enumerate(rows):
        others = [g for g in range(len(rows)) if g != q and not (labels[g] == labels[q] and groups[g] == groups[q])]
        others.sort(key=lambda g: (sum((row - rows[g]) ** 2), g))
        gains = []
        for g in others:
            shared = 0
            while shared < levels.shape[1] and levels[g, shared] == levels[q, shared]:
                shared += 1
            gains.append(shared)
        rankings.append(([labels[g] == labels[q] for g in others], gains))
    return rankings


def test_evaluate_gives_those_chosen(tables):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 6, size=50)
    levels = np.stack([labels // 4, labels // 2, labels], axis=1)
    rows = (rng.normal(size=(6, 3))[labels] + rng.normal(size=(50, 3))).astype(np.float32)
    groups = rng.integers(0, 3, size=50)
    wanted = ("recall_of_relevant@k", "precision@3", "map@k", "ndcg@k", "map", "minp", "macro")
    options = {"groups": groups, "levels": levels, "distance": "euclidean", "ks": (2, 10)}
    found = evaluate(rows, labels, metrics=wanted, **options)
    expected = {name: [] for name in found.per_query}
    for hits, gains in by_hand(rows, labels, groups, levels):
        r, best = sum(hits), sorted(gains, reverse=True)
        precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
        for k in (2, 10):
            expected[f"recall_of_relevant@{k}"].append(sum(hits[:k]) / r)
            expected[f"map@{k}"].append(sum(precisions[i] for i in range(k) if hits[i]) / min(k, r))
            most, cumulated = (sum(each[i] / math.log2(i + 2) for i in range(k)) for each in (best, gains))
            expected[f"ndcg@{k}"].append(cumulated / most)
        expected["precision@3"].append(sum(hits[:3]) / 3)
        expected["map"].append(sum(precisions[i] for i in range(len(hits)) if hits[i]) / r)
        expected["minp"].append(r / max(i + 1 for i in range(len(hits)) if hits[i]))
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_query[name], values, err_msg=name)
        by_class = [np.mean(np.array(values)[labels == label]) for label in np.unique(labels)]
        assert found.scores[f"macro/{name}"] == pytest.approx(np.mean(by_class))
        np.testing.assert_allclose(found.by_class()[name], by_class)
    np.testing.assert_array_equal(found.by_class()["queries"], np.bincount(labels))
    assert np.mean(expected["minp"]) < 0.6 and found.scores["macro/map"] != found.scores["map"]


def test_known_and_unseen_classes_apart():
    rows = np.array([[0.0], [0.1], [5], [9], [5.1], [9.1]])
    words = np.array(["ant", "ant", "bee", "bee", "cat", "cat"])
    found = evaluate(rows, words, known_labels=["ant", "dog"], ks=(1,), distance="euclidean", keep=2)
    assert found.scores["known/recall@1"] == 1 and found.scores["unseen/recall@1"] == 0
    assert found.scores["recall@1"] == pytest.approx(1 / 3)
    for known in (words, ["dog"]):
        assert not [
            name for name in evaluate(rows, words, known_labels=known, ks=(1,), keep=2).scores if "known" in name
        ]


def test_shallow_metrics_search_shallow(monkeypatch):
    rows, labels = np.linspace(0, 1, 40)[:, None], [0] * 40
    found = evaluate(rows, labels, metrics=["recall@k"], ks=(1,), distance="euclidean", keep=1)
    assert list(found.scores) == ["recall@1", "queries", "queries_without_positives"]
    assert choose(["recall@k"], (1, 4)).depth(30, 1000) == 4
    assert choose(["recall@k", "map@r"], (1, 4)).depth(30, 1000) == 30
    assert choose(["minp"], (1,)).depth(30, 1000) == 1000
    assert choose(["mrr"], (1, 40)).depth(30, 1000) == 40


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WHOLE])
def test_no_metric_depends_on_what_is_kept_or_wanted_besides(name):
    """Of 60 rows a pair each, spread at random: the first hit often lies far down."""
    rows, labels = np.random.default_rng(5).normal(size=(60, 3)), np.arange(60) // 2
    options = {"ks": (1, 4), "distance": "euclidean"}
    little = evaluate(rows, labels, metrics=[name], keep=1, **options)
    much = evaluate(rows, labels, metrics=[name], keep=50, **options)
    beside = evaluate(rows, labels, metrics=[name, "map", "ndcg@30"], **options)
    assert much.neighbors.indices.shape == (60, 50)
    for column, values in little.per_query.items():
        np.testing.assert_array_equal(values, much.per_query[column])
        np.testing.assert_array_equal(values, beside.per_query[column])
    if name == "mrr":
        assert 0 in values and set(values.tolist()) <= {0, 1, 1 / 2, 1 / 3, 1 / 4}


def test_mrr_is_cut_at_the_largest_r_or_k():
    """Of class 0 with three others of its own, and so of all queries, the first three ranks count."""
    rows, labels = np.array([[0.0], [-1], [2], [4], [5], [6]]), np.array([0, 1, 1, 0, 0, 0])
    options = {"metrics": ["mrr"], "distance": "euclidean"}
    found = evaluate(rows, labels, ks=(1,), **options).per_query["mrr"]
    np.testing.assert_array_equal(found[:3], [1 / 3, 1 / 2, 1 / 3])
    np.testing.assert_array_equal(evaluate(rows, labels, ks=(1,), block_size=1, **options).per_query["mrr"], found)
    kept = np.arange(6) < 5  # two others
    np.testing.assert_array_equal(evaluate(rows[kept], labels[kept], ks=(1,), **options).per_query["mrr"][0], 0)
    np.testing.assert_array_equal(evaluate(rows[kept], labels[kept], ks=(3,), **options).per_query["mrr"][0], 1 / 3)


def test_names_are_checked():
    assert choose(NAMES, (1, 2)).whole == ("clustering", "verification", "geometry", "macro")
    assert list(choose(["recall@k", "recall@2", "ndcg@3"], (1, 2)).at_k) == [("recall", 1), ("recall", 2), ("ndcg", 3)]
    assert choose(DEFAULT, (1,)).at_k == (("recall", 1), ("precision", 1))
    for name in ("recal@k", "recall", "recall@0", "map@r@k", "mrr@k", 3):
        with pytest.raises(ValueError, match=r"^metrics must be of recall@k, .*; got"):
            choose([name], (1,))
    with pytest.raises(ValueError, match="must name at least one that has a value for each query"):
        choose(["geometry"], (1,))
    with pytest.raises(ValueError, match=r"^metrics must have a k from 1 to 3.*; got ndcg@5 with a gallery of 4"):
        evaluate(np.eye(4), [0, 0, 1, 1], ks=(1,), metrics=["recall@k", "ndcg@5"])
    with pytest.raises(ValueError, match=r"^ks must be from 1 to 3.*; got \(9,\) with a gallery of 4"):
        evaluate(np.eye(4), [0, 0, 1, 1], ks=(9,))

"""Suspicious labels against loops in float64 over every item and class, and by the swaps that were planted."""

import math
import tracemalloc

import numpy as np
import pytest

from metric_learning.evaluation import search, suspicious
from metric_learning.evaluation.suspicious import suspicious_labels


def oracle(rows, labels, judged, items, distance, at_least, neighbors):
    """{row: (proposed, agreement, neighbors)} by the formula, one item at a time."""
    rows = [[float(x) for x in row] for row in rows]

    def squared(a, b):
        if distance == "euclidean" or distance == "squared_euclidean":
            return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    n = len(rows)
    near = []
    for i in range(n):
        others = sorted((squared(rows[i], rows[j]), j) for j in range(n) if items[j] != items[i])
        near.append(others)
    scale = [others[: min(max(n // 10, 3), 20)][-1][0] for others in near]
    compared = {}
    for i in range(n):
        if not judged[i] or labels.count(labels[i]) == 1:
            continue
        evidence = {}
        for d, j in near[i][: min(neighbors, n - 1)]:
            evidence.setdefault(labels[j], []).append((math.exp(-d / math.sqrt(scale[i] * scale[j])), j))
        scores = {}
        for label, members in evidence.items():
            size = labels.count(label)
            asked = min(max(math.ceil(size / 4), 2), 10)
            if label == labels[i]:
                asked = min(asked, size - 1)
            scores[label] = sum(a for a, _ in members[:asked]) / asked
        own = scores.pop(labels[i], 0.0)
        best = max(scores, key=lambda label: (scores[label], -label)) if scores else None
        compared[i] = own, scores.get(best, 0.0), best, tuple(j for _, j in evidence.get(best, ())[:5])
    neither = 0.25 * sum(max(own, other) for own, other, *_ in compared.values()) / len(compared)
    agreements = {i: other / (other + own + neither) for i, (own, other, *_) in compared.items()}
    return {i: (best, agreements[i], near) for i, (*_, best, near) in compared.items() if agreements[i] >= at_least}


def problem(seed=0, classes=9, wide=0.5):
    """Classes of 1 to 40 items, of unequal width, with a few labels of each moved to another."""
    rng = np.random.default_rng(seed)
    sizes = [1, 2, 3, 4, 6, 7, 9, 40, 31][:classes]
    true = np.repeat(np.arange(classes), sizes) + 5
    centers = rng.normal(size=(classes, 4)) * 2
    rows = centers[true - 5] + rng.normal(size=(len(true), 4)) * rng.uniform(0.3, 1, classes)[true - 5, None] * wide * 2
    labels = true.copy()
    swapped = rng.choice(len(true), 8, replace=False)
    labels[swapped] = true[rng.permutation(swapped)]
    return rows.astype(np.float32), labels, true


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
@pytest.mark.parametrize("neighbors", [12, 100])
def test_equals_loops(distance, neighbors):
    rows, labels, _ = problem()
    items = np.arange(len(rows))
    items[50] = items[49]  # one item that is listed twice
    judged = np.random.default_rng(1).random(len(rows)) < 0.8
    expected = oracle(rows, labels.tolist(), judged, items.tolist(), distance, 0.3, neighbors)
    options = {"judged": judged, "ids": items, "distance": distance, "neighbors": neighbors}
    found = suspicious_labels(rows, labels, **options, at_least=0.3)
    assert 8 < len(expected) < len(rows) / 2
    assert {each.row: (each.proposed, each.neighbors) for each in found} == {
        row: (proposed, near) for row, (proposed, _, near) in expected.items()
    }
    for each in found:
        assert each.given == labels[each.row] and each.agreement == pytest.approx(expected[each.row][1], rel=1e-4)
    assert [each.agreement for each in found] == sorted((each.agreement for each in found), reverse=True)


def test_planted_swaps_come_first_and_are_found_better_than_by_a_vote():
    """2,000 items of 250 classes, wide enough that a quarter of them has a neighbor of another class; 5 % swapped."""
    rng = np.random.default_rng(3)
    true = np.repeat(np.arange(250), 8)
    rows = rng.normal(size=(250, 16))[true] + rng.normal(size=(2000, 16)) * rng.uniform(0.4, 1.1, 250)[true, None]
    pairs = rng.permutation(2000)[:100].reshape(2, 50)
    labels = true.copy()
    labels[pairs] = true[pairs[::-1]]
    swapped = labels != true
    found = suspicious_labels(rows, labels, at_least=0.3)
    assert sum(swapped[each.row] for each in found[:60]) >= 55
    assert sum(true[each.row] == each.proposed for each in found[:60]) >= 45
    ours = precision_at_recall([each.row for each in found], swapped, 0.7)
    assert ours > 2 * precision_at_recall(by_plain_vote(rows, labels, 5), swapped, 0.7)


def by_plain_vote(rows, labels, k):
    """Rows whose k nearest neighbors' commonest label is another, those with the most votes first."""
    near = labels[search(rows, rows, k, query_ids=np.arange(len(rows)), gallery_ids=np.arange(len(rows))).indices]
    votes = [np.unique(row, return_counts=True) for row in near]
    winner = np.array([values[counts.argmax()] for values, counts in votes])
    share = np.array([counts.max() for _, counts in votes])
    flagged = np.flatnonzero(winner != labels)
    return flagged[np.argsort(-share[flagged], kind="stable")]


def precision_at_recall(rows, swapped, recall):
    hits = np.cumsum(swapped[rows])
    enough = hits >= recall * swapped.sum()
    return (hits / np.arange(1, len(rows) + 1))[enough].max(initial=0.0)


def test_clean_classes_that_lie_apart_are_not_suspicious():
    rows = np.random.default_rng(0).normal(size=(60, 3)) * 0.1 + np.repeat(np.eye(3) * 9, 20, axis=0)
    assert suspicious_labels(rows, np.repeat(np.arange(3), 20)) == []


def test_an_item_of_a_class_of_its_own_and_one_near_nothing_are_not_suspicious():
    rows = np.zeros((13, 2))
    rows[:6] += np.arange(6)[:, None] * 0.1
    rows[6:12] += 50 + np.arange(6)[:, None] * 0.1
    rows[12] = 0.25, 0.25
    labels = np.array([0] * 6 + [1] * 6 + [2])
    assert suspicious_labels(rows, labels, distance="euclidean") == []  # 12 has no class to be judged by
    labels[12], rows[12] = 1, (2000.0, -2000.0)
    assert suspicious_labels(rows, labels, distance="euclidean") == []


def test_few_rows_copies_and_the_dot_product_do_no_harm():
    assert suspicious_labels([[0.0, 1.0], [1.0, 0.0]], [0, 0]) == []
    rows = np.repeat(np.eye(2), 10, axis=0)
    labels = np.repeat([0, 1], 10)
    labels[3] = 1
    (found,) = suspicious_labels(rows, labels)  # all distances are 0 or 1
    assert found[:3] == (3, 1, 0)
    assert suspicious_labels(rows * 3, labels, distance="dot") == [found]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b"]}, r"labels must be integers \[2\]; got object \[2\]"),
        ({"labels": [1]}, r"labels must be integers \[2\]; got int64 \[1\]"),
        ({"labels": [[1, 0], [0, 1]]}, r"labels must be one a row"),
        ({"judged": [1, 0]}, r"judged must be bool \[2\]; got int64 \[2\]"),
        ({"ids": [3]}, "ids must be one for each of 2 rows; got 1"),
        ({"at_least": 2}, r"at_least must be in \[0.0, 1.0\]; got 2"),
        ({"neighbors": 0}, "neighbors must be a whole number of at least 1; got 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        suspicious_labels(np.eye(2), **({"labels": [0, 1]} | arguments))


def test_a_class_of_one_item_is_not_judged_however_often_it_is_listed():
    rows = np.repeat([[1.0, 0.0], [0.9, 0.1]], [4, 2], axis=0) + 1e-2 * np.random.default_rng(0).normal(size=(6, 2))
    labels, ids = [0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 4, 4]  # as query and in the gallery
    assert not {found.row for found in suspicious_labels(rows, labels, ids=ids, at_least=0.0)} & {4, 5}


def test_queries_are_made_ready_some_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, 3000)
    rows = (rng.normal(size=(50, 512))[labels] + 0.5 * rng.normal(size=(3000, 512))).astype(np.float32)
    labels[:20] = labels[20:40]
    at_once = suspicious_labels(rows, labels, neighbors=20)
    monkeypatch.setattr(suspicious, "_NUMBERS", 256 * 512)
    tracemalloc.start()
    try:
        found = suspicious_labels(rows, labels, neighbors=20)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == at_once and len(found) > 10
    # The rows as they are compared, and as an engine takes them; all queries would be two times as much more.
    assert most / rows.nbytes < 3

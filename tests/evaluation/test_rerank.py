"""Re-ranking and query expansion against loops over every pair, in float64, from the papers' formulas."""

import numpy as np
import pytest

from metric_learning.evaluation import evaluate, search
from metric_learning.evaluation.rerank import expand_queries, k_reciprocal


def slow_distance(x, y, distance):
    if distance == "cosine":
        return 1 - x @ y / np.sqrt((x @ x) * (y @ y))
    return np.sqrt(((x - y) ** 2).sum()) if distance == "euclidean" else ((x - y) ** 2).sum()


def slow_k_reciprocal(queries, gallery, distance, k1, k2, weight):
    """[n, m] new distances of all pairs; `gallery` None: the queries, whose own column means nothing."""
    rows = queries if gallery is None else np.concatenate([gallery, queries])
    rows, first = rows.astype(np.float64), 0 if gallery is None else len(gallery)
    size = len(rows)
    d = [[0.0 if i == j else slow_distance(rows[i], rows[j], distance) for j in range(size)] for i in range(size)]
    ranked = [sorted(range(size), key=lambda j: (j != i, d[i][j], j)) for i in range(size)]

    def reciprocal(i, k):
        return {j for j in ranked[i][: k + 1] if i in ranked[j][: k + 1]}

    described = np.zeros((size, size))
    for i in range(size):
        kept = reciprocal(i, k1)
        for j in reciprocal(i, k1):
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & reciprocal(i, k1)) >= 2 / 3 * len(theirs) - 1e-12:
                kept |= theirs
        for j in kept:
            described[i, j] = np.exp(-d[i][j])
        described[i] /= described[i].sum()
    described = np.stack([described[ranked[i][:k2]].mean(axis=0) for i in range(size)])
    members = size if gallery is None else len(gallery)
    new = np.empty((len(queries), members))
    for query in range(len(queries)):
        i = first + query
        farthest = max(d[i][j] for j in range(members) if j != i)
        for j in range(members):
            jaccard = 1 - np.minimum(described[i], described[j]).sum() / np.maximum(described[i], described[j]).sum()
            new[query, j] = (1 - weight) * jaccard + weight * d[i][j] / farthest
    return new


@pytest.fixture
def clusters():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 7)
    rows = rng.normal(size=(6, 5))[labels] + 0.6 * rng.normal(size=(42, 5))
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
@pytest.mark.parametrize(("k1", "k2", "weight"), [(5, 1, 0.0), (6, 3, 0.3), (8, 4, 1.0)])
def test_equals_loops(clusters, distance, k1, k2, weight):
    rows, _ = clusters
    queries, gallery = rows[::4], np.delete(rows, np.s_[::4], axis=0)
    options = {"distance": distance, "k1": k1, "k2": k2, "weight": weight}
    for given, k in (((queries, gallery), len(gallery)), ((rows, None), len(rows) - 1)):
        expected = slow_k_reciprocal(*given, **options)
        found = k_reciprocal(*given, k, **options)
        np.testing.assert_allclose(
            np.take_along_axis(expected, found.indices, axis=1), found.distances, rtol=1e-4, atol=1e-5
        )
        if given[1] is None:
            np.fill_diagonal(expected, np.inf)
        np.testing.assert_allclose(np.sort(expected, axis=1)[:, :k], found.distances, rtol=1e-4, atol=1e-5)


def test_what_lies_deeper_than_depth_is_left_out(clusters):
    rows, _ = clusters
    found = k_reciprocal(rows, k=4, k1=6, depth=9)
    first = search(rows, rows, 9, query_ids=np.arange(42), gallery_ids=np.arange(42)).indices
    assert all(set(new) <= set(old) for new, old in zip(found.indices, first, strict=True))
    assert not np.array_equal(found.indices, first[:, :4])


def test_neighbors_of_neighbors_bring_back_what_is_far(clusters):
    """Two bent rows of points, whose ends are nearer to the other row than to their own far end."""
    angles = np.linspace(0, np.pi, 40)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = np.concatenate([upper, [1.0, 0.35] - upper]).astype(np.float32)
    labels = np.repeat([0, 1], 40)
    own = np.arange(80)
    before = search(rows, rows, 15, distance="euclidean", query_ids=own, gallery_ids=own).indices
    after = k_reciprocal(rows, k=15, distance="euclidean", k1=8, k2=4, weight=0.1).indices
    wrong = [np.mean(labels[found] != labels[:, None]) for found in (before, after)]
    assert 0 < wrong[1] < wrong[0] / 2


def slow_expansion(queries, gallery, neighbors, alpha):
    found = []
    for query in queries.astype(np.float64):
        query = query / np.sqrt(query @ query)
        units = [row / np.sqrt(row @ row) for row in gallery.astype(np.float64)]
        nearest = sorted(units, key=lambda row: -(query @ row))[:neighbors]
        moved = query + sum(max(0.0, query @ row) ** alpha * row for row in nearest)
        found.append(moved / np.sqrt(moved @ moved))
    return np.array(found)


@pytest.mark.parametrize(("neighbors", "alpha"), [(1, 0.0), (3, 3.0), (10, 1.5)])
def test_expansion_equals_loops(clusters, neighbors, alpha):
    rows, _ = clusters
    found = expand_queries(rows[:9], rows[9:], neighbors=neighbors, alpha=alpha)
    np.testing.assert_allclose(found, slow_expansion(rows[:9], rows[9:], neighbors, alpha), rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32


def test_expansion_helps_the_judge_and_leaves_the_query_out(clusters):
    rows, labels = clusters
    own = np.arange(len(rows))
    moved = expand_queries(rows, rows, neighbors=3, query_ids=own, gallery_ids=own)
    options = {"gallery_embeddings": rows, "gallery_labels": labels, "ids": own, "gallery_ids": own}
    scores = [evaluate(queries, labels, **options).scores["map@r"] for queries in (rows, moved)]
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: k_reciprocal(rows, distance="dot"), "distance must be one of .* for k_reciprocal"),
        (lambda rows: k_reciprocal(rows, weight=1.5), r"weight must be in \[0.0, 1.0\]; got 1.5"),
        (lambda rows: k_reciprocal(rows, k1=0), "k1 must be a whole number of at least 1; got 0"),
        (lambda rows: k_reciprocal(rows, k=20, depth=10), "k must be at most depth, .* 10; got 20"),
        (lambda rows: k_reciprocal(rows, rows[:3], k=4), "k must be at most depth, .* 3; got 4"),
        (lambda rows: k_reciprocal(rows, rows[:, :2]), "the same number of dimensions"),
        (lambda rows: k_reciprocal(rows * np.nan), "hold NaN"),
        (lambda rows: expand_queries(rows, rows, distance="euclidean"), "distance must be cosine for expand_queries"),
        (lambda rows: expand_queries(rows, rows, alpha=-1.0), "alpha must be at least 0"),
        (lambda rows: expand_queries(rows, rows, neighbors=99), "k must be from 1 to 42"),
    ],
)
def test_what_does_not_fit_is_named(clusters, call, message):
    with pytest.raises(ValueError, match=message):
        call(clusters[0])

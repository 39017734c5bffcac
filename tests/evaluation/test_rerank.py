"""Re-ranking and query expansion against loops over every pair, in float64, from the papers' formulas."""

import numpy as np
import pytest

from metric_learning.evaluation import evaluate, evaluate_variants, search
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


def slow_scores(distances, labels, gallery_labels, left_out):
    """Means of recall@1 and MAP@R of [n, m] distances, row by row; `left_out` is the set of pairs that do not count."""
    recalls, precisions = [], []
    for i, label in enumerate(labels):
        order = [j for j in np.argsort(distances[i], kind="stable") if (i, j) not in left_out]
        hits = [gallery_labels[j] == label for j in order]
        relevant = sum(hits)
        if relevant:
            recalls.append(float(hits[0]))
            found = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(relevant) if hits[rank]]
            precisions.append(sum(found) / relevant)
    return {"recall@1": np.mean(recalls), "map@r": np.mean(precisions)}


@pytest.fixture
def looser():
    """Classes that lie close, so that a second look has something to mend: (rows, labels)."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(7), 9)
    return (rng.normal(size=(7, 4))[labels] + 0.8 * rng.normal(size=(63, 4))).astype(np.float32), labels


@pytest.mark.parametrize("with_gallery", [False, True])
def test_the_judge_scores_a_second_look_as_loops_do(looser, with_gallery):
    rows, labels = looser
    part = np.s_[::3] if with_gallery else np.s_[:]
    queries, gallery = rows[part], np.delete(rows, np.s_[::3], axis=0) if with_gallery else rows
    others = np.delete(labels, np.s_[::3]) if with_gallery else labels
    left_out = set() if with_gallery else {(i, i) for i in range(len(rows))}
    searched = {"gallery_embeddings": gallery, "gallery_labels": others} if with_gallery else {}
    found = evaluate_variants(queries, labels[part], expand=3, rerank=True, ks=(1,), block_size=10, **searched)

    reranked = slow_k_reciprocal(queries, gallery if with_gallery else None, "cosine", 20, 6, 0.3)
    moved = []
    for i, query in enumerate(queries):
        allowed = [j for j in range(len(gallery)) if (i, j) not in left_out]
        moved.append(slow_expansion(query[None], gallery[allowed], 3, 3.0)[0])
    expanded = np.array(
        [[slow_distance(query, row.astype(np.float64), "cosine") for row in gallery] for query in moved]
    )
    expected = {"reranked": reranked, "expanded_3": expanded}
    for name, distances in expected.items():
        for metric, score in slow_scores(distances, labels[part], others, left_out).items():
            assert found.scores[f"{name}/{metric}"] == pytest.approx(score), (name, metric)
        assert found.scores[f"{name}/map@r"] != found.scores["map@r"]
    plain = evaluate(queries, labels[part], ks=(1,), **searched)
    assert {name: score for name, score in found.scores.items() if "/" not in name} == plain.scores
    assert "expanded_3_reranked/map@r" in found.scores and "reranked/map@r" in found.intervals(resamples=20)


def test_a_second_look_finds_nothing_that_is_left_out(looser):
    """Not by its group either: of each row a third of its label are no answers, and move no query."""
    rows, labels = looser
    groups = np.tile([0, 1, 2], 21)
    left_out = {(i, j) for i in range(63) for j in range(63) if labels[i] == labels[j] and groups[i] == groups[j]}
    moved = []
    for i, query in enumerate(rows):
        allowed = [j for j in range(63) if (i, j) not in left_out]
        moved.append(slow_expansion(query[None], rows[allowed], 2, 3.0)[0])
    distances = np.array([[slow_distance(query, row.astype(np.float64), "cosine") for row in rows] for query in moved])
    found = evaluate(rows, labels, groups=groups, ks=(1,), expand=2)
    for metric, score in slow_scores(distances, labels, labels, left_out).items():
        assert found.scores[metric] == pytest.approx(score)
    answers = evaluate(rows, labels, groups=groups, ks=(1,), metrics=("recall@k", "map"), rerank=True, keep=50)
    assert not left_out & {(i, j) for i, row in enumerate(answers.neighbors.indices) for j in row}
    assert 0 < answers.scores["map"] < 1  # of whole rankings, whose last places are empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expand": 2, "distance": "euclidean"}, "^expand needs distance=cosine, .* got 'euclidean'"),
        ({"expand": -1}, "^expand must be a whole number of at least 0; got -1"),
        ({"expand": 99}, r"^expand must be in \[1, 62\]; got 99"),
        ({"rerank": True, "distance": "dot"}, "distance must be one of .* for rerank,"),
    ],
)
def test_second_looks_that_cannot_be_are_named(looser, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_variants(*looser, **options)


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

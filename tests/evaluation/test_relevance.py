"""What is relevant and what is left out, against loops over every pair of rows."""

import numpy as np
import pytest

from metric_learning.evaluation import evaluate
from metric_learning.evaluation.relevance import Relevance


def relations_by_hand(query, gallery):
    """Whether rows (label or labels, id, group, levels) are alike, one of them is left out, and the gain."""
    labels, gallery_labels = query[0], gallery[0]
    alike = bool(set(labels) & set(gallery_labels))
    left_out = query[1] == gallery[1] or (alike and query[2] == gallery[2])
    gain = 0
    for level, other in zip(query[3], gallery[3], strict=True):
        if level != other:
            break
        gain += 1
    return alike, left_out, gain


def rows(rng, count, several):
    if several:
        labels = rng.uniform(size=(count, 70)) < 0.03  # more than fit into one word of 64 bits
        sets = [np.flatnonzero(row).tolist() for row in labels]
    else:
        labels = rng.integers(0, 6, size=count) + 2**40
        sets = [[label] for label in labels.tolist()]
    ids = rng.integers(0, 60, size=count)
    groups = rng.integers(0, 3, size=count)
    levels = rng.integers(0, 3, size=(count, 3))
    return (labels, ids, groups, levels), list(zip(sets, ids, groups, levels.tolist(), strict=True))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("with_groups", [False, True])
@pytest.mark.parametrize("block_cells", [100, 2**24])
def test_equals_loops(several, with_ids, with_groups, block_cells, monkeypatch):
    monkeypatch.setattr("metric_learning.evaluation.relevance._BLOCK_CELLS", block_cells)
    rng = np.random.default_rng(0)
    (labels, ids, groups, levels), queries = rows(rng, 30, several)
    (gallery_labels, gallery_ids, gallery_groups, gallery_levels), gallery = rows(rng, 50, several)
    options = {"levels": levels, "gallery_levels": gallery_levels}
    if with_ids:
        options |= {"ids": ids, "gallery_ids": gallery_ids}
    else:
        queries = [(row[0], -1, *row[2:]) for row in queries]
    if with_groups:
        options |= {"groups": groups, "gallery_groups": gallery_groups}
    else:
        queries = [(*row[:2], -1, row[3]) for row in queries]
    found = Relevance(labels, gallery_labels, (30, 50), **options)
    alike, left_out, gains = (
        np.array(table)
        for table in zip(*(zip(*(relations_by_hand(q, g) for g in gallery), strict=True) for q in queries), strict=True)
    )
    assert 0.02 < alike.mean() < 0.5 and (left_out.any() == (with_ids or with_groups)) and gains.max() == 3
    candidates = np.stack([rng.permutation(50) for _ in range(30)])
    everybody = np.arange(30)
    np.testing.assert_array_equal(found.hits(everybody, candidates), np.take_along_axis(alike, candidates, 1))
    np.testing.assert_array_equal(found(everybody, candidates), np.take_along_axis(left_out, candidates, 1))
    np.testing.assert_array_equal(found.gains(everybody, candidates), np.take_along_axis(gains, candidates, 1))
    np.testing.assert_array_equal(found.counts, left_out.sum(1))
    np.testing.assert_array_equal(found.relevant, (alike & ~left_out).sum(1))
    for level in range(3):
        np.testing.assert_array_equal(found.at_least[:, level], ((gains > level) & ~left_out).sum(1))
    plain = Relevance(labels, gallery_labels, (30, 50))
    np.testing.assert_array_equal(plain.at_least, alike.sum(1)[:, None])
    np.testing.assert_array_equal(plain.gains(everybody, candidates), np.take_along_axis(alike, candidates, 1))


def test_classes_are_those_of_the_labels():
    words, (gallery,) = Relevance(["b", "a", "b"], ["a"], (3, 1)).class_numbers
    assert words[0] == words[2] != words[1] == gallery
    sets, gallery = Relevance(np.eye(3)[[2, 0, 2]], np.eye(3), (3, 3)).class_numbers
    assert sets[0] == sets[2] == gallery[2] != sets[1] == gallery[0] != gallery[1]


def test_of_several_labels_items_are_drawn_again_each_once_on_both_sides():
    several = np.array([[1, 1], [0, 1], [1, 0]])
    queries, gallery = Relevance(several, several, (3, 3), ids=[5, 6, 5], gallery_ids=[6, 5, 7]).units
    assert queries[0] == queries[2] == gallery[1] and queries[1] == gallery[0]
    assert len({*queries.tolist(), *gallery.tolist()}) == 3
    assert len(np.unique(np.concatenate(Relevance(several, several, (3, 3)).units))) == 6


def test_the_same_person_by_the_same_camera_is_no_answer():
    """Of person 7 by camera 1: another picture by it at .1, a stranger by it at .2, the person by camera 2 at .3."""
    seen = {"gallery_embeddings": [[0.1], [0.2], [0.3]], "gallery_labels": [7, 8, 7], "gallery_groups": [1, 1, 2]}
    found = evaluate([[0.0]], [7], groups=[1], ks=(1, 2), distance="euclidean", **seen)
    np.testing.assert_array_equal(found.neighbors.indices, [[1, 2]])
    assert found.scores["recall@1"] == 0 and found.scores["mrr"] == 0.5 and found.scores["r_precision"] == 0
    assert evaluate([[0.0]], [7], groups=[3], ks=(1,), distance="euclidean", **seen).scores["recall@1"] == 1


def test_rows_of_several_labels_are_relevant_when_they_share_one():
    rows = [[0.0], [1], [2.5], [9]]
    labels = [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]]
    found = evaluate(rows, labels, ks=(1,), distance="euclidean", keep=3)
    np.testing.assert_array_equal(found.per_query["recall@1"], [1, 1, 1, 0])
    np.testing.assert_array_equal(found.per_query["r_precision"], [0.5, 1, 1, 0])
    graded = evaluate(rows, np.array(labels) * 0.3, ks=(1,), distance="euclidean", keep=3)
    assert graded.scores == found.scores


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": [1, 2, 3]}, r"groups must have shape \[4\], one per row; got \[3\]"),
        ({"levels": [1, 2, 3, 4]}, r"levels must be integers \[4, L\]; got int64 \[4\]"),
        ({"levels": [[0.5]] * 4}, r"levels must be integers \[4, L\]; got float64 \[4, 1\]"),
        ({"labels": [[-1, 1]] * 4}, "labels of several classes a row must be at least 0"),
        ({"labels": [[0, 1]] * 3}, r"labels must have shape \[4, classes\], one row per row; got \[3, 2\]"),
        ({"gallery_groups": [1]}, "gallery_groups, gallery_levels need gallery_embeddings"),
        (
            {"gallery_embeddings": [[1.0]], "gallery_labels": [1], "groups": [1, 1, 2, 2]},
            "groups and gallery_groups must be given together; got only one",
        ),
        (
            {"gallery_embeddings": [[1.0]], "gallery_labels": [1], "ids": [1, 2, 3, 4]},
            "ids and gallery_ids must be given together; got only one",
        ),
        (
            {"gallery_embeddings": [[1.0]], "gallery_labels": [1], "gallery_ids": [1]},
            "ids and gallery_ids must be given together; got only one",
        ),
        (
            {"gallery_embeddings": [[1.0]], "gallery_labels": [[1, 0]]},
            r"must both be one a row, or have the same classes; got \[4\] and \[1, 2\]",
        ),
    ],
)
def test_refuses_what_does_not_fit(changes, message):
    arguments = {"embeddings": np.arange(4.0)[:, None], "labels": [1, 1, 2, 2], "ks": (1,)} | changes
    with pytest.raises(ValueError, match=message):
        evaluate(**arguments)

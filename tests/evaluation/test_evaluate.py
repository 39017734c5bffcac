"""The whole chain against loops: neighbors by sorting, metrics from the sorted list."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.evaluation import evaluate


def scores_by_hand(rows, labels, ids, gallery, gallery_labels, gallery_ids, ks):
    found = {name: [] for name in [*(f"recall@{k}" for k in ks), "precision@1", "r_precision", "map@r", "mrr"]}
    without_positives = 0
    for q in range(len(rows)):
        others = [g for g in range(len(gallery)) if gallery_ids[g] != ids[q]]
        others.sort(key=lambda g: (sum((rows[q] - gallery[g]) ** 2), g))
        hits = [gallery_labels[g] == labels[q] for g in others]
        r = sum(hits)
        if r == 0:
            without_positives += 1
            continue
        for k in ks:
            found[f"recall@{k}"].append(any(hits[:k]))
        found["precision@1"].append(hits[0])
        found["r_precision"].append(sum(hits[:r]) / r)
        found["map@r"].append(sum(sum(hits[: i + 1]) / (i + 1) for i in range(r) if hits[i]) / r)
        found["mrr"].append(1 / (hits.index(True) + 1))
    return {name: np.mean(values) for name, values in found.items()} | {
        "queries": len(rows),
        "queries_without_positives": without_positives,
    }


@pytest.fixture
def clusters():
    """40 rows of classes from 1 to 12 strong (two of them with a single row), labels above 2^24, rows
    overlapping."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), [12, 9, 6, 5, 3, 3, 1, 1])
    rows = (2 * rng.normal(size=(8, 3))[labels] + rng.normal(size=(40, 3))).astype(np.float32)
    order = rng.permutation(40)
    return rows[order], labels[order] + 2**24


# Full depth, so that no first hit lies beyond the search and the reciprocal rank of the loops
# holds.
KS = (1, 2, 4, 39)


def test_equals_loops_with_lone_classes(clusters):
    rows, labels = clusters
    ids = np.arange(40)
    expected = scores_by_hand(rows, labels, ids, rows, labels, ids, KS)
    assert 0.2 < expected["map@r"] < 0.8 and expected["queries_without_positives"] == 2
    scores = evaluate(rows, labels, ks=KS, distance="euclidean").scores
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected)


def test_equals_loops_with_a_gallery_and_shared_ids(clusters):
    rows, labels = clusters
    rng = np.random.default_rng(1)
    ids = rng.permutation(40) + 2**53
    take = rng.integers(0, 40, size=55)  # items occur up to several times in the gallery, each under its own id
    gallery = (rows[take] + 0.1 * rng.normal(size=(55, 3))).astype(np.float32)
    shared = dict(gallery_embeddings=gallery, gallery_labels=labels[take], distance="euclidean")
    most = 55 - np.unique(take, return_counts=True)[1].max()
    ks = (1, 3, int(most))
    with_ids = evaluate(rows, labels, ids=ids, gallery_ids=ids[take], ks=ks, **shared).scores
    expected = scores_by_hand(rows, labels, ids, gallery, labels[take], ids[take], ks)
    # A first hit beyond the search depth counts 0 for mrr: leave it out where the loops look
    # deeper.
    assert {**with_ids, "mrr": 0} == pytest.approx({**expected, "mrr": 0})
    without = evaluate(rows, labels, ks=ks, **shared).scores
    assert {**without, "mrr": 0} == pytest.approx(
        {**scores_by_hand(rows, labels, ids, gallery, labels[take], -np.ones(55), ks), "mrr": 0}
    )
    assert without["recall@1"] > with_ids["recall@1"]


def test_rows_of_one_item_never_find_each_other():
    rows = np.array([[1, 0], [1, 0], [0, 1], [0.5, 1]], np.float32)
    labels = np.array([5, 5, 6, 6])
    alone = evaluate(rows, labels, ids=[7, 7, 8, 9], ks=(1,))
    assert alone.scores["queries_without_positives"] == 2 and alone.scores["recall@1"] == 1
    np.testing.assert_array_equal(alone.per_query["map@r"], [np.nan, np.nan, 1, 1])
    assert evaluate(rows, labels, ks=(1,)).scores["queries_without_positives"] == 0


def test_searches_as_deep_as_the_largest_class_though_ks_are_small():
    """All 20 of one class first: MAP@R is 1 only if the search goes to R = 19."""
    rows = np.concatenate([np.linspace(0, 1, 20), [5, 5.1]])[:, None]
    scores = evaluate(rows, [0] * 20 + [1, 1], ks=(1,), distance="euclidean", keep=2).scores
    assert scores["map@r"] == scores["r_precision"] == 1


def test_largest_class_may_be_the_whole_gallery_of_a_query_with_fewer_rows():
    """R = 3 for the first query, while another has only 2 gallery rows left and must not count the
    padding."""
    rows = np.array([[0.0], [1], [2], [3]])
    found = evaluate(rows, [4, 4, 4, 4], ids=[1, 2, 2, 3], ks=(1, 2), distance="euclidean", keep=2)
    assert found.scores["map@r"] == found.scores["r_precision"] == 1


@pytest.mark.parametrize("block_size", [1, 7, 40])
def test_block_size_changes_nothing(clusters, block_size):
    rows, labels = clusters
    whole, parts = evaluate(rows, labels), evaluate(rows, labels, block_size=block_size)
    assert parts.scores == whole.scores
    np.testing.assert_array_equal(parts.neighbors.indices, whole.neighbors.indices)


def test_order_of_rows_changes_nothing(clusters):
    rows, labels = clusters
    order = np.random.default_rng(2).permutation(40)
    assert evaluate(rows[order], labels[order]).scores == pytest.approx(evaluate(rows, labels).scores)


def test_keeps_neighbors_for_pictures(clusters):
    rows, labels = clusters
    found = evaluate(rows, labels, ks=(1,), distance="euclidean", keep=5)
    assert found.neighbors.indices.shape == found.neighbors.distances.shape == (40, 5)
    nearest_hits = labels[found.neighbors.indices[:, 0]] == labels
    np.testing.assert_array_equal(found.per_query["recall@1"] == 1, nearest_hits)
    assert evaluate(rows, labels, ks=(1,), keep=1000).neighbors.indices.shape == (40, 39)


def test_names_ks_when_larger_than_the_gallery(clusters):
    rows, labels = clusters
    with pytest.raises(ValueError, match=r"^ks must be from 1 to 39.*got \(1, 40\).*gallery of 40 rows"):
        evaluate(rows, labels, ks=(1, 40))
    for ks in ((), (0, 1)):
        with pytest.raises(ValueError, match=r"^ks must be"):
            evaluate(rows, labels, ks=ks)


def test_refuses_what_does_not_fit(clusters):
    rows, labels = clusters
    with pytest.raises(ValueError, match="none of the 40 queries"):
        evaluate(rows, np.arange(40))
    with pytest.raises(
        ValueError, match="labels must be integers or strings, as floating numbers merge .*; got float32"
    ):
        evaluate(rows, labels.astype(np.float32))
    with pytest.raises(ValueError, match="gallery_embeddings need gallery_labels"):
        evaluate(rows, labels, gallery_embeddings=rows)
    with pytest.raises(ValueError, match="need gallery_embeddings"):
        evaluate(rows, labels, gallery_labels=labels)
    broken = rows.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="1 of 40 rows of queries hold NaN"):
        evaluate(broken, labels)


def test_labels_and_ids_are_what_losses_take_them_for(clusters):
    rows, labels = clusters
    expected = evaluate(rows, labels, ids=np.arange(40) // 2).scores
    words = np.array([f"class {label}" for label in labels])
    pairs = [f"item {i // 2}.png" for i in range(40)]
    for same in (labels[:, None], words, words[:, None], words.tolist(), words.astype(object), tf.constant(words)):
        for ids in (np.arange(40) // 2, pairs, tuple(pairs), tf.constant(pairs)):
            assert evaluate(rows, same, ids=ids).scores == expected
    gallery = dict(gallery_embeddings=rows[::-1], ks=(1,))
    found = evaluate(rows, labels, gallery_labels=labels[::-1], **gallery).scores
    assert evaluate(rows, words, gallery_labels=words[::-1].tolist(), **gallery).scores == found
    without_own = evaluate(rows, words, gallery_labels=words[::-1], ids=pairs, gallery_ids=pairs[::-1], **gallery)
    # Pairs of neighboring rows are one item, and no row finds itself.
    assert without_own.scores == evaluate(rows, labels, ids=pairs, ks=(1,)).scores != found


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((40, 1, 1), int), r"labels must be \[batch\], or \[batch, classes\] multi-hot; got .*40, 1, 1"),
        (
            np.zeros((40, 1), np.float32),
            "labels must be integers or strings, as floating numbers merge .*; got float32",
        ),
        (np.array([None] * 40), "labels must be integers or strings; got NoneType"),
        (["a"] * 39, r"labels must have shape \[40\], one per row; got \[39\]"),
    ],
)
def test_labels_that_name_no_class_are_refused(clusters, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluate(clusters[0], labels)


def test_labels_of_two_kinds_are_refused(clusters):
    rows, labels = clusters
    with pytest.raises(ValueError, match="labels must be integers or strings throughout; got both"):
        evaluate(rows, labels, gallery_embeddings=rows, gallery_labels=labels.astype(str))


@pytest.mark.parametrize("with_gallery", [False, True])
def test_rows_of_the_label_and_group_of_the_query_are_no_answers(clusters, with_gallery):
    """As in re-identification: another picture by the same camera. Oracle: loops that drop rows by label and group."""
    rows, labels = clusters
    groups = np.array(["north", "south", "east"])[np.arange(40) % 3]
    queries = slice(0, 15) if with_gallery else slice(None)
    by_both = [f"{label} {group}" for label, group in zip(labels, groups, strict=True)]
    expected = scores_by_hand(rows[queries], labels[queries], by_both[queries], rows, labels, by_both, (1, 2, 4))
    assert 0.1 < expected["map@r"] < 0.8 and expected["queries_without_positives"] > 0
    gallery = {"gallery_embeddings": rows, "gallery_labels": labels, "gallery_groups": groups} if with_gallery else {}
    options = {"ks": (1, 2, 4), "distance": "euclidean", "groups": groups[queries]}
    scores = evaluate(rows[queries], labels[queries], **options, **gallery).scores
    assert scores == pytest.approx(expected | {"mrr": scores["mrr"]})
    if with_gallery:
        ids = np.arange(40)
        assert (
            evaluate(rows[queries], labels[queries], ids=ids[queries], gallery_ids=ids, **options, **gallery).scores
            == scores
        )
        with pytest.raises(ValueError, match="groups and gallery_groups must be given together"):
            evaluate(rows[queries], labels[queries], **options, **(gallery | {"gallery_groups": None}))

"""FAISS search against brute-force loops in float64."""

import faiss
import numpy as np
import pytest

from metric_learning.distances import DISTANCES as TRAINING_DISTANCES
from metric_learning.distances import pairwise
from metric_learning.evaluation.relevance import SameId
from metric_learning.evaluation.search import DISTANCES, Finder, search

ABOVE_FLOAT32 = 2**24  # from here on float32 merges neighboring integers


def distance_by_hand(name, query, row):
    query, row = query.astype(np.float64), row.astype(np.float64)
    if name == "dot":
        return -sum(a * b for a, b in zip(query, row, strict=True))
    if name == "cosine":
        lengths = np.sqrt(sum(query**2) * sum(row**2))
        return 1 - sum(query * row) / lengths if lengths else 1.0
    if name == "snr":
        signal = np.var(query)
        return np.var(query - row) / signal if signal else 0.0
    squared = sum((query - row) ** 2)
    return np.sqrt(squared) if name == "euclidean" else squared


def search_by_hand(queries, gallery, k, name, query_ids=None, gallery_ids=None):
    distances, indices = [], []
    for q, query in enumerate(queries):
        found = []
        for g, row in enumerate(gallery):
            if query_ids is None or query_ids[q] != gallery_ids[g]:
                found.append((distance_by_hand(name, query, row), g))
        found.sort()
        distances.append([d for d, _ in found[:k]])
        indices.append([g for _, g in found[:k]])
    return np.array(distances), np.array(indices)


@pytest.fixture(params=["faiss", "tensorflow"])
def engine(request):
    return request.param


@pytest.mark.parametrize("name", DISTANCES)
def test_equals_brute_force(name, engine):
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(23, 7)).astype(np.float32)
    gallery = rng.normal(size=(61, 7)).astype(np.float32) * rng.uniform(0.2, 3, size=(61, 1)).astype(np.float32)
    distances, indices = search_by_hand(queries, gallery, 9, name)
    found = search(queries, gallery, 9, distance=name, engine=engine)
    assert found.distances.dtype == np.float32 and found.indices.dtype == np.int64
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=2e-6, atol=1e-6)


def test_distances_rank_differently_on_this_data():
    """Otherwise the test above could not tell one distance from another."""
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(23, 7)).astype(np.float32)
    gallery = rng.normal(size=(61, 7)).astype(np.float32) * rng.uniform(0.2, 3, size=(61, 1)).astype(np.float32)
    ranked = {name: search(queries, gallery, 9, distance=name).indices.tobytes() for name in DISTANCES}
    assert ranked.pop("squared_euclidean") == ranked["euclidean"]
    assert len(set(ranked.values())) == len(ranked)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_are_those_of_training(name):
    assert set(DISTANCES) == set(TRAINING_DISTANCES)
    rng = np.random.default_rng(1)
    queries, gallery = (
        rng.normal(size=(5, 6)).astype(np.float32),
        rng.normal(size=(8, 6)).astype(np.float32),
    )
    queries[1] = gallery[2] = 0.0  # zero rows
    queries[3] = 2.0  # a constant row has no variance
    matrix = np.asarray(pairwise(queries, gallery, distance=name))
    found = search(queries, gallery, 8, distance=name)
    np.testing.assert_allclose(found.distances, np.take_along_axis(matrix, found.indices, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("block_size", [None, 1, 7])
def test_ties_go_to_the_lower_row(name, block_size, engine):
    """Small integers: exact in float32, and nearly every neighbor is tied, also across the k-th
    place."""
    rng = np.random.default_rng(2)
    queries = rng.integers(-1, 2, size=(40, 4)).astype(np.float32)
    gallery = rng.integers(-1, 2, size=(300, 4)).astype(np.float32)
    if name == "snr":  # columns that cancel keep every mean, hence every difference, exact
        queries, gallery = np.hstack([queries, -queries]), np.hstack([gallery, -gallery])
    if name == "cosine":  # 16 entries of 1 or -1: length exactly 4
        queries, gallery = (np.sign(np.tile(x, 4) + 0.5) for x in (queries, gallery))
    distances, indices = search_by_hand(queries, gallery, 5, name)
    distances = np.round(distances, 12)
    assert (distances[:, 1:] == distances[:, :-1]).mean() > 0.3
    ids, gallery_ids = np.arange(40), np.arange(300) + 40
    found = search(
        queries,
        gallery,
        5,
        distance=name,
        query_ids=ids,
        gallery_ids=gallery_ids,
        engine=engine,
        block_size=block_size,
    )
    np.testing.assert_array_equal(found.indices, indices)


def test_collapsed_embeddings_come_in_gallery_order(engine):
    rows = np.full((900, 16), 0.3, np.float32)
    ids = np.arange(900)
    found = search(rows, rows, 4, query_ids=ids, gallery_ids=ids, engine=engine)
    assert (found.distances == 0).all()
    np.testing.assert_array_equal(found.indices[0], [1, 2, 3, 4])
    np.testing.assert_array_equal(found.indices[2], [0, 1, 3, 4])
    np.testing.assert_array_equal(found.indices[899], [0, 1, 2, 3])


@pytest.mark.parametrize("name", ["euclidean", "cosine"])
def test_tells_rows_apart_that_lie_close_together(name, engine):
    """|q|^2 + |g|^2 - 2 q.g in float32 is wrong in every digit here."""
    rng = np.random.default_rng(3)
    rows = (1 + 1e-4 * rng.normal(size=(120, 8))).astype(np.float32)
    ids = np.arange(120)
    distances, indices = search_by_hand(rows, rows, 3, name, ids, ids)
    found = search(rows, rows, 3, distance=name, query_ids=ids, gallery_ids=ids, engine=engine)
    if name == "euclidean":
        np.testing.assert_array_equal(found.indices, indices)
        np.testing.assert_allclose(found.distances, distances, rtol=1e-5)
    else:  # normalizing in float32 moves rows by 6e-8, and the angles are 1e-4
        assert (found.indices == indices).mean() > 0.98
        np.testing.assert_allclose(found.distances, distances, rtol=0.02)


@pytest.fixture
def matrix_products(monkeypatch):
    """FAISS takes distances from matrix products from so many queries on, which this build does for many only."""
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 20)


@pytest.mark.parametrize("name", ["squared_euclidean", "cosine"])
def test_rounding_of_matrix_products_hides_no_neighbor(name, matrix_products, engine):
    rng = np.random.default_rng(0)
    # Two far groups, so that no origin is near to both, and rows in them nearer than products of such lengths can tell.
    sides = np.where(np.arange(60) < 30, 1000.0, -1000.0)[:, None]
    gallery = (sides + rng.normal(scale=0.3, size=(60, 16))).astype(np.float32)
    queries = (1000.0 + rng.normal(scale=0.3, size=(64, 16))).astype(np.float32)
    found = search(queries, gallery, 1, distance=name, engine=engine)
    distances, _ = search_by_hand(queries, gallery, 1, name)
    true = [
        distance_by_hand(name, query, gallery[row]) for query, row in zip(queries, found.indices[:, 0], strict=True)
    ]
    np.testing.assert_allclose(true, distances[:, 0], rtol=1e-2)


def test_removes_itself_by_id_and_keeps_its_twin():
    rows = np.array([[0, 1], [0, 1], [0, 1], [1, 0]], np.float32)
    ids = np.array([40, 10, 30, 20])
    found = search(rows, rows, 3, query_ids=ids, gallery_ids=ids)
    np.testing.assert_array_equal(found.indices, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    np.testing.assert_array_equal(found.distances[0], [0, 0, 1])


def test_keeps_everything_without_ids():
    rows = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(search(rows, rows, 1).indices[:, 0], [0, 1, 2])


def test_ids_above_float32_stay_apart():
    rows = np.array([[1, 0], [1, 0.1], [1, 0.2]], np.float32)
    ids = np.array([ABOVE_FLOAT32, ABOVE_FLOAT32 + 1, ABOVE_FLOAT32 + 2])
    assert np.float32(ids[0]) == np.float32(ids[1])
    found = search(rows, rows, 2, query_ids=ids, gallery_ids=ids)
    np.testing.assert_array_equal(found.indices, [[1, 2], [2, 0], [1, 0]])


def test_shuffled_separate_gallery_with_several_rows_of_one_id():
    rng = np.random.default_rng(4)
    queries, gallery = (
        rng.normal(size=(12, 5)).astype(np.float32),
        rng.normal(size=(50, 5)).astype(np.float32),
    )
    query_ids = rng.permutation(12) + 10**12
    gallery_ids = rng.integers(0, 15, size=50) + 10**12  # 3 rows of each id on average, some of no query
    gallery[:12] = queries[rng.permutation(12)]
    assert np.unique(gallery_ids, return_counts=True)[1].max() > 4
    distances, indices = search_by_hand(queries, gallery, 20, "euclidean", query_ids, gallery_ids)
    found = search(queries, gallery, 20, distance="euclidean", query_ids=query_ids, gallery_ids=gallery_ids)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)


@pytest.mark.parametrize("name", DISTANCES)
def test_block_size_changes_nothing(name):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(103, 24)).astype(np.float32)
    rows[50:] = rows[:53]  # twins, whose distances a matrix product rounds by where they stand in the block
    ids = np.arange(103)
    whole = search(rows, rows, 6, distance=name, query_ids=ids, gallery_ids=ids, block_size=103)
    for block_size in (1, 19, 64):
        parts = search(rows, rows, 6, distance=name, query_ids=ids, gallery_ids=ids, block_size=block_size)
        np.testing.assert_array_equal(parts.indices, whole.indices)
        np.testing.assert_array_equal(parts.distances, whole.distances)


def test_rows_of_any_length_have_a_cosine():
    rows = np.array([[1e-30, 0], [1, 0], [1e15, 1e15]], np.float32)
    found = search(rows, rows, 3)
    np.testing.assert_array_equal(found.indices, [[0, 1, 2], [0, 1, 2], [2, 0, 1]])
    np.testing.assert_allclose(found.distances[0], [0, 0, 1 - np.sqrt(0.5)], atol=1e-6)


def test_k_may_be_all_that_is_left():
    rows, ids = np.eye(4, dtype=np.float32), np.array([1, 1, 2, 3])
    assert search(rows, rows, 2, query_ids=ids, gallery_ids=ids).indices.shape == (4, 2)
    with pytest.raises(ValueError, match=r"from 1 to 2, the gallery rows.*got k=3 with a gallery of 4 rows"):
        search(rows, rows, 3, query_ids=ids, gallery_ids=ids)
    assert search(rows, rows, 4).indices.shape == (4, 4)
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k={k} with a gallery of 4"):
            search(rows, rows, k)


def test_blocks_pad_where_fewer_are_available():
    rows, ids = np.eye(4, dtype=np.float32), np.array([1, 1, 2, 3])
    ((_, found),) = Finder(rows, rows, left_out=SameId(ids, ids)).blocks(3)
    np.testing.assert_array_equal(found.indices, [[2, 3, -1], [2, 3, -1], [0, 1, 3], [0, 1, 2]])
    assert np.isinf(found.distances[0, 2]) and np.isfinite(found.distances[:, :2]).all()


def test_blocks_come_in_order_whoever_works_on_them(engine):
    """Several blocks and parts of blocks, on which threads work."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(5000, 3)).astype(np.float32)
    finder = Finder(rows, rows[:900], engine=engine)
    parts = list(finder.blocks(300, block_size=2100))
    assert [part.start for part, _ in parts] == [0, *(part.stop for part, _ in parts[:-1])] and len(parts) > 6
    whole = Finder(rows, rows[:900], engine=engine).all(300)
    np.testing.assert_array_equal(np.concatenate([found.indices for _, found in parts]), whole.indices)
    by_one = search(rows[[0, 2099, 2100, 4999]], rows[:900], 300)
    np.testing.assert_array_equal(whole.indices[[0, 2099, 2100, 4999]], by_one.indices)


def test_an_error_in_a_thread_comes_out(monkeypatch):
    finder = Finder(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), engine="faiss")
    monkeypatch.setattr(faiss, "knn", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(finder.blocks(1, block_size=1))


def test_no_queries_find_nothing():
    found = search(np.zeros((0, 3), np.float32), np.eye(3, dtype=np.float32), 2)
    assert found.indices.shape == found.distances.shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_counts_rows_that_are_not_finite(bad):
    rows = np.ones((6, 3), np.float32)
    rows[[1, 4], 2] = bad
    with pytest.raises(ValueError, match="2 of 6 rows of gallery hold NaN, infinity or numbers whose squares"):
        search(np.ones((2, 3)), rows, 1)
    with pytest.raises(ValueError, match="2 of 6 rows of queries"):
        search(rows, np.ones((2, 3)), 1)


@pytest.mark.parametrize(
    "message, changes",
    {
        "same number of dimensions; got 3 and 2": {"gallery": np.ones((4, 2))},
        r"queries must have shape \[rows, dimensions\]; got \[3\]": {"queries": np.ones(3)},
        "distance must be one of cosine, .*; got 'l2'": {"distance": "l2"},
        "evaluation.engine must be one of auto, faiss, tensorflow; got 'scann'": {"engine": "scann"},
        "given together": {"query_ids": np.arange(2)},
        r"gallery_ids must have shape \[4\].*got \[5\]": {
            "query_ids": [0, 1],
            "gallery_ids": range(5),
        },
        "query_ids must be integers that fit int64; got float": {
            "query_ids": [0.0, 1.0],
            "gallery_ids": range(4),
        },
    }.items(),
)
def test_refuses_what_does_not_fit(message, changes):
    arguments = {"queries": np.ones((2, 3)), "gallery": np.ones((4, 3)), "k": 1} | changes
    with pytest.raises(ValueError, match=message):
        search(**arguments)

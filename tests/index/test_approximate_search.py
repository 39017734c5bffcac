"""An approximate index finds most of what is nearest, says how much of it, and is kept as it is."""

import json
import shutil

import numpy as np
import pytest

from metric_learning.index import Index, approximate_search


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)


def filled(rows, distance="cosine", shards=1, **options):
    index = Index(rows.shape[1], distance, **options)
    for part in np.array_split(np.arange(len(rows)), shards):
        index.add(rows[part], part)
    return index


@pytest.mark.parametrize(
    ("kind", "distance"),
    [
        *((kind, distance) for kind in ("ivf", "hnsw", "sq8", "IVF8,SQ8") for distance in ("cosine", "dot")),
        ("binary", "cosine"),
        pytest.param("pq", "cosine", marks=pytest.mark.slow),
        pytest.param("pq", "dot", marks=pytest.mark.slow),
    ],
)
def test_an_approximate_index_says_how_much_it_finds(kind, distance, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(40, 32))[rng.integers(40, size=2000)] + 0.3 * rng.normal(size=(2000, 32))).astype(
        np.float32
    )
    exact = filled(rows, distance).search_rows(rows, 10)
    index = filled(rows, distance, kind=kind)
    assert index.recall is None
    found = index.search_rows(rows, 10)
    shared = [len(np.intersect1d(a, b)) / 10 for a, b in zip(exact.indices, found.indices, strict=True)]
    assert index.recall == pytest.approx(np.mean(shared), abs=0.03) and index.recall > 0.3
    both = exact.indices[:, 0] == found.indices[:, 0]
    np.testing.assert_allclose(found.distances[both, 0], exact.distances[both, 0], atol=1e-5)
    index.save(tmp_path)
    again = Index.load(tmp_path)
    assert again.recall == index.recall and again.kind == kind
    monkeypatch.setattr(approximate_search.faiss, "index_factory", None)  # read, not built again
    np.testing.assert_array_equal(again.search_rows(rows[:50], 10).indices, found.indices[:50])


def test_an_approximate_index_follows_what_is_added_and_removed(rows, tmp_path):
    index = filled(rows, "euclidean", shards=3, kind="sq8")
    index.save(tmp_path)  # with its recall, though nobody has searched yet
    assert json.loads((tmp_path / "index.json").read_text())["recall"] > 0.9
    index = Index.load(tmp_path)
    index.add(rows[:1] + 9, ["far"])
    index.remove(["0"])
    index.save(tmp_path)
    assert len(list(tmp_path.glob("learned-*"))) == 1
    for found in (index, Index.load(tmp_path)):
        assert [hits[0].id for hits in found.search(np.stack([rows[0] + 9, rows[150]]), k=1)] == ["far", "150"]


def test_an_approximate_index_that_finds_fewer_tells_no_others(rows):
    index = filled(rows, "euclidean", kind="ivf")  # five lists, of which one is looked at
    expected = np.linalg.norm(rows[:20, None].astype(np.float64) - rows, axis=2)
    for query, hits in zip(expected, index.search(rows[:20], k=150), strict=True):
        found = [int(hit.id) for hit in hits]
        assert 1 <= len(found) < 150 and len(set(found)) == len(found)
        np.testing.assert_allclose([hit.distance for hit in hits], query[found], atol=1e-5)
    assert [hit.id for hit in index.match(rows[:20], threshold=0.0)] == [str(row) for row in range(20)]


@pytest.mark.parametrize("distance", ["cosine", "dot"])
def test_an_approximate_index_knows_its_distance_of_rows_of_any_length(distance):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(1000, 16)) * rng.uniform(0.05, 20.0, size=(1000, 1))).astype(np.float32)
    index = filled(rows, distance, kind="sq8")
    found, exact = index.search_rows(rows[:50], 5), filled(rows, distance).search_rows(rows[:50], 5)
    assert np.mean(found.indices == exact.indices) > 0.9 and index.recall > 0.9


def test_an_approximate_index_is_whole_in_every_folder(rows, tmp_path):
    filled(rows, "euclidean", kind="sq8").save(tmp_path / "first")
    Index.load(tmp_path / "first").save(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    assert [hits[0].id for hits in Index.load(tmp_path / "second").search(rows[:3], k=1)] == ["0", "1", "2"]

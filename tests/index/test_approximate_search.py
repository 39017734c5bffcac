"""An approximate index finds most of what is nearest, says how much of it, and is kept as it is."""

import json
import shutil

import numpy as np
import pytest

from metric_learning.index import Index, approximate_search


@pytest.mark.parametrize(
    ("kind", "distance"),
    [
        *((kind, distance) for kind in ("ivf", "hnsw", "sq8", "IVF8,SQ8") for distance in ("cosine", "dot")),
        ("binary", "cosine"),
        pytest.param("pq", "cosine", marks=pytest.mark.slow),
        pytest.param("pq", "dot", marks=pytest.mark.slow),
    ],
)
def test_an_approximate_index_says_how_much_it_finds(kind, distance, tmp_path, monkeypatch, filled):
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


def test_an_approximate_index_follows_what_is_added_and_removed(rows, tmp_path, filled):
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


@pytest.mark.parametrize("distance", ["cosine", "dot"])
def test_an_approximate_index_knows_its_distance_of_rows_of_any_length(distance, filled):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(1000, 16)) * rng.uniform(0.05, 20.0, size=(1000, 1))).astype(np.float32)
    index = filled(rows, distance, kind="sq8")
    found, exact = index.search_rows(rows[:50], 5), filled(rows, distance).search_rows(rows[:50], 5)
    assert np.mean(found.indices == exact.indices) > 0.9 and index.recall > 0.9


def test_an_approximate_index_is_whole_in_every_folder(rows, tmp_path, filled):
    filled(rows, "euclidean", kind="sq8").save(tmp_path / "first")
    Index.load(tmp_path / "first").save(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    assert [hits[0].id for hits in Index.load(tmp_path / "second").search(rows[:3], k=1)] == ["0", "1", "2"]


@pytest.mark.parametrize("keep", [0.0, 0.5, None])
def test_what_was_learned_is_built_again_where_its_file_is_not_whole(rows, tmp_path, keep, filled):
    filled(rows, kind="ivf").save(tmp_path)
    (path,) = tmp_path.glob("learned-*")
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    index = Index.load(tmp_path)
    with pytest.warns(UserWarning, match=f"{path} is missing or damaged, and is built again from the vectors"):
        assert index.search(rows[7:8], k=1)[0][0].id == "7"
    index.save(tmp_path)
    assert Index.load(tmp_path).search(rows[7:8], k=1)[0][0].id == "7"  # without a warning


@pytest.mark.parametrize(("kind", "distance"), [("ivf", "cosine"), ("IVF5,Flat", "euclidean")])
def test_more_than_the_lists_hold_is_found_exactly(rows, kind, distance, filled):
    index = filled(rows, distance, kind=kind)
    found = index.search_rows(rows[:20] + 0.1, 150)
    expected = filled(rows, distance).search_rows(rows[:20] + 0.1, 150)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.distances, expected.distances)


def test_no_row_is_found_twice_where_lists_propose_fewer_than_they_are_asked_for(rows, filled):
    """About 40 of 72, and enough for 10."""
    index = filled(rows, "euclidean", kind="ivf")
    for found in index.search_rows(rows, 10).indices.tolist():
        assert len(set(found)) == 10


def test_recall_is_that_of_queries_that_are_not_in_the_index(filled):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 16)).astype(np.float32)
    rows, queries = rows[:3000], rows[3000:]
    index = filled(rows, "euclidean", kind="ivf")
    found = index.search_rows(queries, 10).indices
    exact = filled(rows, "euclidean").search_rows(queries, 10).indices
    new = np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(found, exact, strict=True)])
    assert new < 0.9 and index.recall == pytest.approx(new, abs=0.015)


def test_recall_is_of_other_rows_also_where_a_row_does_not_find_itself(filled):
    """Of three dimensions a binary index knows eight kinds of rows, and proposes 76 of the 125 that are alike."""
    rows = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    index = filled(rows, kind="binary")
    shared, missed = [], 0
    answers = zip(index.search_rows(rows, 11).indices, filled(rows).search_rows(rows, 11).indices, strict=True)
    for row, both in enumerate(answers):
        found, exact = ([other for other in each.tolist() if other != row][:10] for each in both)
        shared.append(len(set(found) & set(exact)) / 10)
        missed += row not in both[0]
    assert missed > 100 and index.recall == pytest.approx(np.mean(shared))


def test_recall_of_one_row_and_of_equal_rows(filled):
    for count in (1, 2, 30):
        index = filled(np.ones((count, 4), np.float32), "euclidean", kind="sq8")
        index.search(np.ones((1, 4)))
        assert index.recall == 1.0


@pytest.mark.parametrize("kind", ["OPQ4,IVF16,PQ4x4fs", "IVF16,Flat", "OPQ4,PQ4x4,RFlat"])
def test_lists_below_other_steps_are_searched_in_part_and_faiss_says_nothing(kind, capfd, filled):
    rows = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    index = filled(rows, "euclidean", kind=kind)
    index.search(rows[:1])
    inverted = approximate_search.faiss.try_extract_index_ivf(index._approximately._index)
    assert inverted is None or (inverted.nlist, inverted.nprobe) == (16, 2)
    assert capfd.readouterr().err == ""

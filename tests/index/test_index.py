"""An index finds what sorting all distances finds, keeps what it is told, and is whole on disk however it is killed."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow.parquet
import pytest

import metric_learning
from metric_learning.index import Hit, Index, exact_search

DISTANCES = ("cosine", "euclidean", "squared_euclidean", "dot", "snr")


def slow_distances(queries, rows, distance):
    """float64, from the definitions."""
    found = np.empty((len(queries), len(rows)))
    for i, x in enumerate(queries.astype(np.float64)):
        for j, y in enumerate(rows.astype(np.float64)):
            if distance == "cosine":
                found[i, j] = 1 - x @ y / np.sqrt((x @ x) * (y @ y))
            elif distance == "dot":
                found[i, j] = -x @ y
            elif distance == "snr":
                found[i, j] = np.var(x - y) / np.var(x)
            else:
                found[i, j] = ((x - y) ** 2).sum() ** (0.5 if distance == "euclidean" else 1.0)
    return found


@pytest.mark.parametrize("distance", DISTANCES)
def test_it_finds_what_sorting_all_distances_finds(rows, distance, filled):
    queries = np.random.default_rng(1).normal(size=(9, 8)).astype(np.float32)
    expected = slow_distances(queries, rows, distance)
    for query, hits in zip(expected, filled(rows, distance).search(queries, k=7), strict=True):
        order = np.argsort(query)[:7]
        assert [hit.id for hit in hits] == [str(row) for row in order]
        np.testing.assert_allclose([hit.distance for hit in hits], query[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_shards_and_blocks_change_nothing(rows, distance, monkeypatch, filled):
    """Not a bit, and neither the order of rows that are equally near."""
    rows = np.concatenate([rows, rows[:50]])
    expected = filled(rows, distance).search_rows(rows[:60], 30)
    monkeypatch.setattr(exact_search, "_BLOCK", 8 * 23)
    for shards in (1, 2, 7):
        found = filled(rows, distance, shards).search_rows(rows[:60], 30)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.distances, expected.distances)


def test_rows_keep_their_labels_and_metadata_through_all_that_happens(rows, tmp_path):
    index = Index(8, "euclidean")
    index.add(rows[:3], ["a", "b", "c"], labels=["x", None, "z"], metadata=[{"price": 3}, None, {"seen": [1, 2]}])
    index.add(rows[3:5], [4, 5])
    index.remove(["b", 4])
    other = Index(8, "euclidean")
    other.add(rows[5:6], ["late"], labels=["w"])
    index.merge(other)
    index.threshold = 0.25
    index.save(tmp_path / "index")
    for found in (index, Index.load(tmp_path / "index")):
        assert found.ids == ["a", "c", "5", "late"] and len(found) == 4 and "c" in found and "b" not in found
        assert found.threshold == 0.25
        hits = [hits[0] for hits in found.search(rows[[0, 2, 4, 5]], k=1)]
        assert hits == [
            Hit("a", 0.0, "x", {"price": 3}),
            Hit("c", 0.0, "z", {"seen": [1, 2]}),
            Hit("5", 0.0),
            Hit("late", 0.0, "w"),
        ]
        assert found.match(rows[[0, 1]]) == [Hit("a", 0.0, "x", {"price": 3}), None]
        assert len(found.search(rows[:1], k=99)[0]) == 4


def test_what_has_not_changed_is_not_written_again(rows, tmp_path, filled):
    index = filled(rows)
    index.save(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    index = Index.load(tmp_path)
    index.add(rows[:1] + 1, ["new"])
    index.save(tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before if name != "index.json"} == {
        name: changed for name, changed in before.items() if name != "index.json"
    }
    assert len(after) == len(before) + 2
    index.remove(["7"])
    index.save(tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 5 and {name: after[name] for name in set(after) - set(before)}.items() <= kept.items()
    index.remove([str(row) for row in range(200) if row != 7])
    index.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3 and Index.load(tmp_path).ids == ["new"]


def test_an_item_at_the_threshold_is_a_match_and_a_threshold_of_0_is_one():
    index = Index(2, "euclidean")
    index.add([[0.0, 0.0], [3.0, 4.0]], ["origin", "corner"])
    assert index.match([[3.0, 0.0]], threshold=3.0) == [Hit("origin", 3.0)]
    index.threshold = 9.0
    assert index.match([[3.0, 0.0], [3.0, 4.0]], threshold=0.0) == [None, Hit("corner", 0.0)]
    products = Index(2, "dot")  # whose distances are below 0
    products.add([[1.0, 0.0]], ["right"])
    assert products.match([[3.0, 0.0], [2.0, 0.0]], threshold=-2.5) == [Hit("right", -3.0), None]


def test_an_index_of_another_version_is_named(rows, tmp_path, filled):
    filled(rows).save(tmp_path)
    text = (tmp_path / "index.json").read_text(encoding="utf-8")
    (tmp_path / "index.json").write_text(text.replace('"version": 1', '"version": 2'), encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged: its version is 2, not 1"):
        Index.load(tmp_path)


def test_vectors_of_another_index_are_named(rows, tmp_path, filled):
    filled(rows).save(tmp_path)
    (path,) = tmp_path.glob("vectors-*.npy")
    np.save(path, rows[:199])
    with pytest.raises(ValueError, match=r"is damaged: vectors-\w+.npy has the shape \(199, 8\)"):
        Index.load(tmp_path)


def test_an_index_may_be_read_only_with_its_encoder(rows, tmp_path, filled):
    filled(rows, encoder="abc").save(tmp_path)
    encoder = type("Encoder", (), {"fingerprint": "abc", "folder": "run", "calibration": {}})()
    assert len(Index.load(tmp_path, encoder)) == 200
    encoder.fingerprint = "def"
    with pytest.raises(ValueError, match="is not of the encoder in run; embed its items again"):
        Index.load(tmp_path, encoder)
    filled(rows).save(tmp_path / "any")
    assert len(Index.load(tmp_path / "any", encoder)) == 200


def test_a_threshold_is_kept_and_one_line_says_that_the_run_has_another(rows, tmp_path, recwarn, filled):
    encoder = type("Encoder", (), {"fingerprint": "abc", "calibration": {"threshold": 0.5, "chosen_on": "for"}})()
    index = filled(rows, encoder="abc")
    index.save(tmp_path)
    taken = Index.load(tmp_path, encoder)  # it had none of its own
    assert (taken.threshold, taken.chosen_on) == (0.5, "for")
    taken.save(tmp_path)
    assert Index.load(tmp_path).chosen_on == "for"
    index.threshold = 0.25
    index.save(tmp_path, replace=True)
    assert Index.load(tmp_path).threshold == 0.25 and not recwarn
    with pytest.warns(UserWarning, match="keeps its threshold 0.2500; that of its run is now 0.5000$"):
        assert Index.load(tmp_path, encoder).threshold == 0.25
    encoder.calibration = {"threshold": 0.25}
    assert Index.load(tmp_path, encoder).threshold == 0.25


def test_parquet_holds_what_the_index_holds(rows, tmp_path):
    index = Index(8, "euclidean")
    index.add(rows[:2], ["a", "b"])
    index.to_parquet(tmp_path / "bare.parquet")
    assert pyarrow.parquet.read_schema(tmp_path / "bare.parquet").names == ["id", "features"]
    index.add(rows[2:5], ["c", 4, 5], labels=["x", None, "z"], metadata=[{"price": 3}, None, {"seen": "ä"}])
    index.to_parquet(tmp_path / "new" / "index.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "new" / "index.parquet").to_pydict()
    assert found["id"] == ["a", "b", "c", "4", "5"] and found["label"] == [None, None, "x", None, "z"]
    assert found["metadata"] == [None, None, '{"price": 3}', None, '{"seen": "ä"}']
    np.testing.assert_array_equal(np.array(found["features"], np.float32), rows[:5])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["index.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index, rows: index.add(rows[:2], ["a"]), "ids must be one for each of 2 vectors; got 1"),
        (lambda index, rows: index.add(rows[:2], ["a", "b"], labels=["x"]), "labels must be one for each of 2"),
        (lambda index, rows: index.add(rows[:2, :3], ["a", "b"]), r"vectors must be \[n, 8\], .* got \[2, 3\]"),
        (lambda index, rows: index.add(rows[:0], []), r"vectors must be \[n, 8\], n at least 1; got \[0, 8\]"),
        (
            lambda index, rows: index.add(rows[:2] * np.nan, ["a", "b"]),
            r"vectors must be finite, .*; row 0 is not, of 2 such rows \(a, b\)",
        ),
        (
            lambda index, rows: index.add(rows[:3] * [[1], [3e19], [1]], ["a", "b", "c"]),
            r"their squares in float32; row 1 is not, of 1 such rows \(b\)",
        ),
        (
            lambda index, rows: index.add(rows[:2] * 0, ["a", "b"]),
            "vectors must be of some length with",
        ),
        (lambda index, rows: index.add(rows[:2], ["a", "7"]), r"ids must be unique; 1 are there already \(7\)"),
        (lambda index, rows: index.add(rows[:2], ["a", "a"]), r"ids must be unique; 1 are there already \(a\)"),
        (lambda index, rows: index.add(rows[:1], ["a"], metadata=[{"x": object()}]), "JSON serializable"),
        (lambda index, rows: index.remove(["7", "z"]), r"ids must be in the index; 1 are not \(z\)"),
        (lambda index, rows: index.merge(index), r"ids must be unique; 200 are in both \(0, 1, 10, ...\)"),
        (
            lambda index, rows: index.merge(Index(8, "dot")),
            "indexes to be merged must be of one distance; got cosine",
        ),
        (lambda index, rows: index.merge(Index(9)), "indexes to be merged must be of one dimensions; got 8 and 9"),
        (lambda index, rows: index.merge(Index(8, encoder="abc")), "must be of one encoder; got None and abc"),
        (lambda index, rows: index.search(rows, k=0), "k must be at least 1; got 0"),
        (lambda index, rows: index.search(rows[:, :2]), r"queries must be \[n, 8\]"),
        (lambda index, rows: index.search(rows * np.inf), "queries must be finite"),
        (lambda index, rows: Index(8).search(rows), "the index is empty; add rows before"),
        (lambda index, rows: index.match(rows), "match needs a threshold, and this index has none; calibrate"),
        (lambda index, rows: index.match(rows, -0.1), "threshold must be a cosine distance, .* got -0.1"),
        (lambda index, rows: index.match(rows, float("nan")), "threshold must be a cosine distance, .* got nan"),
        (lambda index, rows: Index(8, "manhattan"), "distance must be one of"),
        (lambda index, rows: Index(8, kind="best"), "kind must be exact, ivf, .* or a factory string .* got 'best'"),
        (lambda index, rows: Index(8, "dot", kind="binary"), "fits distance=dot and 8 dimensions; got 'binary'"),
        (lambda index, rows: Index(8, "snr", kind="ivf"), "kind must be exact with distance=snr"),
        (lambda index, rows: index.save(metric_learning.__path__[0]), "must be empty or hold one; .* something else"),
        (lambda index, rows: Index.load("nowhere"), "there is no index in nowhere, which would have an index.json"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(rows, change, message, filled):
    index = filled(rows)
    with pytest.raises((ValueError, TypeError), match=message):
        change(index, rows)
    assert index.ids == [str(row) for row in range(200)]


@pytest.mark.parametrize("name", ["index.json", "rows-*.json", "vectors-*.npy"])
def test_half_a_file_is_named(rows, tmp_path, name, filled):
    filled(rows).save(tmp_path)
    (path,) = tmp_path.glob(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"the index in {tmp_path} is damaged"):
        Index.load(tmp_path)


def test_an_empty_index_has_no_rows(tmp_path):
    index = Index(8)
    assert index.rows.shape == (0, 8) and index.rows[np.arange(0)].shape == (0, 8)
    index.to_parquet(tmp_path / "empty.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "empty.parquet").num_rows == 0


@pytest.mark.slow
def test_a_kill_leaves_the_old_index_or_the_new_one(tmp_path):
    """Rows are added and removed in turns, by 50 processes one after the other, each killed in the midst of it."""
    program = f"""
        import os, random, signal, sys, time
        sys.path.insert(0, {str(metric_learning.__path__[0]).removesuffix("metric_learning")!r})
        import numpy as np
        from metric_learning.index import Index
        folder = {str(tmp_path / "index")!r}

        def write():
            index = Index.load(folder) if os.path.exists(folder + "/index.json") else Index(64, "euclidean")
            while True:
                number = len(index)
                if number >= 4000:
                    index.remove(index.ids[1000:])
                else:
                    index.add(np.full((1000, 64), number, np.float32), range(number, number + 1000))
                index.save(folder)

        random.seed(0)
        for _ in range(50):
            process = os.fork()
            if not process:
                write()
            time.sleep(random.uniform(0.0, 0.15))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            if os.path.exists(folder + "/index.json"):
                index = Index.load(folder)
                assert index.ids == [str(row) for row in range(len(index))]
                assert len(index) % 1000 == 0
                for place, shard in enumerate(index._shards):
                    assert (np.asarray(shard.vectors) == 1000 * place).all()
                print(len(index))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    sizes = done.stdout.split()
    assert len(sizes) > 40 and len(set(sizes)) > 1
    about = json.loads((tmp_path / "index" / "index.json").read_text())
    assert about["dimensions"] == 64

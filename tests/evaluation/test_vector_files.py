"""Files of vectors; what else is read and refused is tested with scripts/evaluate.py."""

import tracemalloc

import numpy as np

from metric_learning.evaluation.vector_files import read_vectors, write_parquet


def test_vectors_of_parquet_take_the_room_of_an_array(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20_000, 32)).astype(np.float32)
    write_parquet(tmp_path / "v.parquet", 32, ["label"], [(rows, {"label": ["a", "b"] * 10_000})])
    tracemalloc.start()
    found = read_vectors(tmp_path / "v.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found["vectors"], rows)
    assert peak < 4 * rows.nbytes  # as lists of Python's numbers they took ten times as much


def test_a_label_is_a_line_as_an_editor_has_it(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    for end in ("", "\n"):
        (tmp_path / "labels.txt").write_text("a\u2028b\na\x0bc\n007" + end, encoding="utf-8")
        found = read_vectors(tmp_path / "v.npy", labels=str(tmp_path / "labels.txt"))
        assert found["labels"].tolist() == ["a\u2028b", "a\x0bc", "007"]

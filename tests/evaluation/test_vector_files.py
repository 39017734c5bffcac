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

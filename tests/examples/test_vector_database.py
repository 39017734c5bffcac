"""The vector database answers as the exact search does, by every distance that it has."""

import importlib.util
import pathlib

import numpy as np
import pytest

from metric_learning.evaluation import search

pytest.importorskip("lancedb")
pyarrow = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FILE = pathlib.Path(__file__).parents[2] / "examples/vector_database.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("vector_database", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def filled(example, tmp_path_factory):
    """(folder of the database, the vectors [300, 16] in it)."""
    import pyarrow.parquet

    folder = tmp_path_factory.mktemp("database")
    rows = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    vectors = pyarrow.FixedSizeListArray.from_arrays(rows.reshape(-1), 16)
    columns = {"id": [str(row) for row in range(300)], "label": ["ant", "bee", "cat"] * 100, "features": vectors}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "vectors.parquet")
    assert example.fill(folder / "database", folder / "vectors.parquet") == 300
    return folder / "database", rows


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean", "dot"])
def test_it_finds_what_the_exact_search_finds(example, filled, distance):
    database, rows = filled
    queries = np.random.default_rng(1).normal(size=(7, 16)).astype(np.float32)
    expected = search(queries, rows, 5, distance=distance)
    for query, indices, distances in zip(queries, *reversed(expected), strict=True):
        hits = example.nearest(database, query, distance)
        assert [hit["id"] for hit in hits] == [str(row) for row in indices]
        np.testing.assert_allclose([hit["distance"] for hit in hits], distances, rtol=1e-4, atol=1e-5)


def test_it_filters_by_a_column(example, filled):
    hits = example.nearest(filled[0], filled[1][0], "cosine", k=4, where="label = 'bee'")
    assert [hit["label"] for hit in hits] == ["bee"] * 4


def test_a_distance_that_it_does_not_have_is_named(example, filled):
    with pytest.raises(ValueError, match="distance must be one of cosine, .* for LanceDB; got 'snr'"):
        example.nearest(filled[0], filled[1][0], "snr")

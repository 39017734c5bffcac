"""Ids, labels and metadata of any kind are found again as they are after saving, or are refused by name at once."""

import datetime
import pathlib

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from metric_learning.index import Index, fill

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


class Missing:
    """As pandas has it."""

    def __repr__(self):
        return "<NA>"


def column_of(index, name):
    return [getattr(hits[0], name) for hits in index.search(ROWS, k=1)]


def added(ids="abc", **known):
    index = Index(2, "euclidean")
    index.add(ROWS, ids, **known)
    return index


def check_kept(index, folder, name, expected):
    """In memory, saved and loaded, and in Parquet."""
    index.save(folder / "index")
    for each in (index, Index.load(folder / "index")):
        found = column_of(each, name)
        assert found == expected and list(map(type, found)) == list(map(type, expected))
    index.to_parquet(folder / "index.parquet")
    return pyarrow.parquet.read_table(folder / "index.parquet")[name].to_pylist()


TEXTS = [
    ([0, 1, 2], ["0", "1", "2"]),
    (np.arange(3), ["0", "1", "2"]),
    (np.arange(3, dtype=np.uint8), ["0", "1", "2"]),
    (tf.range(3), ["0", "1", "2"]),
    (np.array(["x", "y", "z"]), ["x", "y", "z"]),
    (tf.constant(["x", "y", "ä"]), ["x", "y", "ä"]),
    ([b"x", np.bytes_(b"y"), "ä".encode()], ["x", "y", "ä"]),
    ([pathlib.Path("x"), 1.5, np.datetime64("2020-01-02")], ["x", "1.5", "2020-01-02"]),
]


@pytest.mark.parametrize(("given", "expected"), TEXTS)
def test_ids_and_labels_are_kept_as_texts(tmp_path, given, expected):
    assert check_kept(added(labels=given), tmp_path / "labels", "label", expected) == expected
    index = added(given)
    assert check_kept(index, tmp_path / "ids", "id", expected) == expected
    index.remove(given)
    assert not len(index)


def test_booleans_are_words_and_labels_may_be_missing(tmp_path):
    expected = ["True", "False", None]
    assert check_kept(added(labels=np.array([True, False, None])), tmp_path / "a", "label", expected) == expected
    assert column_of(added(labels=[float("nan"), Missing(), np.datetime64("NaT")]), "label") == [None] * 3


def test_names_that_are_not_utf_8_are_kept_and_have_escapes_in_parquet(tmp_path):
    names = ["caf\udce9", "b", "c"]
    assert check_kept(added(names), tmp_path, "id", names) == ["caf\\udce9", "b", "c"]


def test_metadata_is_what_json_makes_of_it(tmp_path):
    given = [
        {"count": np.int64(3), "sure": np.float32(0.5), "seen": np.bool_(True), "box": np.array([1, 2])},
        {"box": (1, 2), 7: "seven", "deep": {"more": [np.uint8(1), tf.constant(2)]}},
        None,
    ]
    expected = [
        {"count": 3, "sure": 0.5, "seen": True, "box": [1, 2]},
        {"box": [1, 2], "7": "seven", "deep": {"more": [1, 2]}},
        None,
    ]
    check_kept(added(metadata=given), tmp_path, "metadata", expected)
    known = {"box": [1]}
    index = added(metadata=[known] * 3)
    known["box"].append(2)
    assert column_of(index, "metadata") == [{"box": [1]}] * 3


def test_numbers_of_numpy_about_an_index_are_kept(tmp_path):
    index = Index(np.int64(2), "euclidean")
    index.add(ROWS, "abc")
    index.threshold = np.float32(0.5)
    index.save(tmp_path)
    assert Index.load(tmp_path).threshold == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": ["a", None, "c"]}, "ids must be there for every item; row 1 has none"),
        ({"ids": ["a", "b", np.nan]}, "ids must be there for every item; row 2 has none"),
        ({"labels": ["x", ["y", "z"], "z"]}, r"labels must be one text or number a row; row 1 is \['y', 'z'\]"),
        ({"labels": np.eye(3)}, r"labels must be one text or number a row; row 0 is array\(\[1., 0., 0.\]\)"),
        ({"metadata": ["x", "y", "z"]}, "metadata must be dicts or None; row 0 is of type str"),
        ({"metadata": [None, np.nan, None]}, "metadata must be dicts or None; row 1 is of type float"),
        (
            {"metadata": [{}, {"on": datetime.date(2020, 1, 2)}, {}]},
            "metadata must be what JSON can hold; that of row 1 is not: Object of type date is not JSON",
        ),
        ({"metadata": [{}, {}, {"raw": b"x"}]}, "that of row 2 is not: Object of type bytes is not JSON"),
        ({"metadata": [{np.int64(1): 2}, {}, {}]}, "that of row 0 is not: keys must be str"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name_before_anything_is_embedded(given, message):
    index = Index(2, "euclidean")
    given = {"ids": ["a", "b", "c"]} | given
    for refused in (lambda: index.add(ROWS, **given), lambda: fill(index, pytest.fail, ROWS, **given)):
        with pytest.raises(ValueError, match=message):
            refused()
    assert not len(index)

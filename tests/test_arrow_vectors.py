"""Columns of vectors: those that are one array, and those that are none."""

import numpy as np
import pyarrow
import pytest

from metric_learning.arrow_vectors import vectors_of

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "kind", [pyarrow.list_(pyarrow.float32()), pyarrow.large_list(pyarrow.int64()), pyarrow.list_(pyarrow.float64(), 2)]
)
def test_lists_of_one_length_are_an_array_also_in_parts(kind):
    for parts in ([ROWS], [ROWS[:1], [], ROWS[1:]]):
        found = vectors_of(pyarrow.chunked_array(parts, kind))
        np.testing.assert_array_equal(found, ROWS)
        assert found.dtype == kind.value_type.to_pandas_dtype()
    sliced = pyarrow.chunked_array([ROWS], kind).slice(1)
    np.testing.assert_array_equal(vectors_of(sliced), ROWS[1:])


@pytest.mark.parametrize(
    "parts", [[], [[[1], [2, 3]]], [[[1]], [[2, 3]]], [[[1], None]], [[[1], [None]]], [[["a"]]], [[1, 2]]]
)
def test_all_else_is_none(parts):
    kind = pyarrow.list_(pyarrow.int64()) if not parts else None
    assert vectors_of(pyarrow.chunked_array(parts, kind)) is None

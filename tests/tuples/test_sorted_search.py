"""Searches in sorted rows against NumPy's."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.tuples.sorted_search import count_up_to, count_up_to_where, nearest_entries, sort_rows


@pytest.fixture
def ranked():
    """Sorted rows with ties, and infinities at both ends."""
    rows = np.random.default_rng(1).integers(-3, 4, size=(6, 11)).astype(np.float32)
    rows[0, 0], rows[1, :3], rows[2] = -np.inf, np.inf, 2.0
    return np.sort(rows, axis=1)


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 11])
def test_counts_are_those_of_numpy(ranked, below, width):
    values = np.random.default_rng(2).integers(-4, 5, size=(6, 23)).astype(np.float32)
    values[:, 0], values[:, 1] = -np.inf, np.inf
    mask = np.random.default_rng(3).integers(0, 2, size=values.shape).astype(bool)
    mask[3], mask[4] = False, True
    side = "left" if below else "right"
    expected = np.array(
        [np.searchsorted(row, asked, side=side) for row, asked in zip(ranked[:, :width], values, strict=True)]
    )
    assert 0 < expected.max() == width

    def count(mask, ranked, values):
        return count_up_to_where(mask, ranked, values, below=below)

    arguments = tf.constant(mask), tf.constant(ranked[:, :width]), tf.constant(values)
    unknown = [tf.TensorSpec([None, None], part.dtype) for part in arguments]
    for function in (count, tf.function(count, input_signature=unknown), tf.function(count, jit_compile=True)):
        np.testing.assert_array_equal(function(*arguments), np.where(mask, expected, 0))


def test_rows_can_be_asked_for_in_any_order(ranked):
    rows, values = tf.constant([4, 0, 0, 5]), tf.constant([1.0, 0.0, -5.0, 9.0])
    expected = [np.searchsorted(ranked[row], value, side="right") for row, value in zip(rows, values, strict=True)]
    assert count_up_to(tf.constant(ranked), rows, values).numpy().tolist() == expected


def test_entries_outside_are_the_nearest():
    matrix = tf.constant([[1, 2, 3], [4, 5, 6]])
    assert nearest_entries(matrix, tf.constant([0, 1, 1]), tf.constant([-2, 1, 9])).numpy().tolist() == [1, 5, 6]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_rows_are_sorted_and_equal_entries_keep_their_order(ranked, compiled):
    matrix = np.random.default_rng(5).permuted(ranked, axis=1)
    found, order = tf.function(sort_rows, jit_compile=compiled)(tf.constant(matrix))
    np.testing.assert_array_equal(order, np.argsort(matrix, axis=1, kind="stable"))
    np.testing.assert_array_equal(found, ranked)


def test_no_tensor_is_cubic_under_xla():
    @tf.function(jit_compile=True)
    def count(mask, ranked, values):
        return count_up_to_where(mask, ranked, values)

    size = 512
    matrix = tf.zeros([size, size])
    program = count.experimental_get_compiler_ir(matrix > 1.0, matrix, matrix)(stage="optimized_hlo")
    assert f"[{size},{size}]" in program and f"[{size},{size},{size}]" not in program

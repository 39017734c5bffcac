"""Walks over masks, and entries of matrices, against loops."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.tuples import at, columns_of, entries, in_blocks, put, thresholds, through_columns


def test_at_takes_columns_row_by_row():
    assert at(tf.constant([[1, 2, 3], [4, 5, 6]]), [[2, 2], [0, 1]]).numpy().tolist() == [[3, 3], [4, 5]]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_entries_pass_their_gradient_to_where_they_came_from(compiled):
    random = np.random.default_rng(4)
    matrix, slopes = random.normal(size=(5, 7)).astype(np.float32), random.normal(size=(6, 9)).astype(np.float32)
    rows, columns = random.integers(0, 5, size=(6, 9)), random.integers(0, 7, size=(6, 9))  # most cells several times
    slopes[:, ::2] = 0.0
    expected = np.zeros((5, 7))
    for row, column, slope in zip(rows.ravel(), columns.ravel(), slopes.ravel(), strict=True):
        expected[row, column] += slope

    @tf.function(jit_compile=compiled)
    def taken(matrix, rows, columns):
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            found = entries(matrix, rows, columns)
        return found, tape.gradient(found, matrix, output_gradients=slopes)

    found, gradient = taken(
        *(tf.constant(part, kind) for part, kind in ((matrix, "float32"), (rows, "int32"), (columns, "int32")))
    )
    np.testing.assert_array_equal(found, matrix[rows, columns])
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_entries_do_not_hide_a_gradient_of_nan():
    matrix = tf.zeros([2, 2])
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = tf.reduce_sum(entries(matrix, 0, tf.constant([1])) * float("nan"))
    assert np.isnan(tape.gradient(value, matrix).numpy()).tolist() == [[False, True], [False, False]]


MASK = np.array([[0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)


@pytest.mark.parametrize("most", [0, 10], ids=["listed", "looked for"])
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_going_through_columns_meets_each_once_in_its_order(monkeypatch, most, compiled):
    monkeypatch.setattr(thresholds, "MOST_WITHOUT_A_LIST", most)

    @tf.function(jit_compile=compiled)
    def turns(mask):
        def add(column, found, number, met):
            return number + 1, put(met, column, found, tf.repeat(number, 4))

        return through_columns(mask, add, 1, tf.zeros([4, 5], tf.int32))

    number, met = turns(tf.constant(MASK))
    assert number == 6  # the fullest row has five
    assert met.numpy().tolist() == [[0, 1, 0, 2, 3], [0] * 5, [1, 0, 0, 0, 0], [1, 2, 3, 4, 5]]


def test_columns_are_listed_by_their_place_in_the_row():
    columns, exists = columns_of(tf.constant(MASK))
    assert columns.numpy().T.tolist() == [[1, 3, 4, 0, 0], [0] * 5, [0] * 5, [0, 1, 2, 3, 4]]
    assert exists.numpy().sum(0).tolist() == [3, 0, 1, 5]


def test_put_leaves_rows_that_found_nothing():
    matrix = tf.zeros([3, 2])
    placed = put(matrix, tf.constant([1, 0, 0]), tf.constant([True, False, True]), tf.constant([5.0, 6.0, 7.0]))
    assert placed.numpy().tolist() == [[0.0, 5.0], [0.0, 0.0], [7.0, 0.0]]


@pytest.mark.parametrize("rows", [12, 7], ids=["even", "filled up"])
def test_blocks_of_rows_make_what_all_rows_at_once_make(monkeypatch, rows):
    sizes = []

    def sums(matrix, mask, weights):
        sizes.append(matrix.shape[0])
        return tf.reduce_sum(tf.where(mask, matrix, 0.0), axis=1) * weights, 2.0 * matrix

    matrix, weights = tf.reshape(tf.range(5.0 * rows), [rows, 5]), tf.range(1.0 * rows)
    matrices = matrix, matrix % 3.0 > 0.0, weights
    whole = sums(*matrices)
    monkeypatch.setattr(thresholds, "BLOCK", 20)
    parts = in_blocks(sums, matrices, (tf.float32, tf.float32))
    assert set(sizes[1:]) == {4}
    for part, expected in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_a_block_holds_one_row_at_least(monkeypatch):
    monkeypatch.setattr(thresholds, "BLOCK", 4)
    (result,) = in_blocks(lambda matrix: (matrix + 1.0,), (tf.zeros([6, 5]),), (tf.float32,))
    np.testing.assert_array_equal(result, np.ones([6, 5]))

"""Cells through the graph become the ids that `ColumnIds.encode` gives."""

import numpy as np
import tensorflow as tf

from metric_learning.data.column_ids import ColumnIds
from metric_learning.export.graph_columns import Cells, argument_names


def test_ids_are_those_of_the_columns():
    rng = np.random.default_rng(0)
    brands, prices = [f"b{i}" for i in rng.integers(5, size=40)], rng.normal(size=40).round(1)
    columns = ColumnIds.from_rows({"brand": brands}, {"the price": prices}, np.arange(30), bins=6)
    brands += ["", "none such", "b1"]
    prices = np.array([*prices, np.nan, -1e9, columns.edges[1][2]])
    cells = Cells(columns)
    assert cells.names == ["brand", "the_price"]
    found = cells(brand=tf.constant(brands), the_price=tf.constant(prices))
    np.testing.assert_array_equal(found.numpy(), columns.encode({"brand": brands, "the price": prices}))
    assert cells(brand=tf.constant([" b1 "]), the_price=tf.constant([0.0], tf.float64)).numpy()[0, 0] > 0


def test_a_column_without_a_known_value_is_all_unknown():
    cells = Cells(ColumnIds(("a", "b"), ((), ()), (None, ())))
    found = cells(a=tf.constant(["x", ""]), b=tf.constant([1.0, np.nan], tf.float64))
    np.testing.assert_array_equal(found.numpy(), [[0, 1], [0, 0]])


def test_names_of_columns_become_names_of_arguments():
    assert argument_names(("brand", "Größe", "a b", "a.b", "1st", "_x")) == [
        *("brand", "Gr__e", "a_b", "a_b_3", "column_1st", "column__x")
    ]
    assert argument_names(("a_b_2", "a b", "a_b")) == ["a_b_2", "a_b", "a_b_3"]

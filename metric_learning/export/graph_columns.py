"""From the cells of a table to ids in TensorFlow's operations: what `ColumnIds.encode` does."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import tensorflow as tf

from metric_learning.data.column_ids import ColumnIds


class Cells(tf.Module):
    """Cells to ids, as a part of a graph.

    Args:
        columns: of the run.

    Attributes:
        names: of the arguments, one for each column: its name, with _ for what no argument may have.
    """

    def __init__(self, columns: ColumnIds) -> None:
        super().__init__(name="cells")
        self.names = argument_names(columns.names)
        self.edges = tuple(None if edges is None else np.array(edges, np.float64) for edges in columns.edges)
        self.tables: tuple[Any, ...] = tuple(
            None if edges is not None else _places(categories)
            for categories, edges in zip(columns.categories, columns.edges, strict=True)
        )

    @property
    def signature(self) -> dict[str, tf.TensorSpec]:
        """Name -> what it takes: strings [B] of categories, float64 [B] of numbers."""
        dtypes = [tf.string if edges is None else tf.float64 for edges in self.edges]
        return {name: tf.TensorSpec([None], dtype, name) for name, dtype in zip(self.names, dtypes, strict=True)}

    def __call__(self, /, **cells: tf.Tensor) -> tf.Tensor:
        """Cells [B] of each column to int32 [B, columns]; "" and NaN are what is missing."""
        found = []
        for name, edges, table in zip(self.names, self.edges, self.tables, strict=True):
            if edges is None:
                found.append(table.lookup(tf.strings.strip(cells[name])))
            else:
                above = 1 + tf.searchsorted(edges, cells[name], side="right")
                found.append(tf.where(tf.math.is_nan(cells[name]), 0, above))
        return tf.stack([tf.cast(each, tf.int32) for each in found], axis=1)


def argument_names(names: tuple[str, ...]) -> list[str]:
    """Names of columns as names of arguments: unlike each other, of letters, digits and _."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = plain if plain[:1].isalpha() else f"column_{plain}"
        free = (f"{plain}_{number}" for number in itertools.count(len(found)))
        found.append(plain if plain not in found else next(name for name in free if name not in found))
    return found


def _places(categories):
    """A table of category -> 1, 2, ...; 0 for what is unknown."""
    keys = list(categories) or [""]
    values = tf.range(1, len(keys) + 1, dtype=tf.int64) if categories else tf.constant([0], tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(keys), values), 0)

"""Files of rows and named columns: CSV and its kin, JSON lines, Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.arrow_vectors import vectors_of
from metric_learning.data.delimited import read_delimited
from metric_learning.data.items import count

# 1,5 and 1.234,5 as spreadsheets of half the world write one number, which would be taken for a vector of two.
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        path: of the file.
        header: the names of the columns.
        rows: lists of cells, each as long as the header: strings, or what JSON and Parquet hold.
        numbers: of each row in the file, counted from 1, after the header if there is one.
        arrays: the columns that hold vectors of one length, [n, F], and no cells in `rows`.
    """

    path: Path
    header: list[str]
    rows: list[list[Any]]
    numbers: list[int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def column(self, name: str, argument: str, hint: str = "") -> list[str]:
        """The cells of a column, none of them empty.

        Args:
            name: of the column.
            argument: which asks for it, for errors.
            hint: what to do about empty cells.
        """
        cells = self.cells(name, argument)
        empty = [number for number, cell in zip(self.numbers, cells, strict=True) if not cell]
        if empty:
            raise ValueError(
                f"{self.path}: column {name!r} is empty in {len(empty):,} of {len(cells):,} rows "
                f"({_rows_in_words(empty)}){hint}"
            )
        return cells

    def numeric(self, name: str, argument: str) -> np.ndarray:
        """A column of numbers as float32 [n, 1], or of vectors as [n, F].

        A vector is a list, or a text of numbers that blanks or commas part, with or without brackets.

        Raises:
            ValueError: there is none, a cell is no number or vector, one that is not finite, or lengths that differ.
        """
        self._check_there(name, argument)
        if name in self.arrays:
            values = self.arrays[name].astype(np.float32)
        else:
            index = self.header.index(name)
            vectors = [_numbers_in(row[index]) for row in self.rows]
            wrong = [number for number, vector in zip(self.numbers, vectors, strict=True) if vector is None]
            if wrong:
                raise ValueError(
                    f"{self.path}: column {name!r} must hold numbers or vectors of them, and does not in "
                    f"{_rows_in_words(wrong)}{self._first_of(wrong, index)}"
                )
            lengths = {len(vector) for vector in vectors if vector is not None}
            if len(lengths) > 1:
                raise ValueError(
                    f"{self.path}: the vectors of column {name!r} must be equally long, got {sorted(lengths)[:5]}"
                )
            values = np.array(vectors, np.float32)
        wrong = [self.numbers[row] for row in np.flatnonzero(~np.isfinite(values).all(axis=1))]
        if wrong:
            raise ValueError(
                f"{self.path}: column {name!r} must hold finite numbers, and does not in {_rows_in_words(wrong)}"
            )
        return values

    def numbers_or_nan(self, name: str, argument: str) -> np.ndarray:
        """A column of numbers as float64 [n], NaN where a cell is empty.

        Raises:
            ValueError: there is none, or a cell that is neither empty nor one finite number.
        """
        found, wrong = [], []
        for number, cell in zip(self.numbers, self.cells(name, argument), strict=True):
            values = _numbers_in(cell) if cell else [float("nan")]
            if values is None or len(values) != 1 or (cell and not np.isfinite(values[0])):
                wrong.append(number)
            else:
                found.append(values[0])
        if wrong:
            raise ValueError(
                f"{self.path}: column {name!r} must hold finite numbers or nothing, and does not in "
                f"{_rows_in_words(wrong)}{self._first_of(wrong, self.header.index(name))}"
            )
        return np.array(found, np.float64)

    def weights(self, name: str) -> np.ndarray:
        """A column of numbers of at least 0 as float32 [n].

        Raises:
            ValueError: there is none, or a cell that is something else.
        """
        values = self.numeric(name, "weight")
        wrong = [number for number, found in zip(self.numbers, values, strict=True) if len(found) > 1 or found[0] < 0]
        if wrong:
            raise ValueError(
                f"{self.path}: {name!r} must hold weights of at least 0, not so in {_rows_in_words(wrong)}"
            )
        return values[:, 0]

    def with_cells_in(self, name: str, argument: str) -> Table:
        """The rows that have something in a column."""
        kept = [row for row, cell in enumerate(self.cells(name, argument)) if cell]
        rows, numbers = [self.rows[row] for row in kept], [self.numbers[row] for row in kept]
        return Table(self.path, self.header, rows, numbers, {key: array[kept] for key, array in self.arrays.items()})

    def cells(self, name: str, argument: str) -> list[str]:
        """The cells of a column as texts, "" for what is missing."""
        self._check_there(name, argument)
        if name in self.arrays:
            raise ValueError(f"{self.path}: column {name!r} holds vectors, where {argument} asks for a text or number")
        index = self.header.index(name)
        return [_text(row[index]) for row in self.rows]

    def _first_of(self, wrong: list[int], index: int) -> str:
        """What the first of these rows has in a column, and how to mend it."""
        cell = _text(self.rows[self.numbers.index(wrong[0])][index])
        mend = "; write 1.5 for 1,5, and [1, 5] for a vector" if _DECIMAL_COMMA.fullmatch(cell) else ""
        return f": {cell[:40]!r}{mend}"

    def _check_there(self, name, argument):
        if name not in self.header:
            raise ValueError(
                f"{self.path} has no column {name!r}, which {argument} asks for; "
                f"its columns are {', '.join(self.header)}"
            )


def _rows_in_words(numbers: Sequence[int]) -> str:
    first = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"row {first}, counted after the header"


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _numbers_in(cell: Any) -> list[float] | None:
    """The numbers of a cell, or None if there is something else in it."""
    if isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell.strip()):
        return None
    parts = cell if isinstance(cell, list) else _text(cell).strip("[]()").replace(",", " ").split()
    try:
        return [float(part) for part in parts] or None
    except (TypeError, ValueError):
        return None


def read_table(path: Path, delimiter: str | None = None, expected: Sequence[str] = ()) -> Table:
    """Read a file of rows by what it is called: .jsonl (or .ndjson), .parquet, or else as CSV.

    Args:
        path: of the file.
        delimiter: one character, or a name of `DELIMITERS`; None: found by the header, see `find_delimiter`.
        expected: names of columns that the header may have.

    Raises:
        ValueError: no such file, one of another format, no rows, or rows of unequal length.
    """
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise ValueError(f"data.path must be a file of rows, CSV, JSON lines or Parquet, got {path}, which {what}")
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _read_json_lines(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    return Table(path, *read_delimited(path, delimiter, expected))


def _read_json_lines(path: Path) -> Table:
    """A JSON object in each line; the columns are all their keys, and blank lines are no rows."""
    objects, numbers = [], []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                objects.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}, is no JSON in UTF-8: {error}") from error
            numbers.append(number)
    for number, found in zip(numbers, objects, strict=True):
        if not isinstance(found, dict):
            raise ValueError(f'{path}, line {number}: expected an object such as {{"text": "a", "label": "b"}}')
    header = list(dict.fromkeys(key for found in objects for key in found))
    if not header:
        raise ValueError(f"{path} must have rows, got {count(objects, 'row')}")
    return Table(path, header, [[found.get(name) for name in header] for found in objects], numbers)


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        read = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from error
    if not read.num_rows:
        raise ValueError(f"{path} must have rows, got 0 rows")
    arrays, columns = {}, []
    for name in read.column_names:
        array = vectors_of(read.column(name))
        if array is not None:
            arrays[name] = array
        columns.append([None] * read.num_rows if array is not None else read.column(name).to_pylist())
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Table(path, list(read.column_names), rows, list(range(1, read.num_rows + 1)), arrays)

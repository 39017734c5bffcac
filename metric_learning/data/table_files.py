"""Files of rows and named columns: CSV and its kin, JSON lines, Parquet."""

from __future__ import annotations

import csv as csv_format
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.items import count

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}


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
                    f"{_rows_in_words(wrong)}"
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
                f"{_rows_in_words(wrong)}"
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
    parts = cell if isinstance(cell, list) else _text(cell).strip("[]()").replace(",", " ").split()
    try:
        return [float(part) for part in parts] or None
    except (TypeError, ValueError):
        return None


def read_table(path: Path, delimiter: str | None = None, expected: Sequence[str] = ()) -> Table:
    """Read a file of rows by what it is called: .jsonl (or .ndjson), .parquet, or else as CSV in UTF-8.

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
    return _read_csv(path, delimiter, expected)


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
        array = _vectors(read.column(name).combine_chunks())
        if array is not None:
            arrays[name] = array
        columns.append([None] * read.num_rows if array is not None else read.column(name).to_pylist())
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Table(path, list(read.column_names), rows, list(range(1, read.num_rows + 1)), arrays)


def _vectors(column: Any) -> np.ndarray | None:
    """[n, F] of a column of lists of numbers, all of one length; None for any other."""
    import pyarrow
    import pyarrow.compute

    kind = column.type
    if not (pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)):
        return None
    flat = column.flatten()
    floating_or_integer = pyarrow.types.is_floating(flat.type) or pyarrow.types.is_integer(flat.type)
    lengths = np.unique(pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False))
    if not floating_or_integer or column.null_count or flat.null_count or len(lengths) != 1:
        return None
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _read_csv(path: Path, delimiter: str | None, expected: Sequence[str]) -> Table:
    """Blank lines are no rows."""
    delimiter = find_delimiter(path, expected) if delimiter is None else _character(delimiter)
    try:
        lines = _lines(path, delimiter)
        lines = [(number, line) for number, line in lines if line]
    except (UnicodeDecodeError, csv_format.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if len(lines) < 2:
        raise ValueError(f"{path} must have a header line and rows, got {count(lines, 'line')}")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) != len(header):
        raise ValueError(f"{path}: column names must be unique, got {', '.join(header)}")
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns ({', '.join(header)}), got {len(line)}; "
                f"the columns are taken to be parted by {_name(delimiter)}, unless data.delimiter says otherwise"
            )
    return Table(path, header, [line for _, line in lines[1:]], list(range(1, len(lines))))


def find_delimiter(path: Path, expected: Sequence[str]) -> str:
    """The character that parts the names in the header.

    The one that finds most of the expected names, then the one that finds most columns, then the first of
    `DELIMITERS`. A blank is considered only where nothing else parts the header, as names may have blanks in them.
    """
    found = {}
    for delimiter in DELIMITERS.values():
        try:
            header: list[str] = next((line for _, line in _lines(path, delimiter) if line), [])
        except (UnicodeDecodeError, csv_format.Error):
            continue  # reading the whole file says what is wrong
        names = {name.strip() for name in header}
        found[delimiter] = (len(names.intersection(expected)), len(header))
    blank = found.pop(" ", (0, 0))
    best = max(found, key=lambda delimiter: found[delimiter], default=",")
    return " " if found.get(best, (0, 0))[1] < 2 <= blank[1] else best


def _lines(path, delimiter):
    """Yields the number of each line and its cells."""
    # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv_format.reader(file, delimiter=delimiter, strict=True, skipinitialspace=delimiter == " ")
        for line in reader:
            yield reader.line_num, line


def _character(delimiter: str) -> str:
    """One character from its name or itself; a shell may leave the two characters of an escaped tab."""
    character = DELIMITERS.get(delimiter, "\t" if delimiter == "\\t" else delimiter)
    if not isinstance(character, str) or len(character) != 1 or character in '"\r\n':
        raise ValueError(
            f"data.delimiter must be one character, or one of {', '.join(DELIMITERS)}, or null to find it; "
            f"got {delimiter!r}"
        )
    return character


def _name(delimiter: str) -> str:
    return next((name for name, character in DELIMITERS.items() if character == delimiter), repr(delimiter))

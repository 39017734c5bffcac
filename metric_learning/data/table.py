"""A text file of columns, with their names in its first line."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metric_learning.data.items import count

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        path: of the file.
        header: the names of the columns.
        rows: lists of cells, each as long as the header.
        numbers: of each row in the file, counted from 1 after the header.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]
    numbers: list[int]

    def column(self, name: str, argument: str, hint: str = "") -> list[str]:
        """The cells of a column, none of them empty.

        Args:
            name: of the column.
            argument: which asks for it, for errors.
            hint: what to do about empty cells.
        """
        cells = self._cells(name, argument)
        empty = [number for number, cell in zip(self.numbers, cells, strict=True) if not cell]
        if empty:
            first = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise ValueError(
                f"{self.path}: column {name!r} is empty in {len(empty):,} of {len(cells):,} rows "
                f"(row {first}, counted after the header){hint}"
            )
        return cells

    def with_cells_in(self, name: str, argument: str) -> Table:
        """The rows that have something in a column."""
        kept = [row for row, cell in enumerate(self._cells(name, argument)) if cell]
        return Table(self.path, self.header, [self.rows[row] for row in kept], [self.numbers[row] for row in kept])

    def _cells(self, name, argument):
        if name not in self.header:
            raise ValueError(
                f"{self.path} has no column {name!r}, which {argument} asks for; "
                f"its columns are {', '.join(self.header)}"
            )
        index = self.header.index(name)
        return [row[index].strip() for row in self.rows]


def read_table(path: Path, delimiter: str | None = None, expected: Sequence[str] = ()) -> Table:
    """Read a CSV file in UTF-8; blank lines are no rows.

    Args:
        path: of the file.
        delimiter: one character, or a name of `DELIMITERS`; None: found by the header, see `find_delimiter`.
        expected: names of columns that the header may have.

    Raises:
        ValueError: no such file, one of another format, no rows, or rows of unequal length.
    """
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise ValueError(f"data.path must be a CSV file, got {path}, which {what}")
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

"""Rows of cells that a character parts: CSV and its kin, as people and spreadsheets write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from metric_learning.data.items import count

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}


def read_delimited(
    path: Path, delimiter: str | None = None, expected: Sequence[str] = ()
) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, the rows, and the number of each row after the header.

    Lines without anything in a cell are no rows, and columns without a name or anything else in them no columns, as
    spreadsheets leave both behind.

    Args:
        path: of a file in UTF-8, or in UTF-16 with its mark.
        delimiter, expected: see `metric_learning.data.table_files.read_table`.

    Raises:
        ValueError: another encoding, no rows, rows of unequal length, names that are not unique.
    """
    delimiter = find_delimiter(path, expected) if delimiter is None else _character(delimiter)
    try:
        lines = [(number, line) for number, line in _lines(path, delimiter) if any(cell.strip() for cell in line)]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8: {error}; save it as UTF-8, which Excel calls CSV UTF-8"
        ) from error
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if len(lines) < 2:
        raise ValueError(f"{path} must have a header line and rows, got {count(lines, 'line')}")
    header = [name.strip() for name in lines[0][1]]
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns ({', '.join(header)}), got {len(line)}; "
                f"the columns are taken to be parted by {_name(delimiter)}, unless data.delimiter says otherwise"
            )
    rows = [line for _, line in lines[1:]]
    named = [column for column, name in enumerate(header) if name or any(row[column].strip() for row in rows)]
    header, rows = [header[column] for column in named], [[row[column] for column in named] for row in rows]
    if len(set(header)) != len(header):
        raise ValueError(f"{path}: column names must be unique, got {', '.join(header)}")
    return header, rows, list(range(1, len(rows) + 1))


def find_delimiter(path: Path, expected: Sequence[str]) -> str:
    """The character that parts the names in the header.

    The one that finds most of the expected names, then the one that finds most columns, then the first of
    `DELIMITERS`. A blank is considered only where nothing else parts the header, as names may have blanks in them.
    """
    found = {}
    for delimiter in DELIMITERS.values():
        try:
            header: list[str] = next((line for _, line in _lines(path, delimiter) if any(line)), [])
        except (UnicodeError, csv.Error):
            continue  # reading the whole file says what is wrong
        names = {name.strip() for name in header}
        found[delimiter] = (len(names.intersection(expected)), len(header))
    blank = found.pop(" ", (0, 0))
    best = max(found, key=lambda delimiter: found[delimiter], default=",")
    return " " if found.get(best, (0, 0))[1] < 2 <= blank[1] else best


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of each line and its cells."""
    with path.open("rb") as file:
        start = file.read(2)
    # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with path.open(newline="", encoding=encoding) as file:
        said = re.fullmatch(r"sep=.\s*", file.readline())  # by which Excel is told what parts the columns
        if not said:
            file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=delimiter == " ")
        for line in reader:
            yield reader.line_num + bool(said), line


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

"""Boxes of a table: which part of an image an item is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metric_learning.data.items import hash_of
from metric_learning.data.table_files import Table

# As Open Metric Learning names them: from the left and from the top, in pixels.
COLUMNS = ("x_1", "y_1", "x_2", "y_2")
WHOLE = -1  # in place of each number, where an item is the whole image
RULE = "a box must have 0 <= x_1 < x_2 and 0 <= y_1 < y_2, or none of the four"
Box = tuple[int, ...]


class Boxed(NamedTuple):
    """What is in a box of an image, which may be a path or whatever else is read."""

    image: Any
    box: Box


def boxes_of(table: Table) -> np.ndarray | None:
    """int64 [n, 4], the box (x_1, y_1, x_2, y_2) of each row, WHOLE where its cells are empty; None if all are or if
    the table has no such columns.

    Raises:
        ValueError: cells that hold no numbers, a box of which only a part is given, or without an inside.
    """
    if not set(COLUMNS) <= set(table.header):
        return None
    found = np.stack([table.numbers_or_nan(name, "boxes") for name in COLUMNS], axis=1)
    empty = np.isnan(found)
    if empty.all():
        return None
    found = np.rint(found)
    x_1, y_1, x_2, y_2 = np.where(empty, 0, found).T
    wrong = (empty.any(axis=1) & ~empty.all(axis=1)) | (
        ~empty.any(axis=1) & ~((0 <= x_1) & (x_1 < x_2) & (0 <= y_1) & (y_1 < y_2))
    )
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        given = ", ".join(f"{value:g}" for value in found[row])
        raise ValueError(f"{table.path}: {RULE}; got {given} in row {table.numbers[row]}, counted after the header")
    return np.where(empty, WHOLE, np.where(empty, 0, found)).astype(np.int64)


def box_of(row: Mapping[str, Any]) -> Box | None:
    """The box of a row {column: cell}, None where it has none.

    Raises:
        ValueError: cells that hold no numbers, a box of which only a part is given, or without an inside.
    """
    cells = [row.get(name) for name in COLUMNS]
    try:
        # NaN, which is not itself, is what pandas has where a cell is empty.
        box: Any = tuple(None if cell is None or cell == "" or cell != cell else round(float(cell)) for cell in cells)
        if box == (None,) * 4:
            return None
        x_1, y_1, x_2, y_2 = box
        if 0 <= x_1 < x_2 and 0 <= y_1 < y_2:
            return box
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{RULE}; got {', '.join(map(str, cells))}")


def with_box(name: str, box: Sequence[int] | None) -> str:
    """The name of an image with the box in it, so that two boxes of an image are two items."""
    return name if box is None or box[0] == WHOLE else f"{name}[{','.join(map(str, box))}]"


def with_boxes(names: Sequence[str], boxes: np.ndarray) -> list[str]:
    """The names of images [n], see `with_box`."""
    return [with_box(name, box) for name, box in zip(names, boxes.tolist(), strict=True)]


def parted(name: str) -> tuple[str, Box | None]:
    """What `with_box` made the name of."""
    found = re.fullmatch(r"(.+)\[(\d+),(\d+),(\d+),(\d+)\]", name, flags=re.DOTALL)
    return (found[1], tuple(map(int, found.groups()[1:]))) if found else (name, None)


def hashes_with_boxes(hashes: Sequence[str], boxes: np.ndarray) -> list[str]:
    """The hashes of files [n], another one for another box of the same file."""
    return [
        key if box[0] == WHOLE else hash_of(f"{key} {box}".encode())
        for key, box in zip(hashes, boxes.tolist(), strict=True)
    ]

"""Pairs of which somebody has said whether the two are the same: (item, item, same), or (distance, same)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metric_learning.data.table import truths
from metric_learning.data.table_files import read_table


class LabeledPairs(NamedTuple):
    """n pairs, by the items that they are of.

    Attributes:
        same: bool [n].
        distances: float64 [n]; None of pairs of items.
        items: each item once; none of distances.
        units: int64 [n, 2], the numbers of the two items of each pair; None of distances.
    """

    same: np.ndarray
    distances: np.ndarray | None
    items: list[Any]
    units: np.ndarray | None


def labeled_pairs(pairs: Iterable[Any]) -> LabeledPairs:
    """Pairs as a person has them.

    Args:
        pairs: all (item, item, same), or all (distance, same).

    Raises:
        ValueError: anything else.
    """
    given = [tuple(pair) for pair in pairs]
    lengths = {len(pair) for pair in given}
    if lengths not in ({2}, {3}):
        raise ValueError(
            f"pairs must all be (item, item, same) or all (distance, same); got {len(given)} of lengths "
            f"{', '.join(map(str, sorted(lengths))) or 'none'}"
        )
    wrong = next((i for i, pair in enumerate(given) if pair[-1] not in (True, False)), None)
    if wrong is not None:
        raise ValueError(f"pairs must end in true or false, whether the two are the same; pair {wrong} does not")
    same = np.array([bool(pair[-1]) for pair in given])
    if lengths == {2}:
        return LabeledPairs(same, np.array([float(pair[0]) for pair in given]), [], None)
    places: dict[Hashable, int] = {}
    items: list[Any] = []
    units = np.empty((len(given), 2), np.int64)
    for number, pair in enumerate(given):
        for side in (0, 1):
            key = pair[side] if isinstance(pair[side], Hashable) else id(pair[side])
            if key not in places:
                places[key] = len(items)
                items.append(pair[side])
            units[number, side] = places[key]
    return LabeledPairs(same, None, items, units)


def read_pairs(path: str | Path, kind: str) -> list[tuple[Any, ...]]:
    """The pairs of a table with the columns distance and same; or first, second and same, of images (paths, relative to
    the folder of the file) or texts.

    Args:
        path: of the file: CSV, JSON lines or Parquet.
        kind: of the encoder: "images", "texts", "ids" or "features".

    Raises:
        ValueError: no such file or column; items of a kind that no cell can hold.
    """
    file = Path(path).expanduser()
    table = read_table(file, None, ["distance", "first", "second", "same"])
    same = truths(table, "same", "pairs").tolist()
    if "distance" in table.header:
        return list(zip(table.numeric("distance", "pairs")[:, 0].tolist(), same, strict=True))
    if kind not in ("images", "texts"):
        raise ValueError(f"pairs of {kind} must be given as distances: {file} has no column distance")
    sides = [table.column(name, "pairs") for name in ("first", "second")]
    if kind == "images":
        sides = [[str(file.parent / Path(cell).expanduser()) for cell in cells] for cells in sides]
    return list(zip(*sides, same, strict=True))

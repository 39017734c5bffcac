"""From the cells of columns to ids: categories by their name, numbers by where they lie among those of training."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.whole_files import write_json


@dataclass(frozen=True)
class ColumnIds:
    """Numbers the values of columns, each by a vocabulary of its own. Id 0 is for what is missing or unknown.

    A number becomes one of a few bins, so that it has vectors as categories have and needs no scaling; bins hold about
    as many rows of training each.

    Attributes:
        names: of the columns.
        categories: for each column its known values, of ids 1, 2, ...; none for a column of numbers.
        edges: for each column the bounds between its bins, ascending, None for a column of categories. Id 1 lies below
            the first bound, and a number that is a bound in the bin above it.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[float, ...] | None, ...]

    @classmethod
    def from_rows(
        cls,
        categorical: dict[str, Sequence[str]],
        numeric: dict[str, np.ndarray],
        rows: np.ndarray,
        bins: int = 32,
    ) -> ColumnIds:
        """Learn the vocabularies.

        Args:
            categorical: name -> [n] cells, "" for what is missing.
            numeric: name -> float [n], NaN for what is missing.
            rows: those of training, of which the vocabularies are made.
            bins: of a column of numbers, at most; fewer where numbers repeat.

        Raises:
            ValueError: fewer than 2 bins.
        """
        if bins < 2:
            raise ValueError(f"data.bins must be at least 2, got {bins}")
        categories = [tuple(sorted({cells[row] for row in rows} - {""})) for cells in categorical.values()]
        edges = []
        for values in numeric.values():
            known = values[rows][~np.isnan(values[rows])]
            bounds = np.quantile(known, np.arange(1, bins) / bins) if len(known) else np.empty(0)
            edges.append(tuple(np.unique(bounds[bounds > known.min()] if len(known) else bounds).tolist()))
        return cls(
            (*categorical, *numeric),
            (*categories, *(() for _ in numeric)),
            (*(None for _ in categorical), *edges),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of ids of each column, 0 included."""
        return tuple(
            1 + (len(categories) if edges is None else len(edges) + 1)
            for categories, edges in zip(self.categories, self.edges, strict=True)
        )

    def encode(self, cells: dict[str, Sequence[str] | np.ndarray]) -> np.ndarray:
        """int32 [n, columns] of cells by name, as `from_rows` takes them."""
        encoded: list[Any] = []
        for name, categories, edges in zip(self.names, self.categories, self.edges, strict=True):
            if edges is None:
                known = {value: place for place, value in enumerate(categories, 1)}
                encoded.append([known.get(cell, 0) for cell in cells[name]])
            else:
                values = np.asarray(cells[name], np.float64)
                encoded.append(np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values, side="right")))
        return np.stack([np.asarray(column, np.int32) for column in encoded], axis=1)

    def translated(self, ids: np.ndarray, other: ColumnIds) -> np.ndarray:
        """The ids of another `ColumnIds`, int32 [n, its columns], as ids of this one: int32 [n, columns].

        Raises:
            ValueError: a column that the other does not have, or of numbers in other bins, which hide the numbers.
        """
        missing = [name for name in self.names if name not in other.names]
        if missing:
            raise ValueError(f"the data must have the columns {', '.join(self.names)}; {', '.join(missing)} is missing")
        found = np.zeros((len(ids), len(self.names)), np.int32)
        for place, (name, categories, edges) in enumerate(zip(self.names, self.categories, self.edges, strict=True)):
            there = other.names.index(name)
            if edges != other.edges[there]:
                raise ValueError(
                    f"column {name} is of numbers in the bins of its own data, and cannot be put into those of the "
                    "encoder; embed the rows with metric_learning.load(...).embed, and judge the embeddings"
                )
            known = {category: number for number, category in enumerate(categories, 1)}
            numbers = [0, *(known.get(category, 0) for category in other.categories[there])]
            found[:, place] = ids[:, there] if edges is not None else np.asarray(numbers, np.int32)[ids[:, there]]
        return found

    def save(self, path: str | Path) -> None:
        """Write what is needed to encode rows the same way again, as JSON, with the sizes."""
        write_json(path, asdict(self) | {"sizes": self.sizes}, indent=0)

    @classmethod
    def load(cls, path: str | Path) -> ColumnIds:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is none of these.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            edges = tuple(None if bounds is None else tuple(bounds) for bounds in found["edges"])
            return cls(tuple(found["names"]), tuple(map(tuple, found["categories"])), edges)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is no columns.json of a run: {error}") from error


def spelled(cell: Any, known: Container[str]) -> str:
    """A cell as a text. A number is spelled as the known ones are: 3 and 3.0 are the same, and a library of tables has
    whole numbers as floating ones where the column has an empty cell."""
    word = "" if cell is None else str(cell).strip()
    is_number = isinstance(cell, int | float | np.integer | np.floating) and not isinstance(cell, bool)
    if word in known or not is_number or cell != cell // 1:
        return word
    other = str(int(cell)) if isinstance(cell, float | np.floating) else f"{word}.0"
    return other if other in known else word

"""Rows of an index as they lie in its folder."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.data.items import some
from metric_learning.evaluation.rows import overflowing
from metric_learning.whole_files import in_one_move, write_json


class Hit(NamedTuple):
    """An item that was found: its id, how far it is, and what is known about it."""

    id: str
    distance: float
    label: str | None = None
    metadata: dict[str, Any] | None = None


def fitting_rows(name: str, vectors: ArrayLike, dimensions: int, distance: str, ids: Sequence[str] = ()) -> np.ndarray:
    """float32 [n, dimensions] of vectors that an index of this distance can hold.

    Raises:
        ValueError: another shape, numbers that are not finite or whose squares are not, with distance=cosine a zero
            row, which has no direction; with the ids of these rows, if there are ids.
    """
    rows = np.array(vectors, np.float32, ndmin=2)
    if rows.ndim != 2 or rows.shape[1] != dimensions or not len(rows):
        raise ValueError(f"{name} must be [n, {dimensions}], n at least 1; got {list(np.shape(vectors))}")
    for problem, wrong in (
        ("finite, and so must be their squares in float32", overflowing(rows)),
        (
            "of some length with distance=cosine",
            (distance == "cosine") & ~rows.any(axis=1),
        ),
    ):
        if wrong.any():
            called = [ids[row] for row in np.flatnonzero(wrong).tolist() if row < len(ids)]
            raise ValueError(
                f"{name} must be {problem}; row {np.argmax(wrong)} is not, of {wrong.sum()} such rows"
                + (f" {some(called)}" if called else "")
            )
    return rows


class ShardedRows:
    """The vectors of all shards, by their place in the whole, without a copy of them.

    Args:
        parts: float32 [n, D] each, in memory or mapped.
        dimensions: D.

    Attributes:
        shape: (n of all, D).
    """

    def __init__(self, parts: Sequence[np.ndarray], dimensions: int) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self.shape = sum(len(part) for part in parts), dimensions

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """float32 [..., D] of row numbers of any shape."""
        rows = np.asarray(rows)
        found = np.empty((*rows.shape, self.shape[1]), np.float32)
        of = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(of):
            here = of == number
            part = self._parts[number]
            found[here] = part[rows[here] - (self._ends[number] - len(part))]
        return found

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """All of them in their order, at most so many at once, each block of one shard."""
        for part in self._parts:
            for start in range(0, len(part), rows):
                yield np.asarray(part[start : start + rows])


@dataclass(eq=False)
class Shard:
    """Rows of an index, in memory or mapped from a file: vectors float32 [n, D], ids, and labels and metadata or None.

    Attributes:
        saved_as: folder -> name of its files there, which are never written over.
    """

    vectors: np.ndarray
    ids: list[str]
    labels: list[str | None]
    metadata: list[dict[str, Any] | None]
    saved_as: dict[str, str] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> Shard:
        ids, labels, metadata = ([column[row] for row in rows] for column in (self.ids, self.labels, self.metadata))
        return Shard(np.asarray(self.vectors[rows]), ids, labels, metadata)

    def texts(self) -> dict[str, list[str | None]]:
        """What is known of the rows as "id", "label" and "metadata", which is JSON."""
        metadata = [None if known is None else json.dumps(known, ensure_ascii=False) for known in self.metadata]
        return {"id": list(self.ids), "label": list(self.labels), "metadata": metadata}

    def save(self, folder: Path) -> str:
        """Writes the files, unless they are there, and maps the vectors from there; returns their name."""
        name = self.saved_as.setdefault(os.path.realpath(folder), uuid.uuid4().hex)
        if not (folder / f"rows-{name}.json").exists():
            with in_one_move(folder / f"vectors-{name}.npy") as unfinished:
                np.save(unfinished, self.vectors)
            columns = {"ids": self.ids, "labels": self.labels, "metadata": self.metadata}
            write_json(folder / f"rows-{name}.json", columns)
            self.vectors = np.load(folder / f"vectors-{name}.npy", mmap_mode="r")
        return name

    @classmethod
    def load(cls, folder: Path, name: str, dimensions: int) -> Shard:
        columns = json.loads((folder / f"rows-{name}.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / f"vectors-{name}.npy", mmap_mode="r")
        if vectors.shape != (len(columns["ids"]), dimensions):
            raise ValueError(f"vectors-{name}.npy has the shape {vectors.shape}")
        return cls(vectors, **columns, saved_as={os.path.realpath(folder): name})


def hits_of(shards: Sequence[Shard], indices: np.ndarray, distances: np.ndarray) -> list[list[Hit]]:
    """What is known of rows [q, k], by their place in the whole, that are so far away."""
    ends = np.cumsum([len(shard.ids) for shard in shards], dtype=np.int64)
    found: list[list[Hit]] = [[] for _ in indices]
    for (query, place), row in np.ndenumerate(indices):
        number = int(np.searchsorted(ends, row, side="right"))
        shard, here = shards[number], int(row - ends[number])  # from the end of it
        found[query].append(
            Hit(shard.ids[here], float(distances[query, place]), shard.labels[here], shard.metadata[here])
        )
    return found

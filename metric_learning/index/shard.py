"""Rows of an index as they lie in its folder."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.whole_files import in_one_move, write_json


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

    def save(self, folder: Path) -> str:
        """Writes the files, unless they are there; returns their name."""
        name = self.saved_as.setdefault(os.path.realpath(folder), uuid.uuid4().hex)
        if not (folder / f"rows-{name}.json").exists():
            with in_one_move(folder / f"vectors-{name}.npy") as unfinished:
                np.save(unfinished, self.vectors)
            columns = {"ids": self.ids, "labels": self.labels, "metadata": self.metadata}
            write_json(folder / f"rows-{name}.json", columns)
        return name

    @classmethod
    def load(cls, folder: Path, name: str, dimensions: int) -> Shard:
        columns = json.loads((folder / f"rows-{name}.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / f"vectors-{name}.npy", mmap_mode="r")
        if vectors.shape != (len(columns["ids"]), dimensions):
            raise ValueError(f"vectors-{name}.npy has the shape {vectors.shape}")
        return cls(vectors, **columns, saved_as={os.path.realpath(folder): name})

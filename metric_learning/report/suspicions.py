"""Suspicious labels as people look at them: a table to correct, and pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.evaluation.suspicious import Suspicion, suspicious_labels
from metric_learning.report.pictures.suspicious import draw_suspicious
from metric_learning.types import Items
from metric_learning.whole_files import write_whole

COLUMNS = ("id", "caption", "given_label", "proposed_label", "agreement", "neighbors", "correct_label")


class Joined:
    """Several splits as one: the items of the first, then those of the second, and so on.

    Args:
        splits: anything with `inputs`, `labels` [n] and `captions`, and if wanted `ids`.

    Attributes:
        labels: [N] int64.
        captions, ids: [N]; the id of an item without one is its number.
        inputs: the object itself: it has a `shape`, and rows by lists of numbers.
    """

    def __init__(self, splits: Sequence[Items]) -> None:
        self.labels = np.concatenate([split.labels for split in splits])
        self.captions = [caption for split in splits for caption in split.captions]
        ids: list[Any] = [getattr(split, "ids", None) for split in splits]
        is_named = all(each is not None for each in ids)
        self.ids = [str(key) for each in ids for key in each] if is_named else [str(i) for i in range(len(self.labels))]
        self.shape = (len(self.labels), *splits[0].inputs.shape[1:])
        self.inputs = self
        self._parts = [split.inputs for split in splits]
        self._starts = np.cumsum([0, *(len(split.labels) for split in splits)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> np.ndarray:
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        return np.stack(
            [self._parts[part][int(row - self._starts[part])] for row, part in zip(rows, parts, strict=True)]
        )

    def listed_first(self) -> np.ndarray:
        """bool [N], false where the item of an earlier row is listed again."""
        return np.array([self._places[key] == row for row, key in enumerate(self.ids)])

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """The row in which each item is listed first.

        Raises:
            ValueError: an item that is not here.
        """
        strange = next((key for key in ids if key not in self._places), None)
        if strange is not None:
            raise ValueError(f"item {strange!r} of one run is not in another; runs must be of one data set")
        return [self._places[key] for key in ids]

    @cached_property
    def _places(self) -> dict[str, int]:
        places: dict[str, int] = {}
        for row, key in enumerate(self.ids):
            places.setdefault(key, row)
        return places


def suspicions_among(items: Joined, embeddings: np.ndarray, judged: np.ndarray, **options: Any) -> list[Suspicion]:
    """`suspicious_labels` of several splits; an item that is listed twice is judged once.

    Args:
        items: all that is known.
        embeddings: [N, D] of them.
        judged: bool [N].
        options: see `suspicious_labels`.
    """
    return suspicious_labels(embeddings, items.labels, judged=judged & items.listed_first(), ids=items.ids, **options)


def moved_to(items: Joined, found: Sequence[Suspicion], before: Joined) -> list[Suspicion]:
    """The same suspicions by the rows of other splits of the same items.

    Args:
        items: where the rows are wanted.
        found: by the rows of `before`.

    Raises:
        ValueError: an item that is not there.
    """
    return [
        each._replace(
            row=items.rows_of([before.ids[each.row]])[0],
            neighbors=tuple(items.rows_of([before.ids[row] for row in each.neighbors])),
        )
        for each in found
    ]


def write_suspicions(
    folder: str | Path,
    items: Joined,
    found: Sequence[Suspicion],
    class_names: Sequence[str],
    *,
    title: str = "Suspicious labels",
) -> dict[str, Path]:
    """Writes `suspicious_labels.csv`, all of them with an empty column "correct_label" to fill in, and draws the first
    ones in `suspicious_labels.png`.

    Args:
        folder: made if missing.
        items: whose rows they are.
        found: the surest first.
        class_names: name of each label.
        title: names the data and the run.

    Returns:
        {"suspicious_labels": path of the PNG}.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "suspicious_labels.csv", to_csv(items, found, class_names))
    path = draw_suspicious(folder / "suspicious_labels.png", items, found, class_names, title=title)
    return {"suspicious_labels": path}


def to_csv(items: Joined, found: Sequence[Suspicion], class_names: Sequence[str]) -> str:
    """A line for each, with the columns COLUMNS; neighbors are ids of items of the proposed class, parted by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in found:
        given, proposed = (class_names[label] for label in (each.given, each.proposed))
        near = " ".join(items.ids[row] for row in each.neighbors)
        named = (items.ids[each.row], items.captions[each.row], given, proposed)
        writer.writerow((*named, f"{each.agreement:.4f}", near, ""))
    return text.getvalue()

"""The history of a run as a table."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from metric_learning.whole_files import in_one_move


def write_history(path: str | pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows as CSV, blank where one has no such key; in one move, so that nobody reads half a file."""
    with in_one_move(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)

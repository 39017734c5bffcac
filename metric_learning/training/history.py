"""The history of a run as a table."""

import csv
import pathlib


def write_history(path, rows):
    """Writes the rows as CSV, blank where one has no such key; in one move, so that nobody reads half a file."""
    path = pathlib.Path(path)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)

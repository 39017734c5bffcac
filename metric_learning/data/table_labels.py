"""The classes of the rows of a table: one a row, several, or in a hierarchy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metric_learning.data.table_files import Table

HINT = "; fill them in, or leave these rows out with data.skip_unlabeled=true"


class TableLabels(NamedTuple):
    """What `read_labels` found.

    class_names: in the order of their names.
    labels: int64 [n], or bool [n, C] if a row has several classes.
    levels: int64 [n, L], see `Split`, or None without a hierarchy.
    """

    class_names: list[str]
    labels: np.ndarray
    levels: np.ndarray | None


def read_labels(table: Table, label: str, *, separator: str | None = None, hierarchy: str | None = None) -> TableLabels:
    """The classes of each row.

    Args:
        table: the rows.
        label: column of classes, any text: "007" and "7" are two.
        separator: what parts the classes of a cell, such as "|"; None: a cell is one class.
        hierarchy: column of paths, such as animal/dog/husky, whose parts are the levels; the class itself is the last
            one if the paths stop above it.

    Raises:
        ValueError: no such column, an empty cell, a class in two places of the hierarchy, or several classes a row in
            a hierarchy.
    """
    if separator is not None and (hierarchy is not None or not separator.strip()):
        what = (
            "a character such as |" if not separator.strip() else "null beside data.hierarchy, which has one path a row"
        )
        raise ValueError(f"data.label_separator must be {what}; got {separator!r}")
    cells = table.column(label, "label", HINT)
    if separator is not None:
        return _several(table, label, cells, separator)
    class_names, labels = np.unique(np.array(cells, object), return_inverse=True)
    levels = None if hierarchy is None else _levels(table, hierarchy, class_names, labels)
    return TableLabels(class_names.tolist(), labels, levels)


def _several(table: Table, label: str, cells: list[str], separator: str) -> TableLabels:
    rows = [[name for part in cell.split(separator) if (name := part.strip())] for cell in cells]
    empty = [number for number, names in zip(table.numbers, rows, strict=True) if not names]
    if empty:
        raise ValueError(f"{table.path}: column {label!r} has nothing but {separator!r} in row {empty[0]}{HINT}")
    class_names = sorted({name for names in rows for name in names})
    place = {name: column for column, name in enumerate(class_names)}
    labels = np.zeros((len(rows), len(class_names)), bool)
    for row, names in enumerate(rows):
        labels[row, [place[name] for name in names]] = True
    return TableLabels(class_names, labels if labels.sum() > len(rows) else labels.argmax(axis=1), None)


def _levels(table: Table, hierarchy: str, class_names: np.ndarray, labels: np.ndarray) -> np.ndarray:
    cells = table.column(hierarchy, "hierarchy")
    paths = [tuple(part.strip() for part in cell.split("/")) for cell in cells]
    levels = []
    for depth in range(1, max(map(len, paths)) + 1):
        number: dict[tuple[str, ...], int] = {}
        levels.append([number.setdefault(path[:depth], len(number)) for path in paths])
    places = np.unique(np.stack([labels, levels[-1]], axis=1), axis=0)[:, 0]
    twice = np.flatnonzero(np.bincount(places) > 1)
    if len(twice):
        raise ValueError(
            f"{table.path}: a class must have one place in the hierarchy; {class_names[twice[0]]!r} has several in "
            f"column {hierarchy!r}"
        )
    if max(levels[-1]) + 1 < len(class_names):  # the paths stop above the classes
        levels.append(labels.tolist())
    return np.array(levels, np.int64).T.copy()

"""What a person names on a command line: folders, files, texts, tables."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.boxes import COLUMNS as BOX
from metric_learning.data.boxes import WHOLE, boxes_of, with_boxes
from metric_learning.data.features import TABLES, arrays_of
from metric_learning.data.image_folder import images_below
from metric_learning.data.items import path_in, printable
from metric_learning.data.raw_items import COLUMNS
from metric_learning.data.table_files import read_table


def items_in(
    what: str | Path, kind: str, *, column: str | None = None, label: str | None = None
) -> tuple[Any, list[str], list[str] | None]:
    """The items that a person names on a command line.

    Args:
        what: a table of rows; or of images a folder or a file, of texts a .txt file with a text in each line, or a
            text, of features a .npy file of [n, F], or a .npz file as `features` reads it.
        kind: "images", "texts", "ids" or "features".
        column: of a table, where the items are; None: image or path, text, features, by the kind.
        label: of a table, the column of labels; None: label, if there is one.

    Returns:
        (items, names, labels): what an `Encoder` embeds, a name for each, and the labels of the table or the .npz file
        or the names of the folders below `what`, None if there are none.

    Raises:
        ValueError: nothing of that kind is there.
    """
    path = Path(what).expanduser()
    if kind == "ids" or path.suffix.lower() in TABLES - {".txt"} and path.is_file():
        return _rows_of_table(path, kind, column, label)
    if column or label:
        raise ValueError(f"column and label are of a table, such as a .csv or .parquet file; got {what}")
    if kind == "texts":
        if path.suffix.lower() in TABLES and len(str(what).split()) == 1 and not path.is_file():
            raise ValueError(f"there is no file {what}")
        listed = path.suffix == ".txt" and path.is_file()
        lines = path.read_text(encoding="utf-8-sig").split("\n") if listed else [what]
        texts = [str(line).strip() for line in lines if str(line).strip()]
        if not texts:
            raise ValueError(f"{what} has no text in it")
        return texts, texts, None
    if kind == "features":
        if path.suffix not in (".npy", ".npz") or not path.is_file():
            raise ValueError(f"expected a .npy or .npz file of features, or a table; got {what}")
        if path.suffix == ".npy":
            rows = np.load(path, mmap_mode="r")
            return rows, [str(row) for row in range(len(rows))], None
        rows, labels, ids = arrays_of(path)
        return rows, ids, labels
    if path.is_dir():
        files = images_below(path)
        if not files:
            raise ValueError(f"there are no images in {path}")
        below = [file.relative_to(path).parts for file in files]
        labels = [printable(parts[0]) for parts in below] if all(len(parts) > 1 for parts in below) else None
        return files, [printable(str(file)) for file in files], labels
    if not path.is_file():
        raise ValueError(f"expected an image, a folder of images or a table of their paths; got {what}, which is none")
    return [path], [printable(str(path))], None


def _rows_of_table(path, kind, column, label) -> tuple[Any, list[str], list[str] | None]:
    """What `items_in` returns, of a table; names are paths, texts, or the column id or else the numbers of the rows."""
    usual = COLUMNS.get(kind, ())
    found = read_table(path, None, [name for name in (*usual, "label", "id", column, label) if name])
    labels = found.cells(label or "label", "label") if label or "label" in found.header else None
    names = found.column("id", "id") if "id" in found.header else [str(number) for number in found.numbers]
    if kind == "ids":
        return [dict(zip(found.header, row, strict=True)) for row in found.rows], names, labels
    column = column or next((name for name in usual if name in found.header), None)
    if column is None:
        raise ValueError(
            f"{path} has no column {' or '.join(usual)}: say where the {kind} are with column=COLUMN; its columns are "
            f"{', '.join(found.header)}"
        )
    if kind == "features":
        return found.numeric(column, "column"), names, labels
    cells = found.column(column, "column")
    if kind == "texts":
        return cells, cells, labels
    files = [path_in(path.parent, cell) for cell in cells]
    names, boxes = [printable(str(file)) for file in files], boxes_of(found)
    if boxes is None:
        return files, names, labels
    items = [
        file if box[0] == WHOLE else {"image": file} | dict(zip(BOX, box, strict=True))
        for file, box in zip(files, boxes.tolist(), strict=True)
    ]
    return items, with_boxes(names, boxes), labels


def once(names: Sequence[str], known: Container[str] = ()) -> list[int]:
    """The rows of the names that are new: the first of each, and none of the known ones."""
    first = {name: row for row, name in reversed(list(enumerate(names))) if name not in known}
    return sorted(first.values())

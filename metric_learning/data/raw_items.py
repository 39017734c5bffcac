"""What people have, as what an encoder takes: paths, bytes, pictures, texts, rows of numbers."""

from __future__ import annotations

import io
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metric_learning.data.boxes import COLUMNS as BOX
from metric_learning.data.column_ids import ColumnIds, spelled
from metric_learning.data.features import TABLES, arrays_of
from metric_learning.data.image_folder import images_below
from metric_learning.data.images import check_image_options, fit_image, read_image
from metric_learning.data.items import path_in, printable
from metric_learning.data.random_access import RandomAccess
from metric_learning.data.table_files import read_table
from metric_learning.data.text import Vocabulary

_MANY = 1024  # texts that are encoded in no time
_COLUMNS = {"images": ("image", "path"), "texts": ("text",), "features": ("features",)}


def images_of(
    items: Sequence[Any], shape: Sequence[int], fit: str, problems: dict[int, str]
) -> np.ndarray | RandomAccess:
    """Images in one size, read when they are asked for.

    Args:
        items: paths, bytes of files, PIL images, uint8 arrays [h, w] or [h, w, c]; or one array of images.
        shape: (height, width, channels) to come out.
        fit: see `fit_image`.
        problems: takes up why items cannot be read, by their number, once they are asked for; they are black.

    Returns:
        uint8 [n, height, width, channels].
    """
    height, width, channels = shape
    check_image_options((height, width), channels, fit)
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.shape[1:] == tuple(shape):
        return items
    options = {"image_size": (height, width), "channels": channels, "fit": fit}

    def read(rows):
        found = np.zeros((len(rows), *shape), np.uint8)
        for place, row in enumerate(rows):
            image = _image(items[row], options)
            if isinstance(image, str):
                problems[int(row)] = image
            else:
                found[place] = image
        return found

    return RandomAccess(read, len(items), shape, np.uint8)


def sequence_of(items: Any, kind: str) -> Any:
    """Several items whose items[0] is the first, of several or of one alone.

    Args:
        items: as people have them; an array of images is one if it is [h, w] or [h, w, 1, 3 or 4], of features if [F].
        kind: see `cells_of`.

    Returns:
        A sequence, an array, or a `RandomAccess`.

    Raises:
        ValueError: a table, whose items would be the names of its columns.
    """
    if isinstance(items, str | bytes | os.PathLike | Image.Image | Mapping):
        return [items]
    if isinstance(items, np.ndarray):
        is_image = items.ndim == 2 or (items.ndim == 3 and items.shape[2] in (1, 3, 4))
        is_one = is_image if kind == "images" else kind == "features" and items.ndim == 1
        return items[None] if is_one and items.dtype != object else items
    if hasattr(items, "columns"):
        raise ValueError("a table must be given as its rows; of pandas items.to_dict('records')")
    # Where pandas has items[0], it need not be the first item.
    return items if isinstance(items, Sequence | RandomAccess) else list(items)


def cells_of(items: Sequence[Any], kind: str) -> Sequence[Any]:
    """The items, and of those that are rows of a table, {column: cell}, the cell that an encoder of this kind takes.

    Args:
        items: n of them.
        kind: "images", of the column image or path; "texts", of text; "features", of features. Of a row with one
            column it is that, whatever it is called.

    Raises:
        ValueError: a row without such a column, or of a box of an image.
    """
    if not any(isinstance(item, Mapping) for item in items):
        return items
    usual = _COLUMNS[kind]
    cells = []
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            name = next((name for name in usual if name in item), next(iter(item)) if len(item) == 1 else None)
            if name is None:
                raise ValueError(
                    f"a row must have a column {' or '.join(usual)} for an encoder of {kind}; item {number} has "
                    f"{', '.join(map(str, item)) or 'none'}"
                )
            boxed = [each for each in BOX if item.get(each) not in (None, "")] if kind == "images" else []
            if boxed:
                raise ValueError(
                    f"item {number} is a box ({', '.join(boxed)}) of an image; cut it out, as training did"
                )
            item = item[name]
        cells.append(item)
    return cells


def texts_of(items: Sequence[Any]) -> Sequence[str]:
    """The items, if they are texts.

    Raises:
        ValueError: one is not.
    """
    wrong = next((i for i, item in enumerate(items) if not isinstance(item, str)), None)
    if wrong is not None:
        raise ValueError(f"this encoder takes texts; item {wrong} is of type {type(items[wrong]).__name__}")
    return items


def tokens_of(items: Sequence[Any], vocabulary: Vocabulary | None) -> np.ndarray | RandomAccess:
    """What a text encoder takes of texts: token ids int32 [n, length], or without a vocabulary the texts [n].

    Many are encoded when they are asked for, while the encoder works on those before.

    Raises:
        ValueError: an item is no text.
    """
    texts = texts_of(items)
    if vocabulary is None:
        return np.array(texts, object)  # as strings of NumPy's each would take the room of the longest
    if len(texts) <= _MANY:
        return vocabulary.encode(texts)

    def read(rows):
        return vocabulary.encode([texts[row] for row in rows])

    return RandomAccess(read, len(texts), (vocabulary.length,), np.int32)


def features_of(items: Any, length: int) -> np.ndarray:
    """float32 [n, length].

    Raises:
        ValueError: no numbers, another shape, numbers that are not finite.
    """
    try:
        rows = np.asarray(items, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"this encoder takes features, numbers [n, {length}]: {error}") from None
    if rows.ndim != 2 or rows.shape[1] != length:
        raise ValueError(f"this encoder takes features, numbers [n, {length}]; got {list(rows.shape)}")
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise ValueError(f"features must be finite; row {wrong[0]} is not, of {len(wrong)} such rows")
    return rows


def ids_of(items: Sequence[Any], columns: ColumnIds) -> np.ndarray:
    """int32 [n, columns] of rows of a table, by the vocabularies of the run.

    Args:
        items: mappings from the names of columns to cells; what is missing, None or "" is unknown.
        columns: of the run.

    Raises:
        ValueError: an item is no mapping, or has a text where there were numbers.
    """
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise ValueError(
                f"this encoder takes rows as {{column: cell}} of {', '.join(columns.names)}; item {i} is of type "
                f"{type(item).__name__}"
            )
    cells: dict[str, Any] = {}
    for name, categories, edges in zip(columns.names, columns.categories, columns.edges, strict=True):
        known = frozenset(categories)
        words = [spelled(item.get(name), known) for item in items]
        try:
            cells[name] = words if edges is None else np.array([float(word or "nan") for word in words])
        except ValueError as error:
            raise ValueError(f"column {name} must hold numbers: {error}") from None
    return columns.encode(cells)


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
        lines = path.read_text(encoding="utf-8-sig").splitlines() if listed else [what]
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
    usual = _COLUMNS.get(kind, ())
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
    return files, [printable(str(file)) for file in files], labels


def once(names: Sequence[str], known: Container[str] = ()) -> list[int]:
    """The rows of the names that are new: the first of each, and none of the known ones."""
    first = {name: row for row, name in reversed(list(enumerate(names))) if name not in known}
    return sorted(first.values())


def is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def _image(item: Any, options: dict[str, Any]) -> np.ndarray | str:
    """The image in its size, or in words why there is none."""
    if is_path(item):
        return read_image(item, **options)
    try:
        if isinstance(item, np.ndarray):
            if item.dtype != np.uint8 or item.ndim not in (2, 3) or item.shape[2:] not in ((), (1,), (3,), (4,)):
                return f"an array must be uint8 [h, w] or [h, w, c], and this is {item.dtype} {list(item.shape)}"
            return fit_image(Image.fromarray(item[..., 0] if item.shape[2:] == (1,) else item), **options)
        if isinstance(item, Image.Image):
            return fit_image(item, **options)
        if not isinstance(item, bytes | bytearray):
            return f"{type(item).__name__} is no path, bytes, PIL image or array"
        with Image.open(io.BytesIO(item)) as image:
            return fit_image(image, **options)
    except Exception as error:  # decoders raise whatever a broken file leads them to
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

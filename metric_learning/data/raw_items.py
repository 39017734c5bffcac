"""What people have, as what an encoder takes: paths, bytes, pictures, texts, rows of numbers."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from metric_learning.data.boxes import Boxed, box_of, with_box
from metric_learning.data.column_ids import ColumnIds, spelled
from metric_learning.data.images import check_image_options, fit_file, fit_image, read_image
from metric_learning.data.random_access import RandomAccess
from metric_learning.data.text import Vocabulary

_MANY = 1024  # texts that are encoded in no time
COLUMNS = {"images": ("image", "path"), "texts": ("text",), "features": ("features",)}


def images_of(
    items: Sequence[Any], shape: Sequence[int], fit: str, problems: dict[int, str]
) -> np.ndarray | RandomAccess:
    """Images in one size, read when they are asked for.

    Args:
        items: paths, bytes of files, PIL images, uint8 arrays [h, w] or [h, w, c], or `Boxed`; or one array of images.
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
            image, box = items[row] if isinstance(items[row], Boxed) else (items[row], None)
            image = _image(image, options | {"box": box})
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
        kind: "images", of the column image or path, `Boxed` where the row has a box; "texts", of text; "features", of
            features. Of a row with one column it is that, whatever it is called.

    Raises:
        ValueError: a row without such a column, or of something else than a box.
    """
    if not any(isinstance(item, Mapping) for item in items):
        return items
    usual = COLUMNS[kind]
    cells = []
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            name = next((name for name in usual if name in item), next(iter(item)) if len(item) == 1 else None)
            if name is None:
                raise ValueError(
                    f"a row must have a column {' or '.join(usual)} for an encoder of {kind}; item {number} has "
                    f"{', '.join(map(str, item)) or 'none'}"
                )
            try:
                box = box_of(item) if kind == "images" else None
            except ValueError as error:
                raise ValueError(f"item {number}: {error}") from None
            item = item[name] if box is None else Boxed(item[name], box)
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


def called(item: Any, number: int) -> str:
    """What an image is called in a message: by its path and the box in it, or else by its number."""
    row = item if isinstance(item, Mapping) else {"image": item}
    path: Any = next((row[name] for name in COLUMNS["images"] if name in row), None)
    return with_box(os.fspath(path), box_of(row)) if is_path(path) else f"item {number}"


def is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def _image(item: Any, options: dict[str, Any]) -> np.ndarray | str:
    """The image in its size, or in words why there is none."""
    try:
        if isinstance(item, bytes | bytearray):
            return fit_file(io.BytesIO(item), **options)
        if isinstance(item, Image.Image):
            return fit_image(item, **options)
        if isinstance(item, np.ndarray):
            if item.dtype != np.uint8 or item.ndim not in (2, 3) or item.shape[2:] not in ((), (1,), (3,), (4,)):
                return f"an array must be uint8 [h, w] or [h, w, c], and this is {item.dtype} {list(item.shape)}"
            if item.shape == (*options["image_size"], options["channels"]):
                return item
            return fit_image(Image.fromarray(item[..., 0] if item.shape[2:] == (1,) else item), **options)
    except Exception as error:  # decoders raise whatever a broken file leads them to
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if is_path(item):
        return read_image(item, **options)
    return f"{type(item).__name__} is no path, bytes, PIL image or array"

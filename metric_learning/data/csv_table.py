"""Own images or texts, listed in a CSV file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from metric_learning.data.image_files import open_images
from metric_learning.data.items import path_ids
from metric_learning.data.source import DataSource, image_source, text_source
from metric_learning.data.splits import SPLIT_NAMES, hold_out_validation, rows_of_classes, split_classes_by_seed
from metric_learning.data.table import read_table


def csv(
    path: str | Path,
    *,
    image: str | None = None,
    text: str | None = None,
    label: str = "label",
    split: str | None = None,
    id: str | None = None,
    delimiter: str | None = None,
    image_size: int | Sequence[int] = (32, 32),
    channels: int = 3,
    fit: str = "letterbox",
    skip_unreadable: bool = False,
    skip_unlabeled: bool = False,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
    unseen_classes: bool = True,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
    **vocabulary_options: Any,
) -> DataSource:
    """Items of a CSV file (UTF-8, with a header line): images by their path, or texts.

    Args:
        path: the file.
        image: column with image paths, absolute or relative to the folder of the file; of either system, `a/b.png` or
            `a\\b.png`.
        text: column with texts. With neither `image` nor `text`, the column that is called so.
        label: column with the class of each row; any string, so "007" and "7" are two classes.
        split: column saying where a row belongs: train, validation (or valid, val), test (or query), gallery.
            None: the column called "split" if there is one, and without it the classes are parted
            by seed. "": do not look for one.
        id: column saying which item a row is; rows of one id never find each other. None: the file for images, so that
            `a.png`, `./a.png` and a link to it are one item; for texts each row is an item.
        delimiter: the character between columns, or comma, semicolon, tab, pipe or space. None: what parts the header,
            see `find_delimiter`.
        image_size, channels, fit: see `fit_image`.
        skip_unreadable: leave unreadable images out with a warning, rather than raise.
        skip_unlabeled: leave rows without a label out with a warning, rather than raise.
        test_fraction, validation_fraction, seed: see `split_classes_by_seed`. When the split
            column names no validation rows, they are held out of the training rows.
        unseen_classes: the splits share no class. False for a split column in which the classes
            to be found are those to learn from.
        cache, cache_dir: when images are decoded and where they are kept, see `open_images`.
        vocabulary_options: for texts, see `Vocabulary.from_texts`.

    Returns:
        Classes in the order of their names; captions are the texts, or the paths as written.

    Raises:
        ValueError: no such file, column or split value; rows with an empty cell; classes that
            overlap or are too few; an item in two splits; images that cannot be read.
    """
    path = Path(path).expanduser()
    expected = (label, split or "split", id or "id", image or "image", text or "text")
    table = read_table(path, delimiter, expected)
    kind, column = _choose_input(table.header, image, text, path)
    if kind == "image" and vocabulary_options:
        raise ValueError(f"{', '.join(vocabulary_options)} can only be set for texts, not images")
    if split is None and "split" in table.header:
        split = "split"
    if skip_unlabeled:
        table = _labeled_rows(table, label)
    inputs = table.column(column, kind)
    label_names = table.column(label, "label", "; fill them in, or leave these rows out with data.skip_unlabeled=true")
    class_names, labels = np.unique(np.array(label_names, object), return_inverse=True)

    if split:
        parts = _parts_from_column(table.column(split, "split"), path)
        if "train" in parts:
            options: dict[str, Any] = {"unseen_classes": unseen_classes, "fraction": validation_fraction, "seed": seed}
            parts = hold_out_validation(parts, labels, **options)
    elif unseen_classes:
        fractions = {"test_fraction": test_fraction, "validation_fraction": validation_fraction}
        parts = rows_of_classes(labels, split_classes_by_seed(len(class_names), **fractions, seed=seed))
    else:
        raise ValueError("data.unseen_classes=false needs a split column, which says what to test on")
    missing = [name for name in ("train", "validation", "test") if name not in parts]
    if missing:
        raise ValueError(f"{path}: column {split!r} has no {' and no '.join(missing)} rows")

    paths = [_path_of(path.parent, name) for name in inputs] if kind == "image" else []
    if id:
        ids: tuple[str, ...] | list[str] = table.column(id, "id")
    else:
        ids = path_ids(paths, path.parent) if paths else [str(number) for number in table.numbers]
    if kind == "text":
        return text_source(
            path.stem,
            class_names,
            inputs,
            labels,
            parts,
            ids=ids,
            unseen_classes=unseen_classes,
            **vocabulary_options,
        )
    options = {"channels": channels, "fit": fit, "skip_unreadable": skip_unreadable}
    images, readable, hashes = open_images(paths, image_size, **options, cache=cache, cache_dir=cache_dir)
    new_row = np.cumsum(readable) - 1
    parts = {name: new_row[index[readable[index]]] for name, index in parts.items()}
    kept = np.flatnonzero(readable)
    return image_source(
        path.stem,
        class_names,
        images,
        labels[kept],
        [inputs[row] for row in kept],
        parts,
        ids=[ids[row] for row in kept],
        contents=hashes.tolist(),
        unseen_classes=unseen_classes,
    )


def _labeled_rows(table, label):
    labeled = table.with_cells_in(label, "label")
    left_out = len(table.rows) - len(labeled.rows)
    if left_out:
        warnings.warn(
            f"{table.path}: {left_out:,} of {len(table.rows):,} rows have no label and are left out", stacklevel=3
        )
    return labeled


def _path_of(folder: Path, name: str) -> Path:
    """Where an image is; a name that was written on Windows is read with its own separators."""
    path = folder / name
    return folder / PureWindowsPath(name).as_posix() if "\\" in name and not os.path.exists(path) else path


def _choose_input(header, image, text, path) -> tuple[str, str]:
    """What the items are ("image" or "text"), and the name of their column."""
    if image and text:
        raise ValueError(f"give image or text, not both, got image={image!r} and text={text!r}")
    if image or text:
        return ("image", image) if image else ("text", text)
    found = [name for name in ("image", "text") if name in header]
    if len(found) != 1:
        have = "columns image and text" if found else "no column image or text"
        raise ValueError(
            f"{path} has {have}: say which to take with image=COLUMN or text=COLUMN; "
            f"its columns are {', '.join(header)}"
        )
    return found[0], found[0]


def _parts_from_column(words: list[str], path: Path) -> dict[str, np.ndarray]:
    """Split name -> row numbers, for the splits that occur."""
    unknown = sorted(set(words) - set(SPLIT_NAMES))
    if unknown:
        raise ValueError(
            f"{path}: split must be one of {', '.join(SPLIT_NAMES)}, got {', '.join(map(repr, unknown[:5]))}"
        )
    if "query" in words and "test" in words:
        raise ValueError(f"{path}: query and test rows mean the same; use one of the two words")
    names = np.array([SPLIT_NAMES[word] for word in words])
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}

"""Own images or texts, listed in a CSV file."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metric_learning.data.images import read_images
from metric_learning.data.source import DataSource, image_source, text_source
from metric_learning.data.splits import (
    check_fraction,
    hold_out_classes,
    hold_out_items,
    rows_of_classes,
    split_classes_by_seed,
)

SPLIT_VALUES = {
    "train": "train",
    "validation": "validation",
    "test": "test",
    "query": "test",
    "gallery": "gallery",
}


def csv(
    path: str | Path,
    *,
    image: str | None = None,
    text: str | None = None,
    label: str = "label",
    split: str | None = None,
    delimiter: str = ",",
    image_size: Sequence[int] = (32, 32),
    channels: int = 3,
    fit: str = "letterbox",
    skip_unreadable: bool = False,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
    unseen_classes: bool = True,
    **vocabulary_options,
) -> DataSource:
    """Items of a CSV file (UTF-8, with a header line): images by their path, or texts.

    Args:
        path: the file.
        image: column with image paths, absolute or relative to the folder of the file.
        text: column with texts. With neither `image` nor `text`, the column that is called so.
        label: column with the class of each row; any string, so "007" and "7" are two classes.
        split: column saying where a row belongs: train, validation, test (or query), gallery.
            None: the column called "split" if there is one, and without it the classes are parted
            by seed. "": do not look for one.
        delimiter: the character between columns.
        image_size, channels, fit: see `fit_image`.
        skip_unreadable: leave unreadable images out with a warning, rather than raise.
        test_fraction, validation_fraction, seed: see `split_classes_by_seed`. When the split
            column names no validation rows, they are held out of the training rows.
        unseen_classes: the splits share no class. False for a split column in which the classes
            to be found are those to learn from.
        vocabulary_options: for texts, see `Vocabulary.from_texts`.

    Returns:
        Classes in the order of their names; captions are the texts, or the paths as written.

    Raises:
        ValueError: no such file, column or split value; rows with an empty cell; classes that
            overlap or are too few; images that cannot be read.
    """
    path = Path(path).expanduser()
    header, rows = _read_table(path, delimiter)
    kind, column = _choose_input(header, image, text, path)
    if kind == "image" and vocabulary_options:
        raise ValueError(f"{', '.join(vocabulary_options)} can only be set for texts, not images")
    if split is None and "split" in header:
        split = "split"
    inputs = _column(header, rows, column, kind, path)
    label_names = _column(header, rows, label, "label", path)
    class_names, labels = np.unique(np.array(label_names, object), return_inverse=True)

    if split:
        words = _column(header, rows, split, "split", path)
        parts = _parts_from_column(words, path)
        if "validation" not in parts and "train" in parts:
            _hold_out_validation(parts, labels, unseen_classes, validation_fraction, seed)
    elif unseen_classes:
        fractions = {"test_fraction": test_fraction, "validation_fraction": validation_fraction}
        parts = rows_of_classes(labels, split_classes_by_seed(len(class_names), **fractions, seed=seed))
    else:
        raise ValueError("unseen_classes=False needs a split column, which says what to test on")
    missing = [name for name in ("train", "validation", "test") if name not in parts]
    if missing:
        raise ValueError(f"{path}: column {split!r} has no {' and no '.join(missing)} rows")

    if kind == "text":
        return text_source(
            path.stem,
            class_names,
            inputs,
            labels,
            parts,
            unseen_classes=unseen_classes,
            **vocabulary_options,
        )
    images, readable = read_images(
        [path.parent / name for name in inputs],
        image_size,
        channels=channels,
        fit=fit,
        skip_unreadable=skip_unreadable,
    )
    new_row = np.cumsum(readable) - 1
    parts = {name: new_row[index[readable[index]]] for name, index in parts.items()}
    captions = [name for name, is_read in zip(inputs, readable, strict=True) if is_read]
    return image_source(
        path.stem,
        class_names,
        images,
        labels[readable],
        captions,
        parts,
        unseen_classes=unseen_classes,
    )


def _read_table(path: Path, delimiter: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows, all as long as the header; blank lines are no rows."""
    if not path.is_file():
        raise ValueError(f"path must be a CSV file, got {path}, which does not exist")
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv_format.reader(file, delimiter=delimiter, strict=True)
            lines = [(reader.line_num, line) for line in reader if line]
    except (UnicodeDecodeError, csv_format.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if len(lines) < 2:
        raise ValueError(f"{path} must have a header line and rows, got {len(lines)} lines")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) != len(header):
        raise ValueError(f"{path}: column names must be unique, got {', '.join(header)}")
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns ({', '.join(header)}), got {len(line)}"
            )
    return header, [line for _, line in lines[1:]]


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


def _column(header, rows, name, argument, path) -> list[str]:
    if name not in header:
        raise ValueError(
            f"{path} has no column {name!r}, which {argument} asks for; its columns are {', '.join(header)}"
        )
    index = header.index(name)
    cells = [row[index].strip() for row in rows]
    empty = [number for number, cell in enumerate(cells, start=1) if not cell]
    if empty:
        first = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise ValueError(
            f"{path}: column {name!r} is empty in {len(empty):,} of {len(cells):,} rows "
            f"(row {first}, counted after the header)"
        )
    return cells


def _parts_from_column(words: list[str], path: Path) -> dict[str, np.ndarray]:
    """Split name -> row numbers, for the splits that occur."""
    unknown = sorted(set(words) - set(SPLIT_VALUES))
    if unknown:
        raise ValueError(
            f"{path}: split must be one of {', '.join(SPLIT_VALUES)}, got {', '.join(map(repr, unknown[:5]))}"
        )
    if "query" in words and "test" in words:
        raise ValueError(f"{path}: query and test rows mean the same; use one of the two words")
    names = np.array([SPLIT_VALUES[word] for word in words])
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def _hold_out_validation(parts, labels, unseen_classes, fraction, seed) -> None:
    """Move part of the training rows to validation: whole classes, or a share of each."""
    check_fraction("validation_fraction", fraction)
    train = parts["train"]
    if unseen_classes:
        _, held_out = hold_out_classes(np.unique(labels[train]), fraction=fraction, seed=seed)
        is_held_out = np.isin(labels[train], held_out)
    else:
        count = max(1, round(len(train) * fraction))
        is_held_out = hold_out_items(labels[train], count=count, seed=seed)
    parts["train"], parts["validation"] = train[~is_held_out], train[is_held_out]

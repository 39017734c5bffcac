"""Own images, texts, categories or features, listed in a table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.boxes import boxes_of, with_boxes
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.items import hash_of, path_ids, path_in
from metric_learning.data.listed_images import listed_images
from metric_learning.data.source import DataSource, image_source, text_source
from metric_learning.data.splits import choose_rows, rows_by_word
from metric_learning.data.table_files import Table, read_table
from metric_learning.data.table_labels import read_labels

# Columns that are looked for where none is named -> what they hold.
INPUTS = {"image": "images", "path": "images", "text": "texts", "features": "features"}
FLAGS = ("is_query", "is_gallery")
TRUTHS = dict.fromkeys(("true", "1", "1.0", "yes"), True) | dict.fromkeys(("false", "0", "0.0", "no", ""), False)


def table(
    path: str | Path,
    *,
    image: str | None = None,
    text: str | None = None,
    features: str | Sequence[str] | None = None,
    categorical: str | Sequence[str] | None = None,
    numeric: str | Sequence[str] | None = None,
    bins: int = 32,
    label: str = "label",
    label_separator: str | None = None,
    hierarchy: str | None = None,
    split: str | None = None,
    query: str | None = None,
    gallery: str | None = None,
    id: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    delimiter: str | None = None,
    image_size: int | Sequence[int] = (32, 32),
    channels: int = 3,
    fit: str = "letterbox",
    skip_unreadable: bool = False,
    skip_unlabeled: bool = False,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    fold: int | None = None,
    folds: int | None = None,
    seed: int = 0,
    unseen_classes: bool = True,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
    **vocabulary_options: Any,
) -> DataSource:
    """Items of a file of rows: images by their path, texts, categories and numbers, or features.

    The file is CSV (UTF-8, with a header line), JSON lines (.jsonl) or Parquet (.parquet). The table layout of Open
    Metric Learning (label, path, split, is_query, is_gallery, sequence) works as it is; of an image with a box (x_1,
    y_1, x_2, y_2, in pixels from the left and the top) the item is what is in the box.

    Args:
        path: the file.
        image: column with image paths, absolute or relative to the folder of the file; of either system, `a/b.png` or
            `a\\b.png`.
        text: column with texts.
        features: column of numbers or of vectors, or several of them, which are put side by side. With neither `image`
            nor `text` nor `features`, the column that is called image, path, text or features.
        categorical: column of categories, or several of them: each becomes ids of a vocabulary of its own, made of the
            training rows; id 0 is for empty cells and for values that training does not have.
        numeric: column of numbers, or several of them, beside the categories: each becomes ids too, see `ColumnIds`.
            Numbers without categories are better taken as `features`, which keep their values.
        bins: ids of a numeric column, at most.
        label: column with the class of each row; any text, so "007" and "7" are two classes.
        label_separator: what parts the classes of a row that has several, such as "|". Rows that share one are alike.
        hierarchy: column of paths such as animal/dog/husky, for graded relevance: the more leading parts two rows
            share, the more they are alike. It is the label, too, if there is no other.
        split: column saying where a row belongs: train, validation (or valid, val), test (or query), gallery.
            None: the column called "split" if there is one, and without it the classes are parted
            by seed. "": do not look for one.
        query, gallery: columns saying true or false of the rows to be judged: those that are searched for, and those
            that are searched in; a row may be both. None: the columns is_query and is_gallery, if both are there. Then
            rows of "validation" are judged if none is of "test", and some of train are held out to choose by.
        id: column saying which item a row is; rows of one id never find each other. None: the file for images (and the
            box), so that `a.png`, `./a.png` and a link to it are one item; for all else each row is an item.
        group: column such as the camera or the session of each row; rows of one class and group never find each other.
            None: the column called "group" if there is one, or "sequence" beside is_query. "": do not look for one.
        weight: column of numbers from 0, how much a row counts in the loss of training. None: each as much.
        delimiter: the character between columns, or comma, semicolon, tab, pipe or space. None: what parts the header,
            see `find_delimiter`.
        image_size, channels, fit: see `fit_image`.
        skip_unreadable: leave unreadable images out with a warning, rather than raise.
        skip_unlabeled: leave rows without a label out with a warning, rather than raise.
        test_fraction, validation_fraction, seed, fold, folds: see `choose_rows`.
        unseen_classes: the splits share no class. False: the classes to be found are those to learn from, by the split
            column or by a share of the items of each class.
        cache, cache_dir: when images are decoded and where they are kept, see `open_images`.
        vocabulary_options: for texts, see `Vocabulary.from_texts`.

    Returns:
        Classes in the order of their names; captions are the texts, the paths as written, or the ids of the rows.

    Raises:
        ValueError: no such file, column or split value; rows with an empty cell; classes that
            overlap or are too few; an item in two splits; images that cannot be read.
    """
    path = Path(path).expanduser()
    named = [each for each in (image, text, label, hierarchy, split, query, gallery, id, group, weight) if each]
    named += [*_list_of(features), *_list_of(categorical), *_list_of(numeric)]
    rows_of_file = read_table(path, delimiter, [*named, *INPUTS, "split", "id", "group", *FLAGS])
    header = rows_of_file.header
    kind, column = _choose_input(header, image, text, features, [*_list_of(categorical), *_list_of(numeric)], path)
    if kind != "texts" and vocabulary_options:
        raise ValueError(f"{', '.join(vocabulary_options)} can only be set for texts, not {kind}")
    split = "split" if split is None and "split" in header else split
    if group is None:
        usual = ("group", "sequence") if set(FLAGS) <= set(header) else ("group",)
        group = next((name for name in usual if name in header), None)
    if query is None and gallery is None and set(FLAGS) <= set(header):
        query, gallery = FLAGS
    if hierarchy and label == "label" and "label" not in header:
        label = hierarchy
    if skip_unlabeled:
        rows_of_file = _labeled_rows(rows_of_file, label)
    inputs = rows_of_file.column(column[0], kind.removesuffix("s")) if kind in ("images", "texts") else []
    class_names, labels, levels = read_labels(
        rows_of_file, label, separator=label_separator, hierarchy=hierarchy or None
    )

    given = rows_by_word(rows_of_file.column(split, "split"), path) if split else {}
    if query or gallery:
        given = _queries_and_gallery(given, rows_of_file, query, gallery)
    rows = choose_rows(
        labels,
        given,
        unseen_classes=unseen_classes,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        fold=fold,
        folds=folds,
        seed=seed,
    )
    missing = [name for name in ("train", "validation", "test") if name not in rows]
    if missing:
        raise ValueError(f"{path}: column {split!r} has no {' and no '.join(missing)} rows")

    common: dict[str, Any] = {"levels": levels, "unseen_classes": unseen_classes}
    common["groups"] = rows_of_file.column(group, "group") if group else None
    common["weights"] = rows_of_file.weights(weight) if weight else None
    common["ids"] = rows_of_file.column(id, "id") if id else [str(number) for number in rows_of_file.numbers]
    if kind == "features":
        values = np.concatenate([rows_of_file.numeric(name, "features") for name in column], axis=1)
        captions = [f"row {key}" for key in common["ids"]]
        return image_source(path.stem, class_names, values, labels, captions, rows, kind=kind, **common)
    if kind == "ids":
        cells: dict[str, Any] = {name: rows_of_file.cells(name, "categorical") for name in _list_of(categorical)}
        numbers = {name: rows_of_file.numbers_or_nan(name, "numeric") for name in _list_of(numeric)}
        columns = ColumnIds.from_rows(cells, numbers, rows["train"], bins)
        values = columns.encode(cells | numbers)
        words = [rows_of_file.cells(name, "numeric") for name in column]
        captions = [_caption(column, row) for row in zip(*words, strict=True)]
        contents = [hash_of(repr(row).encode()) for row in zip(*words, strict=True)]
        # That many rows have the same few categories is no mistake.
        common |= {"kind": kind, "columns": columns, "contents": contents, "warn_about_copies": False}
        return image_source(path.stem, class_names, values, labels, captions, rows, **common)
    if kind == "texts":
        return text_source(path.stem, class_names, inputs, labels, rows, **common, **vocabulary_options)
    paths = [path_in(path.parent, name) for name in inputs]
    boxes = boxes_of(rows_of_file)
    if not id:
        common["ids"] = path_ids(paths, path.parent)
        common["ids"] = common["ids"] if boxes is None else with_boxes(common["ids"], boxes)
    return listed_images(
        path.stem,
        class_names,
        paths,
        labels,
        inputs,
        rows,
        **common,
        image_size=image_size,
        channels=channels,
        fit=fit,
        skip_unreadable=skip_unreadable,
        cache=cache,
        cache_dir=cache_dir,
        boxes=boxes,
    )


def _labeled_rows(table, label):
    labeled = table.with_cells_in(label, "label")
    left_out = len(table.rows) - len(labeled.rows)
    if left_out:
        warnings.warn(
            f"{table.path}: {left_out:,} of {len(table.rows):,} rows have no label and are left out", stacklevel=3
        )
    return labeled


def _list_of(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _caption(names, cells) -> str:
    return ", ".join(f"{name} {cell}" for name, cell in zip(names, cells, strict=True) if cell)


def _choose_input(header, image, text, features, ids, path) -> tuple[str, list[str]]:
    """What the items are ("images", "texts", "ids" or "features"), and the names of their columns."""
    asked = {"images": image, "texts": text, "features": features, "ids": ids}
    named = {kind: _list_of(name) for kind, name in asked.items() if name}
    if len(named) > 1:
        raise ValueError(
            f"give one of image, text, features, and categorical with numeric; got columns for {' and '.join(named)}"
        )
    for kind, columns in named.items():
        return kind, columns
    found = [name for name in INPUTS if name in header]
    if len(found) != 1:
        have = f"columns {' and '.join(found)}" if found else f"no column {', '.join(list(INPUTS)[:-1])} or features"
        raise ValueError(
            f"{path} has {have}: say which to take with data.image=COLUMN, data.text=COLUMN, "
            "'data.features=[COLUMN,...]' or 'data.categorical=[COLUMN,...]'; "
            f"its columns are {', '.join(header)}"
        )
    return INPUTS[found[0]], found


def _queries_and_gallery(given, table, query, gallery) -> dict[str, np.ndarray]:
    """The splits, with what is judged parted by columns of true and false: a row may be query and gallery."""
    if not query or not gallery:
        raise ValueError(f"data.query and data.gallery must be given together; got {query!r} and {gallery!r}")
    flags = {name: truths(table, name, argument) for name, argument in ((query, "query"), (gallery, "gallery"))}
    parts = dict(given)
    if not parts:
        judged = flags[query] | flags[gallery]
        parts = {"train": np.flatnonzero(~judged), "test": np.flatnonzero(judged)}
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    judged = np.union1d(parts.get("test", []), parts.pop("gallery", [])).astype(np.int64)
    queries, found_in = judged[flags[query][judged]], judged[flags[gallery][judged]]
    parts["test"] = queries
    if not np.array_equal(queries, found_in):  # else each is searched among all the others
        parts["gallery"] = found_in
    return parts


def truths(table: Table, name: str, argument: str) -> np.ndarray:
    """bool [n] of a column; an empty cell, as rows of training have them, is false."""
    words = [cell.lower() for cell in table.cells(name, argument)]
    wrong = sorted(set(words) - set(TRUTHS))
    if wrong:
        raise ValueError(f"{table.path}: column {name!r} must hold true or false (or 1 or 0), got {wrong[0]!r}")
    return np.array([TRUTHS[word] for word in words], bool)

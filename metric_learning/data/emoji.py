"""Emoji images: a class is an emoji, its items are drawings of it by up to eight open sets."""

from __future__ import annotations

import io

import numpy as np

from metric_learning.data.shipped import read_shipped
from metric_learning.data.source import DataSource, image_source
from metric_learning.data.splits import rows_of_classes, split_classes_by_index


def emoji() -> DataSource:
    """1,616 emoji in 10,249 images [32, 32, 3], which ship with the project.

    Each emoji has four to eight drawings: in color, flat, in outline, in black on white. The
    classes of train, validation and test are disjoint (`split_classes_by_index`): 646, 162 and
    808. `scripts/build_emoji.py` makes the file; `emoji/LICENSES.md` says whose drawings they are.

    Returns:
        Images as uint8, with captions such as "grinning face (noto)".

    Raises:
        ValueError: the data file is missing or corrupt.
    """
    with _read_archive() as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
        class_names = tuple(file["class_names"].tolist())
        drawn_by = file["set_names"][file["set_index"]].tolist()
    captions = [f"{class_names[label]} ({set_name})" for label, set_name in zip(labels.tolist(), drawn_by, strict=True)]
    rows = rows_of_classes(labels, split_classes_by_index(len(class_names)))
    # Some sets draw two emoji alike, such as the three monkeys' hearts: known, and counted in the run folder.
    return image_source("emoji", class_names, images, labels, captions, rows, warn_about_copies=False)


def read_class_names() -> tuple[str, ...]:
    """Names of the emoji classes, the same for images and texts."""
    with _read_archive() as file:
        return tuple(file["class_names"].tolist())


def _read_archive():
    return np.load(io.BytesIO(read_shipped("images.npz")), allow_pickle=False)

"""What every data source hands over: three splits of labeled items, and what their labels mean."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data import remembered
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.items import check_items, contents, count
from metric_learning.data.random_access import RandomAccess, take
from metric_learning.data.source_checks import check_splits, classes_without_match, names_alike
from metric_learning.data.split import Split
from metric_learning.data.text import Vocabulary, shuffle_tokens

# What the items are -> the dtype of the inputs.
KINDS = {"images": np.uint8, "texts": np.int32, "ids": np.int32, "features": np.float32}


@dataclass(frozen=True, eq=False, repr=False)
class DataSource:
    """Data to learn from (`train`), to choose by (`validation`) and to be judged on (`test`).

    Classes with a single item are kept, since they are wrong answers that a search can give; one
    warning counts them.

    Attributes:
        name: what the run is called after, such as "emoji".
        kind: "images", "texts", "ids" of categorical columns, or "features": vectors that something else has made of
            the items.
        class_names: the name of each label.
        train, validation, test: the splits.
        gallery: what `test` items are searched in; None: in `test` itself, leaving the item out.
        vocabulary: how texts became token ids; None for all else.
        columns: how categories and numbers became ids; None for all else.
        unseen_classes: train, validation and test share no class (the gallery shares the test
            classes, of course), and no item. Checked here; with False, shared items are warned of.
        fit: how images of other sizes are brought to this one, see `fit_image`.
        warn_about_copies: items of two splits, or of what is searched, that hold the same are
            counted in `data.json`; True also warns of them.

    Raises:
        ValueError: an unknown kind, an empty split, items of another kind or shape than the
            training items, labels without a class name, or classes or items that overlap.
    """

    name: str
    kind: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    gallery: Split | None = None
    vocabulary: Vocabulary | None = None
    columns: ColumnIds | None = None
    unseen_classes: bool = True
    warn_about_copies: bool = True
    fit: str = "letterbox"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if (self.vocabulary is None) != (self.kind != "texts"):
            raise ValueError(
                f"vocabulary must be {'given' if self.kind == 'texts' else 'None'} for "
                f"{self.kind}, got {type(self.vocabulary).__name__}"
            )
        if (self.columns is None) != (self.kind != "ids"):
            raise ValueError(f"columns must be given for ids, and for nothing else; got {self.columns} for {self.kind}")
        check_splits(self, KINDS[self.kind])
        found = check_items(self)
        if found:
            warnings.warn(f"{self.name}: {found}", stacklevel=3)
        alike = names_alike(self.class_names)
        if alike:
            warnings.warn(f"{self.name}: {alike}", stacklevel=3)
        single = classes_without_match(self)
        if single:
            warnings.warn(f"{self.name}: {single}", stacklevel=3)

    def __repr__(self) -> str:
        return f"<DataSource {self.describe()}>"

    @property
    def splits(self) -> dict[str, Split]:
        """Split name -> split, without a gallery that is not there."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits if self.gallery is None else {**splits, "gallery": self.gallery}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one item: (height, width, channels), (length,) of tokens, or (F,) of features."""
        return self.train.inputs.shape[1:]

    @property
    def vocabulary_size(self) -> int | None:
        """Number of token ids, padding included; None where there are none."""
        return None if self.vocabulary is None else self.vocabulary.size

    @property
    def encoder_arguments(self) -> dict[str, Any]:
        """What an encoder may ask for of the items, by the names of its arguments; see `asked_for`."""
        word_ids = None if self.vocabulary is None else self.vocabulary.word_ids
        sizes = {"vocabulary_size": self.vocabulary_size, "column_sizes": self.column_sizes}
        return {"input_shape": self.input_shape, **sizes, "word_ids": word_ids}

    @property
    def column_sizes(self) -> tuple[int, ...] | None:
        """Number of ids of each column, that of unknown values included; None where there are no such columns."""
        return None if self.columns is None else self.columns.sizes

    def names_of(self, split: Split) -> list[str]:
        """The names of the classes that occur in a split, in ascending order of their labels."""
        return [self.class_names[label] for label in split.classes]

    def describe(self) -> str:
        """One line: what the items are, and how many classes and items each split has."""
        shape = "x".join(str(size) for size in self.input_shape)
        what = {
            "images": f"images of {shape}",
            "texts": f"texts of up to {shape} tokens",
            "ids": f"rows of {count(range(self.input_shape[0]), 'column')}",
            "features": f"{shape} features",
        }
        items = "rows" if self.kind in ("ids", "features") else self.kind
        parts = [
            f"{name} {len(split.classes):,} classes with {len(split):,} {items}" for name, split in self.splits.items()
        ]
        return f"{self.name}: {what[self.kind]}; {', '.join(parts)}"

    @cached_property
    def contents(self) -> dict[str, list[str]]:
        """Split name -> hashes of what its items hold, see `items.contents`."""
        return {name: contents(split, self.kind) for name, split in self.splits.items()}

    @cached_property
    def card(self) -> dict[str, Any]:
        """What `data.json` of a run says: counts, class sizes, hashes, and what is there twice."""
        return remembered.card(self)

    def save(self, folder: str | Path) -> None:
        """Write what a run must remember of its data, see `remembered.save`; also `vocabulary.json` of texts, and
        `columns.json` of ids."""
        remembered.save(self, Path(folder))
        if self.vocabulary is not None:
            self.vocabulary.save(Path(folder) / "vocabulary.json")
        if self.columns is not None:
            self.columns.save(Path(folder) / "columns.json")

    def changes_since(self, folder: str | Path) -> str:
        """In one line, what differs from the data that were saved in the folder; "" if nothing does.

        Raises:
            ValueError: nothing was saved there.
        """
        return remembered.changes_since(self, Path(folder))

    def check_unchanged(self, folder: str | Path) -> None:
        """Raise a ValueError that says what differs from the data that were saved in the folder, if anything does."""
        changes = self.changes_since(folder)
        if changes:
            raise ValueError(f"the data have changed since {folder} began, so it cannot be resumed: {changes}")


def image_source(
    name: str,
    class_names: Iterable[str],
    images: np.ndarray | RandomAccess,
    labels: np.ndarray,
    captions: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    ids: Sequence[str] | None = None,
    contents: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    levels: np.ndarray | None = None,
    unseen_classes: bool = True,
    warn_about_copies: bool = True,
    kind: str = "images",
    fit: str = "letterbox",
    columns: ColumnIds | None = None,
) -> DataSource:
    """Part images, features, or ids of columns, into the splits of a DataSource.

    Args:
        name, class_names, unseen_classes, warn_about_copies, kind, fit, columns: as in `DataSource`.
        images: uint8 [n, height, width, channels], an array or anything else that `Split.inputs` may be.
        labels: integers [n], or bool [n, C] of several classes a row.
        captions: [n].
        rows: split name ("train", "validation", "test", "gallery") -> indices of its images.
        ids: [n] which item each image is; None: each one of its own, by its row.
        contents: [n] hashes of the images, see `Split`.
        groups, weights, levels: [n] and [n, L], see `Split`.
    """
    splits: dict[str, Any] = _part(images, labels, captions, ids, rows, contents, groups, weights, levels)
    options: dict[str, Any] = {"unseen_classes": unseen_classes, "warn_about_copies": warn_about_copies}
    return DataSource(name, kind, tuple(class_names), **splits, **options, fit=fit, columns=columns)


def text_source(
    name: str,
    class_names: Iterable[str],
    texts: Sequence[str],
    labels: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    levels: np.ndarray | None = None,
    unseen_classes: bool = True,
    warn_about_copies: bool = True,
    **vocabulary_options: Any,
) -> DataSource:
    """Part texts into the splits of a DataSource, with a vocabulary of the training texts alone.

    Args:
        name, class_names, unseen_classes, warn_about_copies: as in `DataSource`.
        texts: [n]; they become the captions.
        labels: as in `image_source`.
        rows: split name -> indices of its texts.
        ids: [n] which item each text is; None: each one of its own, by its row.
        groups, weights, levels: [n] and [n, L], see `Split`.
        vocabulary_options: see `Vocabulary.from_texts`.
    """
    vocabulary = Vocabulary.from_texts([texts[row] for row in rows["train"]], **vocabulary_options)
    tokens = vocabulary.encode(texts)
    # A window of a row is a fair sample of its tokens then; what is judged keeps its order.
    tokens[rows["train"]] = shuffle_tokens(tokens[rows["train"]])
    splits: dict[str, Any] = _part(tokens, labels, texts, ids, rows, None, groups, weights, levels)
    options: dict[str, Any] = {"unseen_classes": unseen_classes, "warn_about_copies": warn_about_copies}
    return DataSource(name, "texts", tuple(class_names), **splits, vocabulary=vocabulary, **options)


def _part(inputs, labels, captions, ids, rows, contents, groups, weights, levels) -> dict[str, Split]:
    labels = np.asarray(labels, np.int64 if np.ndim(labels) == 1 else np.bool_)
    ids = [str(row) for row in range(len(labels))] if ids is None else ids

    def some_of(column, index):
        return None if column is None else tuple(column[row] for row in index)

    return {
        name: Split(
            take(inputs, index),
            labels[index],
            *(some_of(column, index) for column in (captions, ids, contents, groups)),
            *(None if column is None else column[index] for column in (weights, levels)),
        )
        for name, index in rows.items()
    }

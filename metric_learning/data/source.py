"""What every data source hands over: three splits of labeled items, and what their labels mean."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data import remembered
from metric_learning.data.items import check_items, contents, count, some
from metric_learning.data.random_access import RandomAccess, take
from metric_learning.data.split import Split, shape_and_dtype
from metric_learning.data.text import Vocabulary, shuffle_tokens

# What the items are -> the dtype of the inputs.
KINDS = {"images": np.uint8, "texts": np.int32, "features": np.float32}


@dataclass(frozen=True, eq=False, repr=False)
class DataSource:
    """Data to learn from (`train`), to choose by (`validation`) and to be judged on (`test`).

    Classes with a single item are kept, since they are wrong answers that a search can give; one
    warning counts them.

    Attributes:
        name: what the run is called after, such as "emoji".
        kind: "images", "texts" or "features", vectors that something else has made of the items.
        class_names: the name of each label.
        train, validation, test: the splits.
        gallery: what `test` items are searched in; None: in `test` itself, leaving the item out.
        vocabulary: how texts became token ids; None for all else.
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
        for split_name, split in self.splits.items():
            self._check_split(split_name, split)
        searched = "test" if self.gallery is None else "gallery"
        for split_name in ("validation", searched):
            if len(self.splits[split_name].classes) < 2:
                raise ValueError(
                    f"the {split_name} split of {self.name!r} must have at least 2 classes, as with one there is no "
                    f"wrong neighbor to find; got {_first_names(self.splits[split_name].classes, self.class_names)}"
                )
        if self.unseen_classes:
            self._check_classes_are_disjoint()
        found = check_items(self)
        if found:
            warnings.warn(f"{self.name}: {found}", stacklevel=3)
        self._warn_about_single_items()

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
        return {"input_shape": self.input_shape, "vocabulary_size": self.vocabulary_size, "word_ids": word_ids}

    def names_of(self, split: Split) -> list[str]:
        """The names of the classes that occur in a split, in ascending order of their labels."""
        return [self.class_names[label] for label in split.classes]

    def describe(self) -> str:
        """One line: what the items are, and how many classes and items each split has."""
        shape = "x".join(str(size) for size in self.input_shape)
        what = {
            "images": f"images of {shape}",
            "texts": f"texts of up to {shape} tokens",
            "features": f"{shape} features",
        }
        items = "rows" if self.kind == "features" else self.kind
        parts = [
            f"{name} {len(split.classes):,} classes with {len(split):,} {items}" for name, split in self.splits.items()
        ]
        return f"{self.name}: {what[self.kind]}; {', '.join(parts)}"

    @cached_property
    def contents(self) -> dict[str, list[str]]:
        """Split name -> hashes of what its items hold, see `items.contents`."""
        return {name: contents(split, self.kind) for name, split in self.splits.items()}

    def save(self, folder: str | Path) -> None:
        """Write what a run must remember of its data, see `remembered.save`; for texts also `vocabulary.json`."""
        remembered.save(self, Path(folder))
        if self.vocabulary is not None:
            self.vocabulary.save(Path(folder) / "vocabulary.json")

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

    def _check_split(self, split_name: str, split: Split) -> None:
        if len(split) == 0:
            raise ValueError(f"the {split_name} split of {self.name!r} is empty")
        expected_dtype = KINDS[self.kind]
        if split.inputs.dtype != expected_dtype or split.inputs.shape[1:] != self.input_shape:
            raise ValueError(
                f"the {split_name} split of {self.name!r} must hold {self.kind} of shape "
                f"{self.input_shape} and dtype {np.dtype(expected_dtype).name}, "
                f"got {shape_and_dtype(split.inputs)}"
            )
        lowest, highest = split.labels.min(), split.labels.max()
        if lowest < 0 or highest >= self.num_classes:
            raise ValueError(
                f"the {split_name} labels of {self.name!r} must be from 0 to "
                f"{self.num_classes - 1}, one for each class name, got {lowest} to {highest}"
            )

    def _check_classes_are_disjoint(self) -> None:
        for (name, split), (other_name, other) in itertools.combinations(self.splits.items(), 2):
            if {name, other_name} == {"test", "gallery"}:
                continue
            shared = np.intersect1d(split.labels, other.labels)
            if len(shared):
                raise ValueError(
                    f"the {name} and {other_name} splits of {self.name!r} share "
                    f"{_first_names(shared, self.class_names)}; classes must not overlap, "
                    "unless that is meant and data.unseen_classes=false"
                )

    def _warn_about_single_items(self) -> None:
        single = []
        for split in (self.train, self.validation, self.test):
            classes, sizes = np.unique(split.labels, return_counts=True)
            if split is self.test and self.gallery is not None:
                single.append(np.setdiff1d(classes, self.gallery.labels))
            else:
                single.append(classes[sizes == 1])
        all_lone = np.unique(np.concatenate(single))
        if len(all_lone):
            verb = "has" if len(all_lone) == 1 else "have"
            warnings.warn(
                f"{self.name}: {_first_names(all_lone, self.class_names)} {verb} nothing to be matched "
                "with (one item in its split, or none in the gallery); they are kept, as "
                "negatives in training and as wrong answers in the search",
                stacklevel=4,
            )


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
    unseen_classes: bool = True,
    warn_about_copies: bool = True,
    kind: str = "images",
    fit: str = "letterbox",
) -> DataSource:
    """Part images, or features, into the splits of a DataSource.

    Args:
        name, class_names, unseen_classes, warn_about_copies, kind, fit: as in `DataSource`.
        images: uint8 [n, height, width, channels], an array or anything else that `Split.inputs` may be.
        labels: integers [n].
        captions: [n].
        rows: split name ("train", "validation", "test", "gallery") -> indices of its images.
        ids: [n] which item each image is; None: each one of its own, by its row.
        contents: [n] hashes of the images, see `Split`.
        groups: [n], see `Split`.
    """
    splits: dict[str, Any] = _part(images, labels, captions, ids, rows, contents, groups)
    options: dict[str, Any] = {"unseen_classes": unseen_classes, "warn_about_copies": warn_about_copies}
    return DataSource(name, kind, tuple(class_names), **splits, **options, fit=fit)


def text_source(
    name: str,
    class_names: Iterable[str],
    texts: Sequence[str],
    labels: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    unseen_classes: bool = True,
    warn_about_copies: bool = True,
    **vocabulary_options: Any,
) -> DataSource:
    """Part texts into the splits of a DataSource, with a vocabulary of the training texts alone.

    Args:
        name, class_names, unseen_classes, warn_about_copies: as in `DataSource`.
        texts: [n]; they become the captions.
        labels: integers [n].
        rows: split name -> indices of its texts.
        ids: [n] which item each text is; None: each one of its own, by its row.
        groups: [n], see `Split`.
        vocabulary_options: see `Vocabulary.from_texts`.
    """
    vocabulary = Vocabulary.from_texts([texts[row] for row in rows["train"]], **vocabulary_options)
    tokens = vocabulary.encode(texts)
    # A window of a row is a fair sample of its tokens then; what is judged keeps its order.
    tokens[rows["train"]] = shuffle_tokens(tokens[rows["train"]])
    splits: dict[str, Any] = _part(tokens, labels, texts, ids, rows, groups=groups)
    options: dict[str, Any] = {"unseen_classes": unseen_classes, "warn_about_copies": warn_about_copies}
    return DataSource(name, "texts", tuple(class_names), **splits, vocabulary=vocabulary, **options)


def _part(inputs, labels, captions, ids, rows, contents=None, groups=None) -> dict[str, Split]:
    labels = np.asarray(labels, np.int64)
    ids = [str(row) for row in range(len(labels))] if ids is None else ids

    def some_of(column, index):
        return None if column is None else tuple(column[row] for row in index)

    return {
        name: Split(
            take(inputs, index),
            labels[index],
            *(some_of(column, index) for column in (captions, ids, contents, groups)),
        )
        for name, index in rows.items()
    }


def _first_names(classes: np.ndarray, class_names: tuple[str, ...]) -> str:
    """Such as "7 classes (ant, bee, cat, dog, elk, ...)"."""
    return f"{count(classes, 'class')} {some((class_names[label] for label in classes), most=5)}"

"""What every data source hands over: three splits of labelled items, and what their labels mean."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metric_learning.data.text import Vocabulary, shuffle_tokens

KINDS = ("images", "texts")


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Items of one split, in a fixed order.

    Attributes:
        inputs: what the encoder takes: uint8 images [n, height, width, channels], int32 token
            ids [n, length] with 0 for padding, or float32 features [n, F].
        labels: int64 [n], index into `DataSource.class_names`.
        captions: [n] what a person reads about an item: the text itself, or the name of the image.

    Raises:
        ValueError: a shape, dtype or length is not as above.
    """

    inputs: np.ndarray
    labels: np.ndarray
    captions: tuple[str, ...]

    def __post_init__(self):
        expected = "uint8 images [n, height, width, channels], int32 token ids [n, length] or float32 features [n, F]"
        if not isinstance(self.inputs, np.ndarray) or (self.inputs.dtype, self.inputs.ndim) not in (
            (np.uint8, 4),
            (np.int32, 2),
            (np.float32, 2),
        ):
            raise ValueError(f"inputs must be {expected}, got {_shape_and_dtype(self.inputs)}")
        if not isinstance(self.labels, np.ndarray) or (self.labels.dtype, self.labels.ndim) != (
            np.int64,
            1,
        ):
            raise ValueError(f"labels must be int64 [n], got {_shape_and_dtype(self.labels)}")
        if not isinstance(self.captions, tuple):
            raise ValueError(f"captions must be a tuple, got {type(self.captions).__name__}")
        if not len(self.inputs) == len(self.labels) == len(self.captions):
            raise ValueError(
                f"inputs, labels and captions must be equally many, got {len(self.inputs)}, "
                f"{len(self.labels)} and {len(self.captions)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split of {len(self)} items, {_shape_and_dtype(self.inputs)}>"

    @property
    def classes(self) -> np.ndarray:
        """int64, ascending: the class indices that occur here."""
        return np.unique(self.labels)

    def without_labels(self) -> Split:
        """The same items, each a class of its own, to be learnt from its augmented views alone."""
        return replace(self, labels=np.arange(len(self), dtype=np.int64))


@dataclass(frozen=True, eq=False, repr=False)
class DataSource:
    """Data to learn from (`train`), to choose by (`validation`) and to be judged on (`test`).

    Classes with a single item are kept, since they are wrong answers that a search can give; one
    warning counts them.

    Attributes:
        name: what the run is called after, such as "emoji".
        kind: "images" or "texts".
        class_names: the name of each label.
        train, validation, test: the splits.
        gallery: what `test` items are searched in; None: in `test` itself, leaving the item out.
        vocabulary: how texts became token ids; None for images.
        unseen_classes: train, validation and test share no class (the gallery shares the test
            classes, of course). Checked here.

    Raises:
        ValueError: an unknown kind, an empty split, items of another kind or shape than the
            training items, labels without a class name, or classes that overlap.
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

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if (self.vocabulary is None) != (self.kind == "images"):
            raise ValueError(
                f"vocabulary must be {'None' if self.kind == 'images' else 'given'} for "
                f"{self.kind}, got {type(self.vocabulary).__name__}"
            )
        for split_name, split in self.splits.items():
            self._check_split(split_name, split)
        searched = "test" if self.gallery is None else "gallery"
        for split_name in ("validation", searched):
            if len(self.splits[split_name].classes) < 2:
                raise ValueError(
                    f"the {split_name} split of {self.name!r} must have at least 2 classes, as with one there is no "
                    f"wrong neighbour to find; got {_first_names(self.splits[split_name].classes, self.class_names)}"
                )
        if self.unseen_classes:
            self._check_classes_are_disjoint()
        self._warn_about_lone_classes()

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
        """Shape of one item: (height, width, channels) or (length,)."""
        return self.train.inputs.shape[1:]

    @property
    def vocabulary_size(self) -> int | None:
        """Number of token ids, padding included; None for images."""
        return None if self.vocabulary is None else self.vocabulary.size

    def names_of(self, split: Split) -> list[str]:
        """The names of the classes that occur in a split, in ascending order of their labels."""
        return [self.class_names[label] for label in split.classes]

    def describe(self) -> str:
        """One line: what the items are, and how many classes and items each split has."""
        shape = "x".join(str(size) for size in self.input_shape)
        what = f"images of {shape}" if self.kind == "images" else f"texts of up to {shape} tokens"
        parts = [
            f"{name} {len(split.classes):,} classes with {len(split):,} {self.kind}"
            for name, split in self.splits.items()
        ]
        return f"{self.name}: {what}; {', '.join(parts)}"

    def save(self, folder: str | Path) -> None:
        """Write what a run must remember of its data: `classes.json`, the names of each split's
        classes, and for texts `vocabulary.json`."""
        folder = Path(folder)
        names = {name: self.names_of(split) for name, split in self.splits.items()}
        text = json.dumps(names, ensure_ascii=False, indent=1)
        (folder / "classes.json").write_text(text + "\n", encoding="utf-8")
        if self.vocabulary is not None:
            self.vocabulary.save(folder / "vocabulary.json")

    def _check_split(self, split_name: str, split: Split) -> None:
        if len(split) == 0:
            raise ValueError(f"the {split_name} split of {self.name!r} is empty")
        expected_dtype = np.uint8 if self.kind == "images" else np.int32
        if split.inputs.dtype != expected_dtype or split.inputs.shape[1:] != self.input_shape:
            raise ValueError(
                f"the {split_name} split of {self.name!r} must hold {self.kind} of shape "
                f"{self.input_shape} and dtype {np.dtype(expected_dtype).name}, "
                f"got {_shape_and_dtype(split.inputs)}"
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
                    "unless the source is made with unseen_classes=False"
                )

    def _warn_about_lone_classes(self) -> None:
        lone = []
        for split in (self.train, self.validation, self.test):
            classes, sizes = np.unique(split.labels, return_counts=True)
            if split is self.test and self.gallery is not None:
                lone.append(np.setdiff1d(classes, self.gallery.labels))
            else:
                lone.append(classes[sizes == 1])
        lone = np.unique(np.concatenate(lone))
        if len(lone):
            verb = "has" if len(lone) == 1 else "have"
            warnings.warn(
                f"{self.name}: {_first_names(lone, self.class_names)} {verb} nothing to be matched "
                "with (one item in its split, or none in the gallery); they are kept, as "
                "negatives in training and as wrong answers in the search",
                stacklevel=4,
            )


def image_source(
    name: str,
    class_names: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    captions: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    unseen_classes: bool = True,
) -> DataSource:
    """Part images into the splits of a DataSource.

    Args:
        name, class_names, unseen_classes: as in `DataSource`.
        images: uint8 [n, height, width, channels].
        labels: integers [n].
        captions: [n].
        rows: split name ("train", "validation", "test", "gallery") -> indices of its images.
    """
    splits = _part(images, labels, captions, rows)
    return DataSource(name, "images", tuple(class_names), **splits, unseen_classes=unseen_classes)


def text_source(
    name: str,
    class_names: Sequence[str],
    texts: Sequence[str],
    labels: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    unseen_classes: bool = True,
    **vocabulary_options,
) -> DataSource:
    """Part texts into the splits of a DataSource, with a vocabulary of the training texts alone.

    Args:
        name, class_names, unseen_classes: as in `DataSource`.
        texts: [n]; they become the captions.
        labels: integers [n].
        rows: split name -> indices of its texts.
        vocabulary_options: see `Vocabulary.from_texts`.
    """
    vocabulary = Vocabulary.from_texts([texts[row] for row in rows["train"]], **vocabulary_options)
    ids = vocabulary.encode(texts)
    # A window of a row is a fair sample of its tokens then; what is judged keeps its order.
    ids[rows["train"]] = shuffle_tokens(ids[rows["train"]])
    splits = _part(ids, labels, texts, rows)
    return DataSource(
        name,
        "texts",
        tuple(class_names),
        **splits,
        vocabulary=vocabulary,
        unseen_classes=unseen_classes,
    )


def _part(inputs, labels, captions, rows) -> dict[str, Split]:
    labels = np.asarray(labels, np.int64)
    return {
        name: Split(inputs[index], labels[index], tuple(captions[row] for row in index)) for name, index in rows.items()
    }


def _first_names(classes: np.ndarray, class_names: tuple[str, ...], most: int = 5) -> str:
    """Such as "7 classes (ant, bee, cat, dog, elk, ...)"."""
    names = [class_names[i] for i in classes[:most]] + ["..."] * (len(classes) > most)
    return f"{len(classes):,} class{'es' * (len(classes) > 1)} ({', '.join(names)})"


def _shape_and_dtype(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {list(value.shape)}"
    return type(value).__name__

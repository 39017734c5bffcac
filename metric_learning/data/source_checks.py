"""What the splits of a data source must be for training and judging to mean something."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metric_learning.data.items import count, some
from metric_learning.data.split import Split, shape_and_dtype

if TYPE_CHECKING:  # which imports this module
    from metric_learning.data.source import DataSource


def check_splits(source: DataSource, dtype: Any) -> None:
    """Raise a ValueError that says what is wrong with the splits of a source.

    Args:
        source: whose splits they are.
        dtype: of the inputs of its kind.
    """
    for name, split in source.splits.items():
        _check_split(source, name, split, dtype)
    for name in ("validation", "test" if source.gallery is None else "gallery"):
        classes = source.splits[name].classes
        if len(classes) < 2:
            raise ValueError(
                f"the {name} split of {source.name!r} must have at least 2 classes, as with one there is no "
                f"wrong neighbor to find; got {_first_names(classes, source.class_names)}"
            )
    if source.unseen_classes:
        _check_classes_are_disjoint(source)


def _check_split(source: DataSource, name: str, split: Split, dtype: Any) -> None:
    if len(split) == 0:
        raise ValueError(f"the {name} split of {source.name!r} is empty")
    if split.inputs.dtype != dtype or split.inputs.shape[1:] != source.input_shape:
        raise ValueError(
            f"the {name} split of {source.name!r} must hold {source.kind} of shape "
            f"{source.input_shape} and dtype {np.dtype(dtype).name}, "
            f"got {shape_and_dtype(split.inputs)}"
        )
    if split.labels.ndim == 2:
        if split.labels.shape[1] != source.num_classes:
            raise ValueError(
                f"the {name} labels of {source.name!r} must have {source.num_classes} columns, one for each class "
                f"name, got {split.labels.shape[1]}"
            )
    elif split.labels.min() < 0 or split.labels.max() >= source.num_classes:
        raise ValueError(
            f"the {name} labels of {source.name!r} must be from 0 to "
            f"{source.num_classes - 1}, one for each class name, got {split.labels.min()} to {split.labels.max()}"
        )
    for argument in ("labels", "levels"):
        own, first = getattr(split, argument), getattr(source.train, argument)
        if (own is None) != (first is None) or (own is not None and own.shape[1:] != first.shape[1:]):
            raise ValueError(
                f"the {argument} of all splits of {source.name!r} must be of one kind, got "
                f"{shape_and_dtype(first)} for train and {shape_and_dtype(own)} for {name}"
            )


def _check_classes_are_disjoint(source: DataSource) -> None:
    for (name, split), (other_name, other) in itertools.combinations(source.splits.items(), 2):
        if {name, other_name} == {"test", "gallery"}:
            continue
        shared = np.intersect1d(split.classes, other.classes)
        if len(shared):
            raise ValueError(
                f"the {name} and {other_name} splits of {source.name!r} share "
                f"{_first_names(shared, source.class_names)}; classes must not overlap, "
                "unless that is meant and data.unseen_classes=false"
            )


def classes_without_match(source: DataSource) -> str:
    """In one line, the classes that have a single item in their split, or none in the gallery; "" if there are none."""
    single = []
    for split in (source.train, source.validation, source.test):
        if split is source.test and source.gallery is not None:
            single.append(np.setdiff1d(split.classes, source.gallery.classes))
        else:
            single.append(split.classes[split.class_sizes == 1])
    lone = np.unique(np.concatenate(single))
    if not len(lone):
        return ""
    return (
        f"{_first_names(lone, source.class_names)} {'has' if len(lone) == 1 else 'have'} nothing to be matched "
        "with (one item in its split, or none in the gallery); they are kept, as "
        "negatives in training and as wrong answers in the search"
    )


def names_alike(class_names: Sequence[str]) -> str:
    """In one line, the classes whose names look the same and are not; "" if there are none."""
    written: dict[str, set[str]] = {}
    for name in class_names:
        written.setdefault(unicodedata.normalize("NFC", name), set()).add(name)
    alike = [name for name, ways in written.items() if len(ways) > 1]
    if not alike:
        return ""
    return (
        f"{count(alike, 'name')} of classes {some(alike)} can be written in several ways in Unicode, and "
        f"{'is' if len(alike) == 1 else 'are'} here: each way is taken for a class of its own"
    )


def _first_names(classes: np.ndarray, class_names: tuple[str, ...]) -> str:
    """Such as "7 classes (ant, bee, cat, dog, elk, ...)"."""
    return f"{count(classes, 'class')} {some((class_names[label] for label in classes), most=5)}"

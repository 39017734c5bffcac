"""One split of a data source: labeled items in a fixed order, each with an identity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metric_learning.data.random_access import RandomAccess, is_random_access


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Items of one split, in a fixed order.

    Attributes:
        inputs: what the encoder takes: uint8 images [n, height, width, channels], int32 token
            ids [n, length] with 0 for padding, or float32 features [n, F]. An array, or anything
            else with a length, shape, dtype and rows by index arrays: a memory map, `RandomAccess`.
        labels: int64 [n], index into `DataSource.class_names`; or bool [n, C] of several classes a row, true for those
            that it has, at least one.
        captions: [n] what a person reads about an item: the text itself, or the name of the image.
        ids: [n] which item each row is, the same in every split; two rows of one id are one item
            and never find each other. None: every row is an item of its own.
        contents: [n] hashes of what the items hold, equal for equal items. None: to be made of the
            inputs, which then are read once for it.
        groups: [n] such as the camera or the session of each item: where it is searched for, items of its own class
            and group are no answers. None: no groups.
        weights: float32 [n], at least 0: how much an item counts in training. None: each as much.
        levels: int64 [n, L], for graded relevance: the ancestors of each item in a hierarchy of classes, numbered at
            each depth, from the widest to the nearest. None: no hierarchy.

    Raises:
        ValueError: a shape, dtype or length is not as above.
    """

    inputs: np.ndarray | RandomAccess
    labels: np.ndarray
    captions: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    contents: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    weights: np.ndarray | None = None
    levels: np.ndarray | None = None

    def __post_init__(self):
        expected = "uint8 images [n, height, width, channels], int32 token ids [n, length] or float32 features [n, F]"
        if not is_random_access(self.inputs) or (self.inputs.dtype, len(self.inputs.shape)) not in (
            (np.uint8, 4),
            (np.int32, 2),
            (np.float32, 2),
        ):
            raise ValueError(f"inputs must be {expected}, got {shape_and_dtype(self.inputs)}")
        if not _is_array(self.labels, np.int64, 1) and not _is_array(self.labels, np.bool_, 2):
            raise ValueError(f"labels must be int64 [n], or bool [n, classes], got {shape_and_dtype(self.labels)}")
        if self.labels.ndim == 2 and not self.labels.any(axis=1).all():
            raise ValueError(
                f"labels must have a class in every row, and row {self.labels.any(axis=1).argmin()} has none"
            )
        if self.weights is not None and (
            not _is_array(self.weights, np.float32, 1) or not (np.isfinite(self.weights) & (self.weights >= 0)).all()
        ):
            raise ValueError(f"weights must be float32 [n], finite and at least 0, got {shape_and_dtype(self.weights)}")
        if self.levels is not None and not _is_array(self.levels, np.int64, 2):
            raise ValueError(f"levels must be int64 [n, L], got {shape_and_dtype(self.levels)}")
        for name in ("captions", "ids", "contents", "groups"):
            value = getattr(self, name)
            if not isinstance(value, tuple) and (name == "captions" or value is not None):
                raise ValueError(f"{name} must be a tuple, got {type(value).__name__}")
        if not len(self.inputs) == len(self.labels) == len(self.captions):
            raise ValueError(
                f"inputs, labels and captions must be equally many, got {len(self.inputs)}, "
                f"{len(self.labels)} and {len(self.captions)}"
            )
        for name in ("ids", "contents", "groups", "weights", "levels"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.labels):
                raise ValueError(f"{name} must be as many as labels, got {len(value)} and {len(self.labels)}")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split of {len(self)} items, {shape_and_dtype(self.inputs)}>"

    @property
    def classes(self) -> np.ndarray:
        """int64, ascending: the class indices that occur here."""
        return np.unique(self.labels) if self.labels.ndim == 1 else np.flatnonzero(self.labels.any(axis=0))

    @property
    def class_sizes(self) -> np.ndarray:
        """int64, how many items each of `classes` has."""
        if self.labels.ndim == 2:
            return self.labels.sum(axis=0)[self.classes]
        return np.unique(self.labels, return_counts=True)[1]

    def without_labels(self) -> Split:
        """The same items, each a class of its own, to be learned from its augmented views alone."""
        return replace(self, labels=np.arange(len(self), dtype=np.int64))


def _is_array(value: Any, dtype: Any, axes: int) -> bool:
    return isinstance(value, np.ndarray) and (value.dtype, value.ndim) == (dtype, axes)


def shape_and_dtype(value: Any) -> str:
    """Such as "uint8 [2, 4, 4]"; the type of what has no shape and dtype."""
    if is_random_access(value):
        return f"{np.dtype(value.dtype).name} {list(value.shape)}"
    return type(value).__name__

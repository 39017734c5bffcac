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
        labels: int64 [n], index into `DataSource.class_names`.
        captions: [n] what a person reads about an item: the text itself, or the name of the image.
        ids: [n] which item each row is, the same in every split; two rows of one id are one item
            and never find each other. None: every row is an item of its own.
        contents: [n] hashes of what the items hold, equal for equal items. None: to be made of the
            inputs, which then are read once for it.
        groups: [n] such as the camera or the session of each item: where it is searched for, items of its own class
            and group are no answers. None: no groups.

    Raises:
        ValueError: a shape, dtype or length is not as above.
    """

    inputs: np.ndarray | RandomAccess
    labels: np.ndarray
    captions: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    contents: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self):
        expected = "uint8 images [n, height, width, channels], int32 token ids [n, length] or float32 features [n, F]"
        if not is_random_access(self.inputs) or (self.inputs.dtype, len(self.inputs.shape)) not in (
            (np.uint8, 4),
            (np.int32, 2),
            (np.float32, 2),
        ):
            raise ValueError(f"inputs must be {expected}, got {shape_and_dtype(self.inputs)}")
        if not isinstance(self.labels, np.ndarray) or (self.labels.dtype, self.labels.ndim) != (
            np.int64,
            1,
        ):
            raise ValueError(f"labels must be int64 [n], got {shape_and_dtype(self.labels)}")
        for name in ("captions", "ids", "contents", "groups"):
            value = getattr(self, name)
            if not isinstance(value, tuple) and (name == "captions" or value is not None):
                raise ValueError(f"{name} must be a tuple, got {type(value).__name__}")
        if not len(self.inputs) == len(self.labels) == len(self.captions):
            raise ValueError(
                f"inputs, labels and captions must be equally many, got {len(self.inputs)}, "
                f"{len(self.labels)} and {len(self.captions)}"
            )
        for name in ("ids", "contents", "groups"):
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
        return np.unique(self.labels)

    def without_labels(self) -> Split:
        """The same items, each a class of its own, to be learned from its augmented views alone."""
        return replace(self, labels=np.arange(len(self), dtype=np.int64))


def shape_and_dtype(value: Any) -> str:
    """Such as "uint8 [2, 4, 4]"; the type of what has no shape and dtype."""
    if is_random_access(value):
        return f"{np.dtype(value.dtype).name} {list(value.shape)}"
    return type(value).__name__

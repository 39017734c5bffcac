"""What a run learns from: the classes of its training items, all levels of their hierarchy, or each item for itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metric_learning.data.augmentation import check_fits
from metric_learning.data.source import DataSource
from metric_learning.data.split import Split
from metric_learning.types import Augmentation


def what_to_learn(source: DataSource, labels: str, augment: Augmentation | None) -> tuple[Split, Sequence[str]]:
    """The training split of a source and the names of its classes.

    Args:
        source: `DataSource`.
        labels: "classes"; "hierarchy": all that an item is, from its class to the widest level of the hierarchy, so
            that losses that take grades know how much two items are alike; or "items", with which every item is a class
            of its own, known by its augmented views.
        augment: the augmentation of the run; None for none.

    Returns:
        `Split`, and a sequence of a name for each of its classes, in ascending order of their labels.

    Raises:
        ValueError: other labels; data without a hierarchy; an augmentation for other items; items without one, of which
            all views would be one.
    """
    check_fits(augment, source)
    if labels == "classes":
        train = source.train
        if train.labels.ndim == 2:  # a column for each class that there is to learn
            train = replace(train, labels=train.labels[:, train.classes])
        return train, source.names_of(source.train)
    if labels == "hierarchy":
        if source.train.levels is None:
            raise ValueError("labels=hierarchy needs data with one, such as data=table data.hierarchy=COLUMN")
        return _of_all_levels(source.train, source.train.levels)
    if labels != "items":
        raise ValueError(f"labels must be classes, hierarchy or items; got {labels!r}")
    if augment is None:
        raise ValueError(
            "labels=items needs an augmentation, or the views of an item would be one; "
            "choose augmentation=views or drawing for images, augmentation=tokens for texts"
        )
    return source.train.without_labels(), source.train.captions


def _of_all_levels(split: Split, levels: np.ndarray) -> tuple[Split, list[str]]:
    """A column for each class and each of its ancestors, the classes first, since a batch is drawn by the first of
    equally rare columns."""
    columns, names = [], []
    for depth in reversed(range(levels.shape[1])):
        groups = np.unique(levels[:, depth])
        columns.append(levels[:, depth, None] == groups)
        names += [f"level {depth + 1}, group {group + 1}" for group in groups]
    return replace(split, labels=np.concatenate(columns, axis=1)), names

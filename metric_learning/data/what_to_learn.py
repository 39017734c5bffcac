"""What a run learns from: the classes of its training items, or each item for itself."""

from collections.abc import Sequence
from dataclasses import replace

from metric_learning.data.augmentation import check_fits
from metric_learning.data.source import DataSource
from metric_learning.data.split import Split
from metric_learning.types import Augmentation


def what_to_learn(source: DataSource, labels: str, augment: Augmentation | None) -> tuple[Split, Sequence[str]]:
    """The training split of a source and the names of its classes.

    Args:
        source: `DataSource`.
        labels: "classes", or "items", with which every item is a class of its own, known by its augmented views.
        augment: the augmentation of the run; None for none.

    Returns:
        `Split`, and a sequence of a name for each of its classes, in ascending order of their labels.

    Raises:
        ValueError: other labels; an augmentation for other items; items without one, of which all views would be one.
    """
    check_fits(augment, source)
    if labels == "classes":
        train = source.train
        if train.labels.ndim == 2:  # a column for each class that there is to learn
            train = replace(train, labels=train.labels[:, train.classes])
        return train, source.names_of(source.train)
    if labels != "items":
        raise ValueError(f"labels must be classes or items; got {labels!r}")
    if augment is None:
        raise ValueError(
            "labels=items needs an augmentation, or the views of an item would be one; "
            "choose augmentation=views or drawing for images, augmentation=tokens for texts"
        )
    return source.train.without_labels(), source.train.captions

"""Which items are learned from, which choose, which judge: splits drawn by class or by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.labels import rarest_class

# What people call the splits, in a column or as folders, and what they are.
SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "query": "test",
    "gallery": "gallery",
}


def split_classes_by_index(num_classes: int) -> dict[str, np.ndarray]:
    """The fixed class splits of the emoji sources, the same for their images and their texts.

    Class `i` is a test class if `i % 2 == 1`, a validation class if `i % 10 == 0`, and otherwise
    a training class.

    Returns:
        Split name -> int64 class indices, ascending; together every class once.
    """
    index = np.arange(num_classes)
    test = index % 2 == 1
    validation = index % 10 == 0
    return {
        "train": index[~test & ~validation],
        "validation": index[validation],
        "test": index[test],
    }


def split_classes_by_seed(
    num_classes: int,
    *,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Class-disjoint splits of own data: a pure function of its arguments.

    Every split gets at least two classes: with one class there is no wrong neighbor to find, and
    every score is perfect.

    Args:
        num_classes: how many classes there are; they should be in an order of their own (sorted
            names), since the split follows the index.
        test_fraction: part of the classes kept for the final judgment, between 0 and 1.
        validation_fraction: part of the classes used to choose, between 0 and 1.
        seed: another seed, other classes.

    Returns:
        Split name -> int64 class indices, ascending; together every class once.

    Raises:
        ValueError: a fraction is out of range, or a split would have fewer than two classes.
    """
    check_fraction("test_fraction", test_fraction)
    check_fraction("validation_fraction", validation_fraction)
    num_test = max(2, round(num_classes * test_fraction))
    num_validation = max(2, round(num_classes * validation_fraction))
    num_train = num_classes - num_test - num_validation
    if num_train < 2:
        raise ValueError(
            "train, validation and test need at least 2 classes each; "
            f"num_classes={num_classes}, test_fraction={test_fraction} and "
            f"validation_fraction={validation_fraction} leave {max(num_train, 0)} for train, "
            f"{num_validation} for validation and {num_test} for test"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(num_classes)
    test, validation, train = np.split(order, [num_test, num_test + num_validation])
    return {"train": np.sort(train), "validation": np.sort(validation), "test": np.sort(test)}


def rows_of_classes(labels: np.ndarray, classes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn splits of classes into splits of items: split name -> row numbers, ascending."""
    return {name: np.flatnonzero(np.isin(labels, chosen)) for name, chosen in classes.items()}


def hold_out_classes(classes: np.ndarray, *, fraction: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Part `classes` into (kept, held out) by seed, at least two classes on either side.

    Raises:
        ValueError: `fraction` is out of range, or there are fewer than four classes.
    """
    check_fraction("validation_fraction", fraction)
    count = max(2, round(len(classes) * fraction))
    if len(classes) - count < 2:
        raise ValueError(
            "train and validation need at least 2 classes each; "
            f"{len(classes)} training classes and validation_fraction={fraction} leave "
            f"{max(len(classes) - count, 0)} for train and {count} for validation"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(np.asarray(classes))
    return np.sort(order[count:]), np.sort(order[:count])


def hold_out_items(labels: np.ndarray, *, count: int, seed: int = 0) -> np.ndarray:
    """Choose exactly `count` items, every class in proportion, for classes seen in training.

    Args:
        labels: [n] integers in any order.
        count: how many items to hold out, from 1 to n - 1.
        seed: another seed, other items.

    Returns:
        bool [n], True where the item is held out. A class keeps at least one item back whenever
        its share allows; what rounding leaves over goes to the classes with the largest
        remainder.

    Raises:
        ValueError: `count` is out of range.
    """
    labels = np.asarray(labels)
    if not 0 < count < len(labels):
        raise ValueError(f"the number of items to hold out must be from 1 to {len(labels) - 1}, got {count}")
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    share = sizes * (count / len(labels))
    take = np.floor(share).astype(np.int64)
    left_over = count - take.sum()
    take[np.argsort(take - share, kind="stable")[:left_over]] += 1
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    by_class = shuffled[np.argsort(inverse[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    rank = np.arange(len(labels)) - np.repeat(starts, sizes)
    held_out = np.zeros(len(labels), bool)
    held_out[by_class[rank < np.repeat(take, sizes)]] = True
    return held_out


def check_fraction(name: str, fraction: float) -> None:
    """Raise a ValueError unless `fraction`, the argument called `name`, is between 0 and 1."""
    if not 0 < fraction < 1:
        raise ValueError(f"data.{name} must be between 0 and 1, got {fraction}")


def hold_out_validation(
    parts: dict[str, np.ndarray], labels: np.ndarray, *, unseen_classes: bool, fraction: float = 0.1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Move part of the training rows to validation, if there is no such split: whole classes, or a share of each.

    Args:
        parts: split name -> row numbers, with "train".
        labels: [n] integers of all rows.
        unseen_classes: hold out classes rather than a share of each.
        fraction, seed: how much, and which.

    Returns:
        The parts, with "validation".
    """
    if "validation" in parts:
        return parts
    check_fraction("validation_fraction", fraction)
    train = parts["train"]
    if unseen_classes:
        _, held_out = hold_out_classes(np.unique(labels[train]), fraction=fraction, seed=seed)
        is_held_out = np.isin(labels[train], held_out)
    else:
        count = max(1, round(len(train) * fraction))
        is_held_out = hold_out_items(labels[train], count=count, seed=seed)
    return {**parts, "train": train[~is_held_out], "validation": train[is_held_out]}


def split_classes_by_fold(
    num_classes: int, *, fold: int, folds: int, validation_fraction: float = 0.1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Class-disjoint splits for cross-validation: over the folds, every class is a test class once.

    Args:
        num_classes: how many classes there are, in an order of their own.
        fold: which part of the classes is the test, from 0 to folds - 1.
        folds: how many parts the classes are shuffled into, of sizes that differ by at most one.
        validation_fraction: part of the other classes used to choose, between 0 and 1.
        seed: another seed, other parts.

    Returns:
        Split name -> int64 class indices, ascending; together every class once.

    Raises:
        ValueError: no such fold, or a split would have fewer than two classes.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"data.fold must be from 0 to data.folds - 1, of at least 2 folds; got {fold} of {folds}")
    if num_classes < 2 * folds:
        raise ValueError(
            f"data.folds must leave at least 2 classes for each fold; got {folds} folds of {num_classes} classes"
        )
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(num_classes)
    test = np.array_split(shuffled, folds)[fold]
    train, validation = hold_out_classes(np.setdiff1d(shuffled, test), fraction=validation_fraction, seed=seed)
    return {"train": train, "validation": validation, "test": np.sort(test)}


def split_items(
    labels: np.ndarray, *, test_fraction: float = 0.5, validation_fraction: float = 0.1, seed: int = 0
) -> dict[str, np.ndarray]:
    """A share of the items of every class for the test, one for validation: classes are seen in training.

    Args:
        labels: [n] integers in any order.
        test_fraction: part of the items, between 0 and 1; every class in proportion, see `hold_out_items`.
        validation_fraction: as large a part of the items that are left.
        seed: another seed, other items.

    Returns:
        Split name -> row numbers, ascending; together every row once.
    """
    check_fraction("test_fraction", test_fraction)
    is_test = hold_out_items(labels, count=max(1, round(len(labels) * test_fraction)), seed=seed)
    parts = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
    return hold_out_validation(parts, labels, unseen_classes=False, fraction=validation_fraction, seed=seed)


def rows_by_word(words: Sequence[str], path: str | Path) -> dict[str, np.ndarray]:
    """Split name -> row numbers, for the splits that a column of words names.

    Args:
        words: [n] keys of `SPLIT_NAMES`.
        path: of the file that has them, for errors.

    Raises:
        ValueError: another word, or two words for the test.
    """
    unknown = sorted(set(words) - set(SPLIT_NAMES))
    if unknown:
        raise ValueError(
            f"{path}: split must be one of {', '.join(SPLIT_NAMES)}, got {', '.join(map(repr, unknown[:5]))}"
        )
    if "query" in words and "test" in words:
        raise ValueError(f"{path}: query and test rows mean the same; use one of the two words")
    names = np.array([SPLIT_NAMES[word] for word in words])
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def choose_rows(
    labels: np.ndarray,
    given: Mapping[str, np.ndarray] | None = None,
    *,
    unseen_classes: bool = True,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    fold: int | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The splits of own data: those that it says itself, or else by fold, by class or by item.

    Args:
        labels: [n] integers from 0, numbering the classes in an order of their own; or bool [n, C] of several classes a
            row, of which the rarest decides.
        given: split name -> row numbers, as the data says; None if it says nothing. What it lacks for validation is
            held out of its training rows.
        unseen_classes: part classes; False: part the items of every class, see `split_items`.
        test_fraction, validation_fraction, seed: see `split_classes_by_seed`.
        fold, folds: see `split_classes_by_fold`; None: no folds.

    Returns:
        Split name -> row numbers, ascending.

    Raises:
        ValueError: as the functions above; folds of data that says its splits, or whose classes are all seen.
    """
    if (fold is None) != (folds is None):
        raise ValueError(f"data.fold and data.folds must be given together; got {fold} and {folds}")
    if folds is not None and (given or not unseen_classes):
        why = "this data says itself what to test on" if given else "data.unseen_classes=false parts items"
        raise ValueError(f"data.folds parts the classes, and {why}; leave data.fold and data.folds out")
    if labels.ndim == 2 and not given and unseen_classes:
        raise ValueError(
            "rows of several labels cannot be parted by class; name a column of splits, or data.unseen_classes=false"
        )
    labels = rarest_class(labels)
    if given:
        if "train" not in given:
            return dict(given)
        shares: Any = {"unseen_classes": unseen_classes, "fraction": validation_fraction, "seed": seed}
        return hold_out_validation(dict(given), labels, **shares)
    if not unseen_classes:
        return split_items(labels, test_fraction=test_fraction, validation_fraction=validation_fraction, seed=seed)
    num_classes = int(labels.max(initial=-1)) + 1
    if fold is not None and folds is not None:
        classes = split_classes_by_fold(
            num_classes, fold=fold, folds=folds, validation_fraction=validation_fraction, seed=seed
        )
    else:
        classes = split_classes_by_seed(
            num_classes, test_fraction=test_fraction, validation_fraction=validation_fraction, seed=seed
        )
    return rows_of_classes(labels, classes)

"""Which items are learned from, which choose, which judge: splits drawn by class or by item."""

from __future__ import annotations

import numpy as np

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

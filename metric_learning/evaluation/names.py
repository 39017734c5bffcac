"""Labels and ids as people have them, as the integers that a search compares."""

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.labels import class_array


def numbered(name: str, *columns: ArrayLike) -> list[np.ndarray]:
    """Numbers that are equal where labels or ids are.

    Args:
        name: of the argument, for errors.
        *columns: integers, booleans or strings, each [n] or [n, 1], all of one kind.

    Returns:
        A list with a [n] int64 array for each column: integers as they are, strings numbered over all columns.

    Raises:
        ValueError: anything else. Floats are refused, as float32 merges integers above 2^24.
    """
    arrays = [class_array(column, name) for column in columns]
    if len({column.dtype for column in arrays}) > 1:
        raise ValueError(f"{name} must be integers or strings throughout; got both")
    if arrays[0].dtype != object:
        return arrays
    numbers: dict[str, int] = {}
    return [
        np.array([numbers.setdefault(value, len(numbers)) for value in column.tolist()], np.int64) for column in arrays
    ]


def integers(name: str, values: ArrayLike, length: int) -> np.ndarray:
    """[length] int64 of labels or ids. Floats are refused: float32 merges integers above 2^24."""
    values = np.asarray(values)
    if values.shape != (length,):
        raise ValueError(f"{name} must have shape [{length}], one per row; got {list(values.shape)}")
    if not np.can_cast(values.dtype, np.int64):
        raise ValueError(f"{name} must be integers that fit int64; got {values.dtype}")
    return values.astype(np.int64)


def count_of(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """[n] int64, how often each of `values` [n] occurs `among` [m]."""
    present, counts = np.unique(among, return_counts=True)
    if not len(present):
        return np.zeros(len(values), np.int64)
    places = np.minimum(np.searchsorted(present, values), len(present) - 1)
    return np.where(present[places] == values, counts[places], 0)


def joint(*columns: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that are equal where all of several columns are.

    Args:
        *columns: each of queries and gallery, int64 [n] and [m].

    Returns:
        int64 [n] and [m], from 0.
    """
    num_queries = len(columns[0][0])
    numbers, *others = (np.unique(np.concatenate(column), return_inverse=True)[1].reshape(-1) for column in columns)
    for values in others:
        pairs = numbers * (values.max(initial=0) + 1) + values
        numbers = np.unique(pairs, return_inverse=True)[1].reshape(-1)
    return numbers[:num_queries], numbers[num_queries:]

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

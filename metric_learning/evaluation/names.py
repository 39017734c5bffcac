"""Labels and ids as people have them, as the integers that a search compares."""

import numpy as np
from numpy.typing import ArrayLike


def numbered(name: str, *columns: ArrayLike) -> list[np.ndarray]:
    """Numbers that are equal where labels or ids are.

    Args:
        name: of the argument, for errors.
        *columns: integers or strings, each [n] or [n, 1], all of one kind.

    Returns:
        A list with a [n] int64 array for each column: integers as they are, strings numbered over all columns.

    Raises:
        ValueError: anything else. Floats are refused, as float32 merges integers above 2^24.
    """
    arrays = [_column(name, column) for column in columns]
    if len({column.dtype.kind == "U" for column in arrays}) > 1:
        raise ValueError(f"{name} must be integers or strings throughout; got both")
    if arrays[0].dtype.kind != "U":
        return [column.astype(np.int64) for column in arrays]
    numbers: dict[str, int] = {}
    return [
        np.array([numbers.setdefault(value, len(numbers)) for value in column.tolist()], np.int64) for column in arrays
    ]


def _column(name: str, values: ArrayLike) -> np.ndarray:
    """[n] integers that fit int64, or strings of NumPy's kind "U"."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        raise ValueError(
            f"{name} must be one a row, [{len(values)}]; got {list(values.shape)}: rows of several classes (multi-hot "
            "or graded) cannot be judged; of one-hot rows take labels.argmax(axis=1)"
        )
    if values.ndim != 1:
        raise ValueError(f"{name} must be [n], one a row; got {list(values.shape)}")
    if values.dtype.kind in "SO":  # TensorFlow's strings are bytes
        rows = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
        if not all(isinstance(row, str) for row in rows):
            raise ValueError(f"{name} must be integers or strings; got {type(rows[0]).__name__} and the like")
        values = np.array(rows, str)
    if values.dtype.kind != "U" and not np.can_cast(values.dtype, np.int64):
        raise ValueError(f"{name} must be integers that fit int64; got {values.dtype} (strings will do as well)")
    return values

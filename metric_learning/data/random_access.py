"""Items that lie somewhere else than in memory, seen as an array is: by their length, shape, dtype and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class RandomAccess:
    """Items that are read when somebody asks for them, by any index that NumPy takes along the first axis.

    Args:
        read: function from row numbers, int64 [m], to the items [m, *item_shape]. Many threads may call it at once.
        count: how many items there are.
        item_shape: of one item, such as (height, width, channels).
        dtype: of the items.

    Attributes:
        shape: (count, *item_shape).
        dtype: of the items.

    Example:
        >>> squares = RandomAccess(lambda rows: rows**2, 10, (), np.int64)
        >>> squares.shape, int(squares[-1]), squares[[5, 2]], squares.take(np.array([3, 4]))[:]
        ((10,), 81, array([25,  4]), array([ 9, 16]))
    """

    def __init__(
        self, read: Callable[[np.ndarray], np.ndarray], count: int, item_shape: Sequence[int], dtype: DTypeLike
    ) -> None:
        self._read = read
        self._rows = np.arange(count)
        self._item_shape = tuple(item_shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dtype.name} {list(self.shape)}>"

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self._item_shape

    def __getitem__(self, rows) -> np.ndarray:
        rows = self._rows[rows]
        return self._read(rows) if rows.ndim else self._read(rows[None])[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """All items, in memory."""
        return np.asarray(self[:], dtype)

    def take(self, rows: np.ndarray) -> RandomAccess:
        """Some of the items, in the order of `rows`; nothing is read."""
        chosen = RandomAccess(self._read, 0, self._item_shape, self.dtype)
        chosen._rows = self._rows[rows]
        return chosen


def is_random_access(inputs: object) -> bool:
    """Whether it has what a `Split` needs of its inputs: a length, a shape, a dtype and items by index."""
    return all(hasattr(inputs, name) for name in ("__len__", "__getitem__", "shape", "dtype"))


def in_memory(inputs: object) -> bool:
    """Whether reading it costs nothing, because it is an array, and not one that is mapped from a file."""
    owner = inputs
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    return isinstance(inputs, np.ndarray) and not isinstance(owner, np.memmap)


def take(inputs: Any, rows: np.ndarray) -> Any:
    """Some rows: copied if they are in memory, and otherwise left where they are until they are read."""
    if in_memory(inputs):
        return inputs[rows]
    if isinstance(inputs, RandomAccess):
        return inputs.take(rows)
    return RandomAccess(lambda own: np.asarray(inputs[own]), len(inputs), inputs.shape[1:], inputs.dtype).take(rows)

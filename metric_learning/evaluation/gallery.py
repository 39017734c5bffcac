"""What is searched, made ready for a distance."""

import functools

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.rows import checked_rows, squared_lengths, unit_rows, without_row_mean

_PART = 4096  # rows that are looked at together, which stay in the processor's cache


class Gallery:
    """A gallery made ready once for many searches. It takes the memory of its rows, and with FAISS twice that.

    Args:
        rows: [m, D] finite numbers.
        distance: see `metric_learning.evaluation.search`.

    Attributes:
        rows: float32 [m, D'], as they are compared.
        origin: of the products, see `moved`.
        longest: the length of the longest row, seen from the origin.
    """

    def __init__(self, rows: ArrayLike, distance: str = "cosine") -> None:
        rows = checked_rows("gallery", rows)
        self.dimensions = rows.shape[1]
        if distance == "cosine":
            rows = unit_rows(rows, spare_axis=1)
        elif distance == "snr":
            rows = without_row_mean(rows)
        self.distance, self.rows = distance, rows
        # Moving the origin changes no difference, but short rows keep |q|^2 + |g|^2 - 2 q.g from canceling when all
        # embeddings lie close together, as those of an untrained or collapsed encoder do.
        is_dot = distance == "dot"
        self.origin = np.float32(0) if is_dot else rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        parts = (rows[start : start + _PART] - self.origin for start in range(0, len(rows), _PART))
        self.longest = np.sqrt(max((squared_lengths(part).max() for part in parts), default=np.float32(0)))

    @functools.cached_property
    def moved(self) -> np.ndarray:
        """The rows less the origin, as FAISS takes them; made once, when they are first asked for."""
        return self.rows if self.distance == "dot" else self.rows - self.origin

    def __len__(self) -> int:
        return len(self.rows)

"""Rows of embeddings as a search takes them, and distances as integers that sort alike."""

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.distances import rowwise

_NUMBERS = 2**21  # of rows that are compared at once: 8 MB, as TensorFlow's pool on CPUs keeps what it once took


def checked_rows(name: str, rows: ArrayLike) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"{name} must have shape [rows, dimensions]; got {list(rows.shape)}")
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    broken = int(np.count_nonzero(overflowing(rows)))
    if broken:
        raise ValueError(
            f"{broken} of {len(rows)} rows of {name} hold NaN, infinity or numbers whose squares overflow float32"
        )
    return rows


def overflowing(rows: np.ndarray) -> np.ndarray:
    """[n] bool, which of float32 [n, D] hold an entry that is not finite, or float32 cannot hold the distances of."""
    with np.errstate(over="ignore"):
        return ~np.isfinite(4 * squared_lengths(rows))


def squared_lengths(rows: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", rows, rows)


def paired_distances(queries: ArrayLike, rows: ArrayLike, pairs: ArrayLike, distance: str) -> np.ndarray:
    """float32 [p], how far row pairs[0, i] of the queries is from row pairs[1, i] of the rows; see `rowwise`."""
    queries, rows = np.asarray(queries), np.asarray(rows)
    first, second = np.asarray(pairs)
    found = np.empty(len(first), np.float32)
    step = max(1, _NUMBERS // rows.shape[1])
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        found[part] = rowwise(queries[first[part]], rows[second[part]], distance=distance).numpy()
    return found


def unit_rows(rows: np.ndarray, spare_axis: int) -> np.ndarray:
    """Rows of length 1, and two axes more on which a zero row gets length 1 as well.

    Zero queries and zero gallery rows lie on different axes: at right angles, cosine distance 1, to
    everything.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None]
    unit = np.zeros((len(rows), rows.shape[1] + 2), np.float32)
    np.divide(rows, lengths, out=unit[:, :-2], where=lengths > 0, casting="same_kind")
    unit[lengths[:, 0] == 0, rows.shape[1] + spare_axis] = 1.0
    return unit


def without_row_mean(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def packed(distances: np.ndarray) -> np.ndarray:
    """uint32 that sort as the float32 `distances` do: the sign bit turned, and all bits of negative
    numbers."""
    bits = (distances + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 equal
    return bits ^ (np.negative(bits >> np.uint32(31)) | np.uint32(2**31))  # as masks, which is faster than a choice


def unpacked(bits: np.ndarray) -> np.ndarray:
    """The inverse of `packed`."""
    return (bits ^ (((bits >> np.uint32(31)) - np.uint32(1)) | np.uint32(2**31))).view(np.float32)

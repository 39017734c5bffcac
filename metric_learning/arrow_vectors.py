"""Columns of vectors, as Parquet files have them, in the form of NumPy."""

from typing import Any

import numpy as np


def vectors_of(column: Any) -> np.ndarray | None:
    """[n, F] of a column of lists of numbers, all of one length; None for any other.

    Args:
        column: `pyarrow.ChunkedArray`.
    """
    parts = [_of_chunk(chunk) for chunk in column.chunks if len(chunk)]
    if not parts or any(part is None or part.shape[1] != parts[0].shape[1] for part in parts):
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _of_chunk(chunk):
    import pyarrow
    import pyarrow.compute

    kind = chunk.type
    if not (pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)):
        return None
    flat = chunk.flatten()
    floating_or_integer = pyarrow.types.is_floating(flat.type) or pyarrow.types.is_integer(flat.type)
    lengths = np.unique(pyarrow.compute.list_value_length(chunk).to_numpy(zero_copy_only=False))
    if not floating_or_integer or chunk.null_count or flat.null_count or len(lengths) != 1:
        return None
    return flat.to_numpy(zero_copy_only=False).reshape(len(chunk), -1)

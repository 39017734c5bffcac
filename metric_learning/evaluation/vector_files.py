"""Vectors with labels in files: .npz, .npy, and Parquet."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.arrow_vectors import vectors_of
from metric_learning.whole_files import in_one_move

_USUAL = {
    "vectors": ("embeddings", "vectors", "features", "x", "X", "arr_0"),
    "labels": ("labels", "label", "y", "targets", "classes"),
    "ids": ("ids", "id"),
    "groups": ("groups", "group"),
    "levels": ("levels",),
}
_NEEDED = ("vectors", "labels")


def read_vectors(path: str | Path, argument: str = "vectors", **named: str | None) -> dict[str, np.ndarray]:
    """Vectors and what belongs to them, as `evaluate` takes them.

    Args:
        path: a .npz file of arrays or a Parquet file of columns, with the labels in it; or a .npy file [n, D].
        argument: what the path is called, for errors.
        **named: "labels", "ids", "groups", "levels", and of a .npz or Parquet file "vectors": the name of the array or
            column, or a file beside it: .npy, or a text with one in each line. None: the array called so, or labels
            also label, y, targets, classes, if it is there.

    Returns:
        "vectors" [n, D] float32, "labels", and what else there is.

    Raises:
        ValueError: a file or array that is not there or cannot be read.
    """
    path = Path(path).expanduser()
    arrays = _arrays(path, argument)
    found = {}
    for name, usual in _USUAL.items():
        asked = named.get(name)
        if path.suffix == ".npy" and name == "vectors":
            found[name] = arrays["vectors"]
        elif asked is not None and asked not in arrays:
            if not Path(asked).expanduser().is_file():
                raise ValueError(f"{name} must be a file or one of {', '.join(arrays)} in {path}; got {asked!r}")
            found[name] = _column(Path(asked).expanduser(), name)
        else:
            there = asked or next((each for each in usual if each in arrays), None)
            if there is not None:
                found[name] = arrays[there]
            elif name in _NEEDED:
                raise ValueError(
                    f"{name} must be named, as none is called {', '.join(usual)} in {path}; it has {', '.join(arrays)}"
                )
    rows = found["vectors"]
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise ValueError(f"{argument} must be numbers [n, D]; got {rows.dtype} {list(rows.shape)} in {path}")
    return found | {"vectors": rows.astype(np.float32)}


def write_parquet(
    path: str | Path,
    dimensions: int,
    columns: Sequence[str],
    parts: Iterable[tuple[np.ndarray, Mapping[str, Sequence[str | None]]]],
) -> None:
    """Writes vectors and texts in the layout that vector databases read: a column `features` of lists of one length.

    Args:
        path: of the file, which is written in one move; its folder is made.
        dimensions: D.
        columns: names of texts, such as "id" and "label".
        parts: float32 [n, D] with the texts [n] of each column, one part in memory at a time.
    """
    import pyarrow
    import pyarrow.parquet

    vectors = pyarrow.list_(pyarrow.float32(), dimensions)
    schema = pyarrow.schema([*((name, pyarrow.string()) for name in columns), ("features", vectors)])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with in_one_move(path) as unfinished, pyarrow.parquet.ParquetWriter(unfinished, schema) as writer:
        for rows, texts in parts:
            flat = pyarrow.array(np.ascontiguousarray(rows, np.float32).reshape(-1))
            arrays = [pyarrow.array(map(_utf8, texts[name]), pyarrow.string()) for name in columns]
            lists = pyarrow.FixedSizeListArray.from_arrays(flat, dimensions)
            writer.write_table(pyarrow.Table.from_arrays([*arrays, lists], schema=schema))


def _utf8(text: str | None) -> bytes | None:
    """Of a file name that is not UTF-8, escapes stand for the odd bytes."""
    return None if text is None else text.encode("utf-8", "backslashreplace")


def _arrays(path: Path, argument: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"{argument} must be a .npz, .npy or .parquet file; there is no {path}")
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                return dict(file)
        if path.suffix == ".npy":
            return {"vectors": np.load(path)}
        if path.suffix in (".parquet", ".pq"):
            import pyarrow.parquet

            columns: Any = pyarrow.parquet.read_table(path)
            return {name: _of_table(columns[name]) for name in columns.column_names}
    except (ValueError, OSError) as error:  # also pickles, which could run anything
        raise ValueError(f"{argument} {path} cannot be read: {error}") from error
    raise ValueError(f"{argument} must be a .npz, .npy or .parquet file; got {path}")


def _of_table(column: Any) -> np.ndarray:
    vectors = vectors_of(column)
    return np.array(column.to_pylist()) if vectors is None else vectors


def _column(path: Path, name: str) -> np.ndarray:
    try:
        if path.suffix == ".npy":
            return np.load(path)
        return np.array(path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{name} {path} cannot be read: {error}") from error

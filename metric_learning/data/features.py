"""Vectors that something else has made of the items, such as the features of a frozen network, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.source import DataSource, image_source
from metric_learning.data.splits import choose_rows, rows_by_word
from metric_learning.data.table import table

# What people call the arrays of a file; the first that is there is taken.
VECTORS = ("features", "embeddings", "vectors", "x", "X", "arr_0")
LABELS = ("labels", "label", "y", "targets", "classes")
TABLES = {".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq"}
_BLOCK = 2**24  # numbers that are looked at together


def features(
    path: str | Path,
    *,
    vectors: str | None = None,
    label: str | None = None,
    labels: str | Path | None = None,
    split: str | None = None,
    id: str | None = None,
    group: str | None = None,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    fold: int | None = None,
    folds: int | None = None,
    seed: int = 0,
    unseen_classes: bool = True,
) -> DataSource:
    """Rows of features of a .npz, .npy or Parquet file; what else `table` reads is read by it.

    Args:
        path: of a .npz file with an array [n, F] and one of labels [n]; of a .npy file with an array [n, F], which is
            mapped into memory and not read whole if it is float32, and `labels`; or of a table with a column of
            vectors.
        vectors: name of the array, or of the column; None: the first of features, embeddings, vectors, x, X, arr_0 in a
            .npz file, and the column "features" of a table.
        label: name of the array or column of labels, integers or texts; None: the first of labels, label, y, targets,
            classes in a .npz file, and the column "label" of a table.
        labels: beside a .npy file, a file with its labels: .npy, or a text with one in each line.
        split, id, group: names of arrays or columns, see `table`; None: those called so, if they are there.
        test_fraction, validation_fraction, seed, fold, folds, unseen_classes: see `choose_rows`.

    Raises:
        ValueError: no such file or array, shapes that do not fit, numbers that are not finite, labels that are missing,
            classes that overlap or are too few.
    """
    path = Path(path).expanduser()
    shares: dict[str, Any] = {
        "unseen_classes": unseen_classes,
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
        "fold": fold,
        "folds": folds,
        "seed": seed,
    }
    if path.suffix.lower() in TABLES:
        columns: dict[str, Any] = {"features": vectors, "label": label or "label", "split": split, "id": id}
        return table(path, **columns, group=group, **shares)
    arrays = _read_arrays(path, labels)
    names = list(arrays)
    rows = _two_axes(arrays[_name(names, vectors, VECTORS, "vectors", path)], path)
    label_name = _name(names, label, LABELS, "label", path)
    class_of = _strings(arrays[label_name], len(rows), label_name, path)
    class_names, numbers = np.unique(np.array(class_of, object), return_inverse=True)
    found = {
        argument: _strings(arrays[there], len(rows), there, path)
        for argument, name in (("split", split), ("id", id), ("group", group))
        if (there := _name(names, name, (argument, f"{argument}s"), argument, path, optional=True))
    }
    given = rows_by_word(found["split"], path) if "split" in found else None
    chosen = choose_rows(numbers, given, **shares)
    missing = [name for name in ("train", "validation", "test") if name not in chosen]
    if missing:
        raise ValueError(f"{path}: the splits must name rows of {' and '.join(missing)}")
    ids = found.get("id") or [str(row) for row in range(len(rows))]
    captions = [f"row {key}" for key in ids]
    options: dict[str, Any] = {"ids": ids, "groups": found.get("group"), "unseen_classes": unseen_classes}
    return image_source(path.stem, class_names, rows, numbers, captions, chosen, kind="features", **options)


def arrays_of(path: Path) -> tuple[np.ndarray, list[str] | None, list[str]]:
    """(rows float32 [n, F], labels or None, ids) of a .npz file, see `features`."""
    arrays = _read_arrays(path, None)
    names = list(arrays)
    rows = _two_axes(arrays[_name(names, None, VECTORS, "vectors", path)], path)
    label, id = (_name(names, None, usual, "label", path, optional=True) for usual in (LABELS, ("id", "ids")))
    labels = _strings(arrays[label], len(rows), label, path) if label else None
    return rows, labels, _strings(arrays[id], len(rows), id, path) if id else [str(row) for row in range(len(rows))]


def _read_arrays(path: Path, labels: str | Path | None) -> dict[str, np.ndarray]:
    if not path.is_file() or path.suffix.lower() not in (".npz", ".npy"):
        what = "which does not exist" if not path.exists() else "which is none"
        raise ValueError(f"data.path must be a .npz, .npy, .parquet, .jsonl or .csv file, got {path}, {what}")
    if (labels is None) == (path.suffix.lower() == ".npy"):
        rule = "a .npy file needs its labels" if labels is None else "a .npz file has its labels in it"
        raise ValueError(f"data.labels must be the file of the labels of a .npy file; {rule}, got {labels}")
    try:
        if labels is None:
            with np.load(path) as file:
                return dict(file)
        labels = Path(labels).expanduser()
        if labels.suffix.lower() == ".npy":
            return {"features": np.load(path, mmap_mode="r"), "labels": np.load(labels)}
        lines = labels.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        return {"features": np.load(path, mmap_mode="r"), "labels": np.array(lines, str)}
    except (ValueError, OSError) as error:  # also pickles, which could run anything
        raise ValueError(f"data.path {path} and its labels cannot be read: {error}") from error


def _name(names: list[str], asked: str | None, usual: Sequence[str], argument: str, path: Path, optional=False) -> str:
    """Which array is meant; "" where there is none and none is asked for."""
    found = asked or next((name for name in usual if name in names), "")
    if (asked and asked not in names) or (not found and not optional):
        what = repr(asked) if asked else f"one of {', '.join(usual)}"
        raise ValueError(f"{path} has no array {what}, which data.{argument} asks for; it has {', '.join(names)}")
    return found


def _two_axes(rows: np.ndarray, path: Path) -> np.ndarray:
    """[n, F] float32, if it is numbers and all are finite."""
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.size:
        raise ValueError(f"{path}: features must be numbers [n, F], got {rows.dtype} {list(rows.shape)}")
    rows = rows if rows.dtype == np.float32 else rows.astype(np.float32)
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        wrong = start + np.flatnonzero(~np.isfinite(rows[start : start + step]).all(axis=1))
        if len(wrong):
            raise ValueError(f"{path}: features must be finite, and row {wrong[0]}, counted from 0, is not")
    return rows


def _strings(array: np.ndarray, count: int, name: str, path: Path) -> list[str]:
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "iubUS":
        raise ValueError(
            f"{path}: {name} must be integers or texts [{count}], one for each row of features, got {array.dtype} "
            f"{list(array.shape)}"
        )
    words = [word.decode() if isinstance(word, bytes) else str(word).strip() for word in array.reshape(-1).tolist()]
    if "" in words:
        raise ValueError(f"{path}: {name} is empty in row {words.index('')}, counted from 0")
    return words

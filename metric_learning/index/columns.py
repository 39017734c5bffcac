"""What is known of rows besides their vectors, in the form in which it is saved and read again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from metric_learning.data.items import some


def as_kept(
    ids: Iterable[object], labels: Iterable[Any] | None = None, metadata: Iterable[Any] | None = None
) -> dict[str, list[Any] | None]:
    """ "ids", "labels" and "metadata", as an index keeps them; None for what is not given.

    Args:
        ids: texts, or what has one, such as numbers; bytes are read as UTF-8.
        labels: likewise; None, NaN, NaT or NA where there is none.
        metadata: mappings of what JSON can hold, or NumPy's numbers and arrays, or None. As JSON has them, names become
            texts and tuples lists.

    Raises:
        ValueError: an id that is missing, a label of several, metadata that is no mapping or that JSON cannot hold.
    """
    names = [_text("ids", row, id) for row, id in enumerate(ids)]
    if None in names:
        raise ValueError(f"ids must be there for every item; row {names.index(None)} has none")
    return {
        "ids": names,
        "labels": None if labels is None else [_text("labels", row, label) for row, label in enumerate(labels)],
        "metadata": None if metadata is None else [_as_json(*both) for both in enumerate(metadata)],
    }


def check_lengths(columns: Mapping[str, Sequence[Any] | None], count: int, of: str) -> None:
    """Raises ValueError unless each column that is given has so many entries, one for each `of`."""
    for name, column in columns.items():
        if column is not None and len(column) != count:
            raise ValueError(f"{name} must be one for each of {count} {of}; got {len(column)}")


def check_ids(names: Sequence[str], known: Container[str]) -> None:
    """Raises ValueError if a name is there twice, or known already."""
    twice = [name for name, count in Counter(names).items() if count > 1 or name in known]
    if twice:
        raise ValueError(f"ids must be unique; {len(twice)} are there already {some(twice)}")


def _text(column: str, row: int, value: Any) -> str | None:
    if type(value) is str:
        return value
    if hasattr(value, "__array__"):  # of NumPy, or a tensor
        value = np.asarray(value)[()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Collection) and not isinstance(value, str | tuple):
        raise ValueError(f"{column} must be one text or number a row; row {row} is {value!r}")
    text = str(value)
    is_missing = value is None or not isinstance(value, str) and text.lower() in ("nan", "nat", "<na>")
    return None if is_missing else text


def _as_json(row: int, known: Any) -> dict[str, Any] | None:
    if known is None:
        return None
    if not isinstance(known, Mapping):
        raise ValueError(f"metadata must be dicts or None; row {row} is of type {type(known).__name__}")
    try:
        return json.loads(json.dumps(dict(known), default=_plain))
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be what JSON can hold; that of row {row} is not: {error}") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

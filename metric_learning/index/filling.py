"""A gallery of any size into an index: block by block, and what is done is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.index.columns import as_kept, check_ids, check_lengths
from metric_learning.index.folder import check_unchanged
from metric_learning.index.index import Index

_BLOCK = 2**16  # items that are embedded and saved together


def fill(
    index: Index,
    embed: Callable[[Any], np.ndarray],
    items: Any,
    ids: Sequence[object],
    *,
    labels: Sequence[object] | None = None,
    metadata: Sequence[Mapping[str, Any] | None] | None = None,
    rows: Sequence[int] | None = None,
    skip_unreadable: bool = False,
    folder: str | Path | None = None,
) -> None:
    """Embeds items and adds them.

    Args:
        index: see `Index`.
        embed: gives float32 [n, D] of items.
        items: m of them, an array or something with a length and items.
        ids, labels, metadata: [m], see `Index.add`.
        rows: which of the items; None: all.
        skip_unreadable: leave out items whose embedding is not finite.
        folder: where the index is saved, each 65,536 items, after which their vectors are no longer in memory, and at
            the end; what was saved when an error or a kill ends it stays. None: nowhere, and all or none are added.

    Raises:
        ValueError: lengths or ids that do not fit, before anything is embedded; and as `embed`, `Index.add`, `save`.
    """
    known: Any = as_kept(ids, labels, metadata)
    check_lengths(known, len(items), "items")
    rows = range(len(items)) if rows is None else rows
    check_ids([known["ids"][row] for row in rows], index)
    if folder is not None:
        check_unchanged(Path(folder), index.known(folder))
    size = len(rows) if folder is None else _BLOCK
    for start in range(0, max(1, len(rows)), max(1, size)):
        if start and folder is not None:
            index.save(folder, learn=False)
        block = list(rows[start : start + size])
        found = embed(items if block == list(range(len(items))) else _some(items, block))
        if skip_unreadable:
            whole = np.isfinite(found).all(axis=1)
            found, block = found[whole], [row for row, is_whole in zip(block, whole, strict=True) if is_whole]
        if block or len(rows) <= size:  # of a gallery of which nothing can be read, `add` says it
            index.add(found, **{name: column and _some(column, block) for name, column in known.items()})
    if folder is not None:
        index.save(folder)


def _some(column: Any, rows: list[int]) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]

"""Which rows are one item, by their ids, and which items are copies of each other, by what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence, Sized
from functools import lru_cache
from itertools import combinations
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from metric_learning.data.split import Split

if TYPE_CHECKING:  # which imports this module
    from metric_learning.data.source import DataSource


def path_ids(paths: Iterable[str | Path], root: Path) -> tuple[str, ...]:
    """An id for each file, the same for `a.png`, `./a.png` and a link to it: the resolved path.

    Below `root` the path from there, so that data moved with their folder keep their ids.
    """
    resolve_folder = lru_cache(maxsize=None)(os.path.realpath)
    start = os.path.join(os.path.realpath(root), "")
    ids = []
    for path in paths:
        folder, name = os.path.split(os.fspath(path))
        resolved = os.path.join(resolve_folder(folder), name)
        if os.path.islink(resolved):
            resolved = os.path.realpath(resolved)
        ids.append(printable(resolved.removeprefix(start)).replace(os.sep, "/"))
    return tuple(ids)


def path_in(folder: Path, name: str) -> Path:
    """Where a file is that a table in a folder names; a name that was written on Windows has separators of its own."""
    path = folder / name
    return folder / PureWindowsPath(name).as_posix() if "\\" in name and not os.path.exists(path) else path


def printable(name: str) -> str:
    """A file name in characters alone: bytes that are not UTF-8 become escapes, such as `caf\\xe9.png`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def contents(split: Split, kind: str) -> list[str]:
    """[n] 64-bit hashes, in hexadecimal: equal for equal images, or texts of equal spelling.

    A text goes by its caption, since its tokens depend on the vocabulary, and so on other texts. What the split knows
    by itself is taken from there.
    """
    if split.contents is not None:
        return list(split.contents)
    rows: Any
    if kind == "texts":
        rows = (caption.encode("utf-8", "surrogatepass") for caption in split.captions)
    else:
        parts = (np.ascontiguousarray(split.inputs[i : i + 256]) for i in range(0, len(split), 256))
        rows = (row for part in parts for row in part.reshape(len(part), -1))
    return [hash_of(row) for row in rows]


def hash_of(content: Any) -> str:
    """64 bits of bytes, or of an array whose values lie one after the other, in hexadecimal."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def shared_items(splits: dict[str, Split]) -> dict[tuple[str, str], np.ndarray]:
    """Pairs of split names -> the rows of the second whose items are in the first as well, where there are any.

    Queries may be in their gallery: those two are no such pair.
    """
    found = {}
    for (name, split), (other_name, other) in combinations(splits.items(), 2):
        if (name, other_name) != ("test", "gallery") and split.ids is not None and other.ids is not None:
            here = set(split.ids)
            found[name, other_name] = np.flatnonzero([key in here for key in other.ids])
    return {names: rows for names, rows in found.items() if len(rows)}


def repeated_items(splits: dict[str, Split]) -> dict[str, np.ndarray]:
    """Split name -> the rows whose item stands in an earlier row of that split, where there are any."""
    found = {}
    for name, split in splits.items():
        first: dict[str, int] = {}
        found[name] = np.flatnonzero([first.setdefault(key, row) != row for row, key in enumerate(split.ids or ())])
    return {name: rows for name, rows in found.items() if len(rows)}


def copies(splits: dict[str, Split], hashes: dict[str, list[str]]) -> dict[tuple[str, str], np.ndarray]:
    """Copies of other items: what a search finds for nothing, or the test has in common with training.

    Args:
        splits: name -> split.
        hashes: name -> `contents` of the split.

    Returns:
        Pairs of split names, also of a name with itself -> the rows of the second split that are copies of other items
        of the first; only where there are any.
    """
    rows_of = {name: list(zip(hashes[name], _keys(name, split), strict=True)) for name, split in splits.items()}
    items_with: dict[str, dict[str, set[Any]]] = {name: {} for name in splits}
    for name, rows in rows_of.items():
        for content, key in rows:
            items_with[name].setdefault(content, set()).add(key)
    found = {}
    for name, other in [*combinations(splits, 2), *((name, name) for name in splits)]:
        items = items_with[name]
        is_copy = [content in items and items[content] != {key} for content, key in rows_of[other]]
        found[name, other] = np.flatnonzero(is_copy)
    return {names: rows for names, rows in found.items() if len(rows)}


def _keys(name: str, split: Split) -> Sequence:
    """[n] the ids of a split; without any, something that no other split has."""
    return [(name, row) for row in range(len(split))] if split.ids is None else split.ids


def check_items(source: DataSource) -> str:
    """In one line, what a person should know about the items of a `DataSource`; "" if there is nothing.

    Raises:
        ValueError: an item is in two splits that share no class.
    """
    splits = source.splits

    def rows_in_words(rows, split_name, one, more):
        names = some(splits[split_name].captions[row] for row in rows)
        return f"{count(rows, 'item')} of {split_name} {names} {one if len(rows) == 1 else more}"

    said = [
        rows_in_words(rows, other, f"is in {name} as well", f"are in {name} as well")
        for (name, other), rows in shared_items(splits).items()
    ]
    if said and source.unseen_classes:
        raise ValueError(f"{source.name}: {'; '.join(said)}; an item must be in one split only")
    for name, rows in repeated_items(splits).items():
        said.append(rows_in_words(rows, name, "is listed again", "are listed again"))
    if source.warn_about_copies:
        within = {"validation", "test"} if source.gallery is None else {"validation"}
        for (name, other), rows in copies(splits, source.contents).items():
            if name != other or name in within:
                of = f"of another item of {name}", f"of other items of {name}"
                said.append(rows_in_words(rows, other, f"is a copy {of[0]}", f"are copies {of[1]}"))
    return "; ".join(said)


def count(things: Sized, what: str) -> str:
    """Such as "1,204 items" or "1 class"."""
    plural = "es" if what.endswith("s") else "s"
    return f"{len(things):,} {what}{plural * (len(things) != 1)}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Such as "(ant, bee, cat, ...)"."""
    names = list(dict.fromkeys(names))
    return f"({', '.join(names[:most] + ['...'] * (len(names) > most))})"

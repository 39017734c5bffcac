"""The folder of an index, which one process at a time may write, and only over what it has read there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from metric_learning.run_folder import Claim

ABOUT = "index.json"
LOCK = ".lock"  # while an index is saved
FILLING = ".filling"  # while a program reads, changes and saves it
_UNFINISHED = (".unfinished-", "vectors-", "rows-", "learned-")  # of a first `save` that was killed


@contextlib.contextmanager
def claimed(folder: Path, lock: str = LOCK) -> Iterator[None]:
    """Keeps the folder from other processes that ask for the same lock; it is made, and taken away if it stays empty.

    Raises:
        ValueError: another process has it, or it holds something else than an index.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ABOUT).exists():
        for path in folder.iterdir():
            if not path.name.startswith((*_UNFINISHED, LOCK, FILLING)):
                raise ValueError(f"the folder of an index must be empty or hold one; {folder} holds something else")
    claim = Claim(folder, lock)
    try:
        yield
    finally:
        claim.release()
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def written(folder: Path) -> str | None:
    """What tells this state of the index from others, none of whose files have the same names; None: no index."""
    try:
        return (folder / ABOUT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def check_unchanged(folder: Path, known: str | None) -> None:
    """Raises ValueError unless `written` is what it was."""
    now = written(folder)
    if now is None or now == known:
        return
    if known is None:
        raise ValueError(f"there is another index in {folder}; load it and add to it, or save with replace=True")
    raise ValueError(f"somebody else has written the index in {folder} since it was loaded; load it again")


def remove_others(folder: Path, names: Collection[str]) -> None:
    """Removes what belongs to no current file of the index: old files, and what a killed process has left.

    Args:
        folder: claimed.
        names: parts of the names of files that stay.
    """
    for path in folder.iterdir():
        if path.name not in (ABOUT, LOCK, FILLING) and not any(name in path.name for name in names):
            path.unlink()

"""A folder that appears complete or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from metric_learning.data.items import some
from metric_learning.encoder_files import read_json

ABOUT_EXPORT = "export.json"


def check_free(out: str | Path) -> Path:
    """The folder to write to, if nothing is lost by it.

    Raises:
        ValueError: a file, or a folder with something else in it than an export, be it beside one.
    """
    path = Path(out).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(f"out must be a folder; {path} is a file")
    there = {each.name for each in path.iterdir()} if path.is_dir() else set()
    others = sorted(there - set(read_json(path / ABOUT_EXPORT).get("files", [])))
    if others:
        raise ValueError(
            f"out must be a new or empty folder, or that of an earlier export; {path} holds something else "
            f"{some(others)}"
        )
    return path


@contextlib.contextmanager
def folder_in_one_move(out: Path) -> Iterator[Path]:
    """Gives a folder to fill that then takes the place of `out`; if that fails, what was there before stays."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished, old = (out.with_name(f".{what}-{out.name}-{os.getpid()}") for what in ("unfinished", "old"))
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        if out.exists():
            out.rename(old)
        try:
            unfinished.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)

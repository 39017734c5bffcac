"""Files that appear complete or not at all, whatever ends the process that writes them."""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any


def write_json(path: str | pathlib.Path, data: Any, indent: int = 2) -> None:
    """Writes plain data as JSON, each level indented by so many blanks, see `write_whole`."""
    write_whole(path, json.dumps(data, indent=indent, ensure_ascii=False) + "\n")


def write_whole(path: str | pathlib.Path, text: str) -> None:
    """Writes a text file in one move, see `in_one_move`.

    UTF-8 on every machine; of a file name that is not, as the system hands it over, escapes stand for the odd bytes.
    """
    with in_one_move(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def in_one_move(path: str | pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a path to write a file to that then takes the place of `path`: complete, or what was there before stays.

    It lies beside `path` and ends as `path` does, which is how Keras and others tell formats.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:  # Ctrl-C too
        unfinished.unlink(missing_ok=True)  # half a file on a full disk, which would keep it full
        raise

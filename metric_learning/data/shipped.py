"""The data files that ship with the package, checked before they are read."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

FOLDER = resources.files("metric_learning.data") / "emoji"


def read_shipped(name: str, folder: Path | Traversable | None = None) -> bytes:
    """Contents of the shipped file `name`, after comparing its SHA-256 with `SHA256SUMS`.

    Args:
        name: file name, such as "images.npz".
        folder: where the files and their `SHA256SUMS` are; None: in the package.

    Raises:
        ValueError: the file or its checksum is missing, or they do not agree.
    """
    folder = FOLDER if folder is None else folder
    remedy = "restore it from the repository, or make it again with scripts/build_emoji.py"
    try:
        sums = (folder / "SHA256SUMS").read_text(encoding="ascii")
        contents = (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"data file {error.filename} is missing; {remedy}") from error
    expected = {file: digest for digest, file in map(str.split, sums.splitlines())}.get(name)
    got = hashlib.sha256(contents).hexdigest()
    if got != expected:
        raise ValueError(f"data file {folder / name} is corrupt: expected SHA-256 {expected}, got {got}; {remedy}")
    return contents

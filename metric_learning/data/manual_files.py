"""Files downloaded by hand for TFDS: found, checked and, where only a header differs, mended."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path

# When the publishers of Fashion-MNIST compressed its files. Debian's dataset-fashion-mnist writes
# the gzip headers anew, with its own time and no name, and so loses the published checksums.
_PUBLISHED_GZIP_TIMES = {
    "train-images-idx3-ubyte.gz": 1504176606,
    "train-labels-idx1-ubyte.gz": 1504176606,
    "t10k-images-idx3-ubyte.gz": 1504176627,
    "t10k-labels-idx1-ubyte.gz": 1504176627,
}
_PLAIN_HEADER = b"\x1f\x8b\x08\x00"  # gzip, deflate, no optional fields
_NAMED_HEADER = b"\x1f\x8b\x08\x08"  # the same with a file name
_HEADER_SIZE = 10


def restore_gzip_header(contents: bytes, name: str) -> bytes:
    """The file as it was published, if only its gzip header was written anew.

    Args:
        contents: a gzip file.
        name: its published file name, such as "train-images-idx3-ubyte.gz".

    Returns:
        The contents with the published name and time in the header; unchanged if the name is not
        one of Fashion-MNIST's, or the header already has optional fields.
    """
    time = _PUBLISHED_GZIP_TIMES.get(name)
    if time is None or not contents.startswith(_PLAIN_HEADER):
        return contents
    inner_name = name.removesuffix(".gz").encode("ascii")
    header = _NAMED_HEADER + struct.pack("<I", time) + b"\x00\x03" + inner_name + b"\x00"
    return header + contents[_HEADER_SIZE:]


def collect_manual_files(manual_dir: str | Path, checksums: Mapping[str, str], mended_dir: str | Path) -> Path:
    """Make sure that every file is there as published, so that nothing needs the network.

    Args:
        manual_dir: where the files are.
        checksums: file name -> SHA-256 of the published file.
        mended_dir: where the files go if a header has to be restored; `manual_dir` is never
            written to.

    Returns:
        The folder to read from: `manual_dir`, or `mended_dir` with all the files.

    Raises:
        ValueError: files are missing, or differ from the published ones by more than a header.
    """
    manual_dir, mended_dir = Path(manual_dir).expanduser(), Path(mended_dir)
    missing = [name for name in checksums if not (manual_dir / name).is_file()]
    if missing:
        raise ValueError(f"manual_dir {manual_dir} lacks {_first(missing)}")
    mended = {}
    for name, checksum in checksums.items():
        contents = (manual_dir / name).read_bytes()
        got = hashlib.sha256(contents).hexdigest()
        if got != checksum:
            mended[name] = restore_gzip_header(contents, name)
            if hashlib.sha256(mended[name]).hexdigest() != checksum:
                raise ValueError(
                    f"{manual_dir / name} is not the published file: expected SHA-256 {checksum}, got {got}"
                )
    if not mended:
        return manual_dir
    mended_dir.mkdir(parents=True, exist_ok=True)
    for name in checksums:
        contents = mended.get(name) or (manual_dir / name).read_bytes()
        (mended_dir / name).write_bytes(contents)
    return mended_dir


def _first(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))

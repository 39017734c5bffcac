"""Image files as inputs: all in memory, or decoded when they are asked for, once for all runs or every time."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import psutil
from tqdm import tqdm

from metric_learning.data import deep_images
from metric_learning.data import images as decoder
from metric_learning.data.boxes import WHOLE, hashes_with_boxes, with_boxes
from metric_learning.data.disk_cache import DiskCache
from metric_learning.data.images import check_image_options, decode_images, refuse_or_warn
from metric_learning.data.random_access import RandomAccess, take
from metric_learning.read_ahead import read_ahead

CACHES = ("auto", "memory", "disk", "none")
CONTAINER = Path("/sys/fs/cgroup")
HASHES = "hashes.npy"


def open_images(
    paths: Sequence[str | Path],
    image_size: int | Sequence[int] = (32, 32),
    *,
    channels: int = 3,
    fit: str = "letterbox",
    skip_unreadable: bool = False,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
    boxes: np.ndarray | None = None,
) -> tuple[np.ndarray | RandomAccess, np.ndarray, np.ndarray]:
    """Image files as one array, or as inputs that are decoded when they are asked for.

    Args:
        paths: the files.
        image_size, channels, fit: see `fit_image`.
        skip_unreadable: leave unreadable files out with a warning, rather than raise; it means to decode all of them
            now, those that are in the cache excepted.
        cache: "memory": decode all now and keep them in memory. "disk": decode a file when it is asked for and keep it
            in a file, from which this run and later ones take it. "none": decode it whenever it is asked for. "auto":
            memory, if a quarter of the memory that is free will do, and otherwise disk.
        cache_dir: where "disk" keeps its files; None: `metric_learning` in `$XDG_CACHE_HOME` or `~/.cache`. Each set of
            files and options has a folder of its own there, which may be removed at any time.
        boxes: int64 [n, 4], the part of each image, see `fit_image`, WHOLE for all of it; None: all of all.

    Returns:
        (images, readable, hashes): uint8 [m, height, width, channels] of the m readable files, bool [n], which of the
        paths they are, and str [m], hashes of the files, see `hash_file`. Without `skip_unreadable`, all that are not
        decoded now count as readable.

    Raises:
        ValueError: an argument is not as above, files that are missing, or cannot be read. What is decoded later may
            raise it later.
    """
    if cache not in CACHES:
        raise ValueError(f"cache must be one of {', '.join(CACHES)}; got {cache!r}")
    height, width = check_image_options(image_size, channels, fit)
    options: dict[str, Any] = {"image_size": (height, width), "channels": channels, "fit": fit}
    needed = len(paths) * height * width * channels
    if cache == "auto":
        cache = "memory" if needed <= free_memory() / 4 else "disk"
    files = [os.path.abspath(path) for path in paths]
    states = _states(files)

    def decode(rows):
        parts = None if boxes is None else [None if box[0] == WHOLE else box for box in boxes[rows].tolist()]
        return decode_images([files[row] for row in rows], **options, boxes=parts)

    def decode_whole(rows):
        found, problems = decode(rows)
        refuse_or_warn({files[rows[i]]: problem for i, problem in problems.items()}, len(rows), False)
        return found

    inputs: RandomAccess | np.ndarray = RandomAccess(decode_whole, len(files), (height, width, channels), np.uint8)
    now = np.flatnonzero(states["size"] < 0)
    keep: Callable[[np.ndarray, np.ndarray], None] | None = None
    if cache == "memory":
        inputs = np.empty(inputs.shape, np.uint8)
        now, keep = np.arange(len(files)), inputs.__setitem__
    elif cache == "disk":
        folder = Path(cache_dir or default_cache_dir()).expanduser() / _key(files, states, options, boxes)
        kept = DiskCache(folder, inputs, lambda rows: _states([files[row] for row in rows]) == states[rows])
        inputs, keep = kept.inputs, kept.keep
        there = len(files) - len(kept.missing)
        print(f"decoded images are kept in {folder}: {there:,} of {len(files):,} so far", file=sys.stderr)
    if cache != "memory" and skip_unreadable:
        now = kept.missing if cache == "disk" else np.arange(len(files))
    problems = _decode_now(decode, now, keep)
    named = list(map(str, paths)) if boxes is None else with_boxes(list(map(str, paths)), boxes)
    refuse_or_warn({named[row]: problem for row, problem in problems.items()}, len(paths), skip_unreadable)
    readable = np.ones(len(paths), bool)
    readable[list(problems)] = False
    hashes = _hashes(files, folder / HASHES if cache == "disk" else None)
    if boxes is not None:
        hashes = np.array(hashes_with_boxes(hashes.tolist(), boxes))
    return (take(inputs, np.flatnonzero(readable)) if problems else inputs), readable, hashes[readable]


def _decode_now(decode, rows: np.ndarray, keep=None) -> dict[int, str]:
    """Decodes files.

    Args:
        decode: see `decode_images`, of rows.
        rows: int64 [m].
        keep: called with rows and images that could be read.

    Returns:
        Row -> why it cannot be read.
    """
    problems: dict[int, str] = {}
    for chunk, (images, wrong) in _in_chunks(rows, "decode", decode):
        fine = np.setdiff1d(np.arange(len(chunk)), list(wrong))
        if keep is not None:
            keep(chunk[fine], images[fine])
        problems |= {int(chunk[i]): problem for i, problem in wrong.items()}
    return problems


def _hashes(files: Sequence[str], kept_in: Path | None) -> np.ndarray:
    """[n] str, `hash_file` of each, from where an earlier run has kept them."""
    if kept_in is not None and kept_in.exists():
        return np.load(kept_in).astype(str)
    hashes = np.zeros(len(files), "S16")
    for rows, found in _in_chunks(np.arange(len(files)), "hash", lambda rows: [hash_file(files[row]) for row in rows]):
        hashes[rows] = found
    if kept_in is not None:
        unfinished = kept_in.with_name(f"{os.getpid()}.unfinished.npy")
        np.save(unfinished, hashes)
        unfinished.replace(kept_in)
    return hashes.astype(str)


def hash_file(path: str | Path) -> str:
    """64 bits in hexadecimal, equal for equal files; "" for one that cannot be read.

    Of a file of more than 12 KB its size, and 4 KB from its beginning, its middle and its end: two images that were
    compressed differ there if they differ anywhere, and a hundred thousand of them are looked at in seconds.
    """
    part = 2**12
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # or else a pipe would be waited for
        try:
            size = os.fstat(file).st_size
            digest = hashlib.blake2b(b"%d" % size, digest_size=8)
            for start in (0, (size - part) // 2, size - part) if size > 3 * part else (0,):
                digest.update(os.pread(file, part if size > 3 * part else size, start))
        finally:
            os.close(file)
    except OSError:
        return ""
    return digest.hexdigest()


def _in_chunks(rows: np.ndarray, what: str, work: Callable) -> Iterator[tuple[np.ndarray, Any]]:
    """Yields some hundred rows at a time and what became of them; done ahead in threads, with a progress bar."""
    chunks = np.array_split(rows, -(-len(rows) // 256)) if len(rows) else []
    results = read_ahead(lambda i: work(chunks[i]), len(chunks))
    every = 0.5 if sys.stderr.isatty() else 10.0
    style = {"delay": 1.0, "leave": False, "dynamic_ncols": True, "mininterval": every}
    with tqdm(total=len(rows), desc=what, unit=" images", **style) as bar:
        for chunk, result in zip(chunks, results, strict=True):
            yield chunk, result
            bar.update(len(chunk))


def default_cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "metric_learning"


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, or of the container it runs in."""
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CONTAINER / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return max(0, min(free, limit - used))


def _states(files: Sequence[str]) -> np.ndarray:
    """Size and time of last change of each file, as one value: [n] of a structured dtype."""
    states = np.zeros(len(files), [("size", np.int64), ("time", np.int64)])
    for i, file in enumerate(files):
        try:
            found = os.stat(file)
            states[i] = found.st_size, found.st_mtime_ns
        except OSError:
            states[i] = -1, -1
    return states


def decoder_version() -> bytes:
    """Other bytes for another decoder: its code here, and the version of Pillow."""
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (decoder, deep_images))
    return code + PIL.__version__.encode("ascii")


def _key(files, states, options, boxes) -> str:
    """Another name for other files, other contents, and whatever else would decode to other pixels."""
    about = "\0".join([*files, repr(options)]).encode("utf-8", "surrogateescape")
    parts = [decoder_version(), about, states.tobytes(), b"" if boxes is None else boxes.tobytes()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    root = Path(os.path.commonpath([min(files), max(files)]))
    size = "x".join(map(str, options["image_size"]))
    return f"{root.name}-{size}-{digest[:16]}"

"""Image files as inputs: all in memory, or decoded when they are asked for, once for all runs or every time."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import psutil
from tqdm import tqdm

from metric_learning.cache_dir import default_cache_dir
from metric_learning.data import deep_images, plain_png
from metric_learning.data import images as decoder
from metric_learning.data.boxes import WHOLE, hashes_with_boxes, with_boxes
from metric_learning.data.disk_cache import DiskCache
from metric_learning.data.file_ends import look_at
from metric_learning.data.images import check_image_options, decode_images
from metric_learning.data.random_access import RandomAccess, take
from metric_learning.data.unreadable import refuse_late, refuse_or_warn
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
        paths they are, and str [m], hashes of the files, see `look_at`. Without `skip_unreadable`, all that are not
        decoded now count as readable.

    Raises:
        ValueError: an argument is not as above, files that are missing, or cannot be read: all of them at once, but for
            those that look whole and are not, see `look_at`.
        OSError: later, one of these is to be decoded; of "disk" all that is left is decoded then, so that one error
            names the rest.
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
    named = list(map(str, paths)) if boxes is None else with_boxes(list(map(str, paths)), boxes)

    def decode(rows):
        parts = None if boxes is None else [None if box[0] == WHOLE else box for box in boxes[rows].tolist()]
        return decode_images([files[row] for row in rows], **options, boxes=parts)

    late: dict[int, str] = {}
    one_at_a_time = threading.Lock()

    def decode_whole(rows):
        found, problems = decode(rows)
        if problems:
            with one_at_a_time:  # many threads may come to such a file
                late.update({int(rows[i]): problem for i, problem in problems.items()})
                if cache == "disk":
                    left = np.setdiff1d(kept.missing, list(late))
                    late.update(_decode_now(decode, left, keep))
                    _save(folder / HASHES, hashes, late)
                refuse_late({named[row]: late[row] for row in sorted(late)})
        return found

    inputs: RandomAccess | np.ndarray = RandomAccess(decode_whole, len(files), (height, width, channels), np.uint8)
    keep: Callable[[np.ndarray, np.ndarray], None] | None = None
    if cache == "memory":
        inputs = np.empty(inputs.shape, np.uint8)
        keep = inputs.__setitem__
    elif cache == "disk":
        folder = Path(cache_dir or default_cache_dir()).expanduser() / _key(files, states, options, boxes)
        kept = DiskCache(folder, inputs, lambda rows: _states([files[row] for row in rows]) == states[rows])
        inputs, keep = kept.inputs, kept.keep
        there = len(files) - len(kept.missing)
        print(
            f"decoded images are kept in {folder}, {needed / 1e9:,.2f} GB when all are there: "
            f"{there:,} of {len(files):,} so far",
            file=sys.stderr,
        )
    hashes, doubtful = _hashes(files, folder / HASHES if cache == "disk" else None)
    now = doubtful
    if cache == "memory" or (skip_unreadable and cache == "none"):
        now = np.arange(len(files))
    elif skip_unreadable:
        now = kept.missing
    problems = _decode_now(decode, now, keep)
    if cache == "disk":
        _save(folder / HASHES, hashes, problems)
    refuse_or_warn({named[row]: problem for row, problem in problems.items()}, len(paths), skip_unreadable)
    readable = np.ones(len(paths), bool)
    readable[list(problems)] = False
    contents = hashes if boxes is None else np.array(hashes_with_boxes(hashes.tolist(), boxes))
    return (take(inputs, np.flatnonzero(readable)) if problems else inputs), readable, contents[readable]


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


def _hashes(files: Sequence[str], kept_in: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """([n] str, rows): the hash of each file, see `look_at`, from where an earlier run has kept them; and those that
    may be unreadable, or were when that run looked."""
    hashes = np.zeros(len(files), "U16")
    seen_before = False
    if kept_in is not None and kept_in.exists():
        hashes, seen_before = np.load(kept_in).astype(str), True
    doubtful = np.flatnonzero(hashes == "")
    whole = np.zeros(len(files), bool)
    for rows, found in _in_chunks(doubtful, "look at", lambda rows: [look_at(files[row]) for row in rows]):
        hashes[rows] = [key for key, _ in found]
        whole[rows] = [not seen_before and looks_whole for _, looks_whole in found]
    return hashes, doubtful[~whole[doubtful]]


def _save(kept_in: Path, hashes: np.ndarray, unreadable: Iterable[int]) -> None:
    """Keep the hashes of the files, but of those that cannot be read, so that the next run looks at them at once."""
    kept = hashes.astype("S16")
    kept[list(unreadable)] = b""
    unfinished = kept_in.with_name(f"{os.getpid()}.unfinished.npy")
    np.save(unfinished, kept)
    unfinished.replace(kept_in)


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
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (decoder, deep_images, plain_png))
    return code + PIL.__version__.encode("ascii")


def _key(files, states, options, boxes) -> str:
    """Another name for other files, other contents, and whatever else would decode to other pixels."""
    about = "\0".join([*files, repr(options)]).encode("utf-8", "surrogateescape")
    parts = [decoder_version(), about, states.tobytes(), b"" if boxes is None else boxes.tobytes()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    root = Path(os.path.commonpath([min(files), max(files)]))
    size = "x".join(map(str, options["image_size"]))
    return f"{root.name}-{size}-{digest[:16]}"

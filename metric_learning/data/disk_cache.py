"""Items that take long to read, kept in a file once they have been read, for this run and all that follow."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.random_access import RandomAccess

ITEMS, CHECKSUMS = "items.npy", "checksums.npy"


class DiskCache:
    """A file of items, filled as they are read; several processes may fill it and read it at once.

    Beside the items lies a checksum of each, 0 for one that is not there yet. It is written after the item and compared
    whenever the item is read, so what a kill, a full disk or a power cut left half-written is read anew, never used.
    Two processes that read an item at the same time write the same bytes to the same place. Reading and writing go
    through `pread` and `pwrite`, not through a memory map, whose pages would count as memory of the process, and which
    ends it when the disk is full.

    Args:
        folder: of this cache alone; made if it is not there, in one move.
        inputs: what is read where the file has no item; a thread may read it while another does.
        is_current: function from rows [m] to bool [m]: whether the items still are what they were when `folder` was
            chosen for them. Those that are not are read, but not kept. None: they always are.

    Raises:
        ValueError: a disk without room for all items, or a folder that cannot be written.
    """

    def __init__(
        self, folder: str | Path, inputs: Any, is_current: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.folder = Path(folder)
        self._source, self._is_current = inputs, is_current
        self._item_shape, self._dtype = inputs.shape[1:], np.dtype(inputs.dtype)
        self._item_bytes = int(np.prod(self._item_shape)) * self._dtype.itemsize
        if not (self.folder / CHECKSUMS).exists():
            _make(self.folder, inputs.shape, self._dtype)
        items = np.load(self.folder / ITEMS, mmap_mode="r")  # never touched: only to learn where the first item begins
        if items.shape != tuple(inputs.shape) or items.dtype != self._dtype:
            raise ValueError(f"{self.folder} holds other items than those to be read; remove it")
        self._first_byte = items.offset
        # Opened for good, so that the folder may be removed meanwhile.
        self._file = os.open(self.folder / ITEMS, os.O_RDWR)
        self._checksums = np.load(self.folder / CHECKSUMS, mmap_mode="r+")
        self._may_write = threading.Event()
        self._may_write.set()

    def __del__(self):
        if hasattr(self, "_file"):
            os.close(self._file)

    @property
    def inputs(self) -> RandomAccess:
        """The items, from the file where it has them."""
        return RandomAccess(self._read, len(self._checksums), self._item_shape, self._dtype)

    @property
    def missing(self) -> np.ndarray:
        """Rows of the items that are not in the file yet, int64, ascending."""
        return np.flatnonzero(self._checksums == 0)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self._item_shape), self._dtype)
        there = np.array([self._read_item(row, found[i]) for i, row in enumerate(rows)], bool)
        if not there.all():
            absent, places = np.unique(rows[~there], return_inverse=True)
            items = np.ascontiguousarray(self._source[absent])
            found[~there] = items[places]
            self.keep(absent, items)
        return found

    def _read_item(self, row: int, item: np.ndarray) -> bool:
        """Reads an item to where it belongs; False if it is not in the file, or damaged there."""
        expected = int(self._checksums[row])
        if not expected:
            return False
        place = self._first_byte + int(row) * self._item_bytes
        buffer = item.data.cast("B")
        return os.preadv(self._file, [buffer], place) == self._item_bytes and _checksum(buffer) == expected

    def keep(self, rows: np.ndarray, items: np.ndarray) -> None:
        """Write items [m, ...] that were read, of those rows [m], unless the disk is full; that is warned of once."""
        if not self._may_write.is_set():
            return
        if self._is_current is not None:
            current = self._is_current(rows)
            rows, items = rows[current], items[current]
        try:
            for row, item in zip(rows, items, strict=True):
                buffer = item.data.cast("B")
                if os.pwrite(self._file, buffer, self._first_byte + int(row) * self._item_bytes) == self._item_bytes:
                    self._checksums[row] = _checksum(buffer)
        except OSError as error:
            self._may_write.clear()
            warnings.warn(f"the cache {self.folder} is no longer filled: {error.strerror}", stacklevel=2)


def _checksum(buffer: memoryview) -> int:
    """CRC-32, never 0."""
    return zlib.crc32(buffer) or 1


def _make(folder: Path, shape, dtype: np.dtype) -> None:
    """Makes the files, without items, elsewhere, and moves them to their place at once."""
    needed = int(np.prod(shape)) * dtype.itemsize + 4 * shape[0]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if needed > free:
            raise ValueError(
                f"the cache needs {needed / 1e9:,.1f} GB in {folder.parent}, where {free / 1e9:,.1f} GB are free; "
                "set data.cache_dir to another disk, or choose another data.cache"
            )
        unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".unfinished", dir=folder.parent))
        # Files with holes: room is taken as the items come.
        for name, file_shape, file_dtype in ((ITEMS, shape, dtype), (CHECKSUMS, shape[:1], np.uint32)):
            np.lib.format.open_memmap(unfinished / name, "w+", file_dtype, tuple(file_shape)).flush()
        unfinished.chmod(0o755)
    except OSError as error:
        raise ValueError(
            f"data.cache_dir must be a folder that can be written, got {folder.parent}: {error.strerror}"
        ) from None
    try:
        unfinished.rename(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(unfinished)

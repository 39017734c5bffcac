"""The images of a set of TensorFlow Datasets: in memory, or in a file that is filled once, for sets that memory cannot
hold."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from metric_learning.cache_dir import default_cache_dir
from metric_learning.data.disk_cache import DiskCache
from metric_learning.data.image_files import decoder_version, free_memory
from metric_learning.data.images import check_image_options, fit_image
from metric_learning.data.items import hash_of
from metric_learning.data.random_access import RandomAccess

CACHES = ("auto", "memory", "disk")
FACTS = "facts.npy"
_CHUNK = 256


def read_images(
    tfds: Any,
    builder: Any,
    splits: Sequence[str],
    keys: tuple[str, str],
    image_size: int | Sequence[int] | None = None,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
) -> tuple[np.ndarray | RandomAccess, np.ndarray, list[str] | None]:
    """The images of some splits, one split after the other, each in the order of its files.

    TFDS gives the items of most sets only one after the other. On disk they are therefore read once, from the first to
    the last, into a `DiskCache`; a run that is killed meanwhile goes on where it was.

    Args:
        tfds: the library.
        builder: of a set that is prepared.
        splits: their names in the set.
        keys: names of the features that are the image and the label.
        image_size: (height, width), or one number for both; None: as they are, which must be of one size.
        cache: "memory", "disk", or "auto": memory, if a quarter of the memory that is free will do.
        cache_dir: where "disk" keeps its files; None: `metric_learning` in `$XDG_CACHE_HOME` or `~/.cache`.

    Returns:
        (images, labels, hashes): uint8 [n, height, width, channels], int64 [n], and n hashes, equal for equal images,
        or None for images in memory.

    Raises:
        ValueError: an argument is not as above, images of several sizes without `image_size`, or of more than 8 bits.
    """
    if cache not in CACHES:
        raise ValueError(f"cache must be one of {', '.join(CACHES)}; got {cache!r}")
    feature = builder.info.features[keys[0]]
    if np.dtype(feature.np_dtype) != np.uint8:
        raise ValueError(f"the images of {builder.name} must have 8 bits; they are {np.dtype(feature.np_dtype)}")
    shape = feature.shape
    channels = shape[-1] or 3
    if image_size is not None:
        shape = *check_image_options(image_size, channels, "letterbox"), channels
    elif None in shape:
        raise ValueError(
            f"the images of {builder.name} have the shape {shape}; set image_size=(height, width) to bring them to one"
        )
    size = None if image_size is None else shape[:2]
    infos = [builder.info.splits[split] for split in splits]
    ends = list(itertools.accumulate(info.num_examples for info in infos))
    count = ends[-1]

    def chunks(first: int = 0, last: int = count) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images and labels of the rows from `first` to `last`, some hundred at a time."""
        for split, begin, end in zip(splits, [0, *ends[:-1]], ends, strict=True):
            low, high = max(first, begin), min(last, end)
            if low < high:
                yield from _chunks(tfds, builder, f"{split}[{low - begin}:{high - begin}]", keys, size, channels)

    if cache == "auto":
        cache = "memory" if count * np.prod(shape) <= free_memory() / 4 else "disk"
    if cache == "memory":
        images, labels = np.empty((count, *shape), np.uint8), np.empty(count, np.int64)
        row = 0
        for found, own_labels in chunks():
            images[row : row + len(found)], labels[row : row + len(found)] = found, own_labels
            row += len(found)
        return images, labels, None

    def read(rows):
        return np.stack([found[0] for row in rows for found, _ in chunks(row, row + 1)])

    files = [(info.name, info.num_bytes, info.shard_lengths) for info in infos]
    about = repr([str(builder.data_dir), files, keys[0], shape, size])
    name = hashlib.sha256(decoder_version() + about.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = Path(cache_dir or default_cache_dir()).expanduser() / f"{builder.name}-{shape[0]}x{shape[1]}-{name}"
    kept = DiskCache(folder, RandomAccess(read, count, shape, np.uint8))
    facts = _facts(folder / FACTS, count)
    missing = np.union1d(np.flatnonzero(facts["hash"] == b""), kept.missing)
    if len(missing):
        row = int(missing[0])
        print(f"decoded images are kept in {folder}: {row:,} of {count:,} so far", file=sys.stderr)
        with tqdm(total=count, initial=row, desc="decode", unit=" images", delay=1.0, leave=False) as bar:
            for found, own_labels in chunks(row):
                rows = np.arange(row, row + len(found))
                kept.keep(rows, found)
                facts["label"][rows] = own_labels
                facts["hash"][rows] = [
                    hash_of(np.ascontiguousarray(image)) for image in found
                ]  # last: by it a row counts as done
                row += len(found)
                bar.update(len(found))
    return kept.inputs, np.array(facts["label"]), facts["hash"].astype(str).tolist()


def _chunks(tfds, builder, split, keys, size, channels):
    decoders = tfds.decode.PartialDecoding({key: True for key in keys})
    # One file after the other, so that the rows of a part of the split are those of the whole.
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    items = builder.as_dataset(split=split, decoders=decoders, read_config=in_order)
    if size is None:
        items = items.batch(_CHUNK)
    items = ((item[keys[0]], item[keys[1]]) for item in tfds.as_numpy(items))
    if size is None:
        yield from items
        return
    while chunk := list(itertools.islice(items, _CHUNK)):
        pictures = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image, _ in chunk]
        fitted = [fit_image(picture, size, channels=channels) for picture in pictures]
        yield np.stack(fitted), np.array([label for _, label in chunk], np.int64)


def _facts(path: Path, count: int) -> np.ndarray:
    """[n] label and hash of each row, mapped from a file; the hash is empty where the row has not been read."""
    dtype = np.dtype([("label", np.int64), ("hash", "S16")])
    if not path.exists():
        own = path.with_name(f"{os.getpid()}.unfinished.npy")  # several runs may make it at once
        np.save(own, np.zeros(count, dtype))
        own.replace(path)
    return np.load(path, mmap_mode="r+")

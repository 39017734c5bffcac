"""What a frozen backbone makes of the data, computed once, so that a head trains in seconds."""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from metric_learning.cache_dir import default_cache_dir
from metric_learning.data.disk_cache import DiskCache
from metric_learning.data.random_access import RandomAccess
from metric_learning.data.source import DataSource
from metric_learning.data.split import Split
from metric_learning.encoders import backbone_of
from metric_learning.evaluation import embed

BATCH = 32


def frozen_features(
    encoder: keras.Model, source: "DataSource | FeatureSource", cache_dir: str | Path | None = None
) -> "tuple[keras.Model, DataSource | FeatureSource]":
    """The part of an encoder that trains, and the data as that part sees it.

    Where nothing below the head trains, a head on features that were computed once is the same encoder, at a hundredth
    of the cost. The features lie in a file, named by all that they depend on: the weights and the structure of the
    frozen part and the inputs, bit for bit. So they are never stale, and later runs, the runs of a sweep, and a run
    that was killed while it computed them find what is there. The weights of the head are those of the encoder, which
    is whole whenever it is saved.

    To be asked only without augmentation, with which no two steps see the same inputs.

    Args:
        encoder: a functional keras.Model.
        source: `DataSource`.
        cache_dir: folder of the files; None: `metric_learning/features` in `$XDG_CACHE_HOME` or `~/.cache`.

    Returns:
        keras.Model from features to the embeddings of the encoder, and a `FeatureSource`; or the encoder and the source
        themselves, if the encoder has no backbone, or if the backbone or the pooling trains.

    Raises:
        ValueError: a disk without room, or a folder that cannot be written.
    """
    frozen = frozen_part(encoder)
    if frozen is None:
        return encoder, source
    folder = Path(cache_dir or default_cache_dir() / "features").expanduser()
    seen = {name: _features(frozen, split.inputs, folder, name) for name, split in source.splits.items()}
    return keras.Model(frozen.output, encoder.output, name=encoder.name), FeatureSource(source, seen)


class FeatureSource:
    """A data source as a part of an encoder sees it: the same splits with other inputs, and all else the same.

    Args:
        source: `DataSource`.
        features: split name -> float32 [n, F], or int32 [n, length] of tokens.
    """

    def __init__(self, source: "DataSource | FeatureSource", features: Mapping[str, np.ndarray]) -> None:
        self.source = source
        self.splits: dict[str, Split] = {
            name: dataclasses.replace(split, inputs=features[name]) for name, split in source.splits.items()
        }
        for name, split in self.splits.items():
            setattr(self, name, split)

    def __getattr__(self, name):
        return getattr(self.source, name)


def frozen_part(encoder: keras.Model) -> keras.Model | None:
    """The keras.Model from the inputs of an encoder to features [B, F] that no training changes, or None."""
    backbone = backbone_of(encoder)
    if backbone is None:
        return None
    pooled = [layer for layer in encoder.layers if layer.name == "pooling"]
    last = pooled[0] if pooled else backbone
    frozen = keras.Model(encoder.input, last.output, name="frozen")
    return frozen if len(last.output.shape) == 2 and not frozen.trainable_variables else None


def _features(frozen, inputs, folder, name):
    """Features [n, F] of the inputs of a split, from the cache as far as they are there."""

    def compute(rows):
        found = np.empty((len(rows), *frozen.output_shape[1:]), np.float32)
        for first in range(0, len(rows), BATCH):
            some = rows[first : first + BATCH]
            # Always as many rows at once, so that no bit depends on where a run was stopped.
            padded = np.pad(some, (0, BATCH - len(some)), mode="edge")
            found[first : first + BATCH] = embed(frozen, np.asarray(inputs[padded]), BATCH)[: len(some)]
        return found

    computed = RandomAccess(compute, len(inputs), frozen.output_shape[1:], np.float32)
    cache = DiskCache(folder / _key(frozen, inputs), computed)
    missing = cache.missing
    there = np.setdiff1d(np.arange(len(inputs)), missing)
    what = f"{len(missing):,} of {len(inputs):,} are computed now and kept" if len(missing) else "all are kept"
    print(f"features of {name}: {what} in {cache.folder}", file=sys.stderr)
    features = np.empty(computed.shape, np.float32)
    features[there] = cache.inputs[there]
    bar = tqdm(
        total=len(missing),
        desc="features",
        unit=" items",
        delay=1.0,
        leave=False,
        dynamic_ncols=True,
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
    )
    with bar:
        for first in range(0, len(missing), BATCH):
            rows = missing[first : first + BATCH]
            features[rows] = compute(rows)
            cache.keep(rows, features[rows])
            bar.update(len(rows))
    return features


def _key(frozen, inputs):
    """A name for these features: another for other weights, another structure or precision, and other inputs."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(keras.saving.serialize_keras_object(frozen), sort_keys=True, default=str).encode())
    digest.update(keras.__version__.encode())
    for weight in frozen.weights:
        digest.update(np.ascontiguousarray(weight).data)
    digest.update(f"{tuple(inputs.shape)} {np.dtype(inputs.dtype)}".encode())
    for first in range(0, len(inputs), 256):
        digest.update(np.ascontiguousarray(inputs[first : first + 256]).data)
    return digest.hexdigest()

"""Labeled images or texts of TensorFlow Datasets, from prepared or hand-downloaded files when offline."""

from __future__ import annotations

import contextlib
import difflib
import logging
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.manual_files import collect_manual_files
from metric_learning.data.source import DataSource, image_source, text_source
from metric_learning.data.splits import hold_out_items, hold_out_validation, rows_of_classes, split_classes_by_seed
from metric_learning.data.tfds_images import read_images


def tfds(
    name: str,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    download: bool = False,
    image_size: int | Sequence[int] | None = None,
    unseen_classes: bool = False,
    own_splits: bool = False,
    train_split: str = "train",
    test_split: str = "test",
    validation_items: int = 5_000,
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
    **vocabulary_options: Any,
) -> DataSource:
    """A set of TensorFlow Datasets with one image or one text, and one label, per item.

    With `unseen_classes=False` its own test split is the test, and validation is a seeded part of
    its training split, every class in proportion. With `unseen_classes=True` both splits are
    pooled and parted by class, or kept with `own_splits=True`, where they share no class.

    The network is used only on request: an unprepared set is prepared from `manual_dir`, or with
    `download=True`, and otherwise ends in an error at once.

    Args:
        name: as in `tfds.builder`, such as "fashion_mnist".
        data_dir: where TFDS keeps prepared sets; None: `~/tensorflow_datasets`.
        manual_dir: folder with the files that TFDS would download.
        download: let TFDS download what is not prepared.
        image_size: (height, width); needed if the images differ in size, see `fit_image`.
        unseen_classes: the splits share no class, for a zero-shot protocol.
        own_splits: with `unseen_classes`, keep the splits of the set; validation classes are held out of training.
        train_split, test_split: what they are called in the set.
        validation_items: items held out of training, with `unseen_classes=False`.
        test_fraction, validation_fraction: parts of the classes, with `unseen_classes=True`.
        seed: of the validation items or of the classes.
        cache, cache_dir: where images are kept, see `read_images`.
        vocabulary_options: for texts, see `Vocabulary.from_texts`.

    Raises:
        ValueError: an unknown set; one that is not prepared, saying what is missing and where to
            put it; files that are not the published ones; a set without image or text, and label.
    """
    splits = (train_split, test_split)
    with _quiet_tfds() as library:
        builder = _find_builder(library, name, data_dir)
        if not builder.is_prepared():
            _prepare(library, builder, manual_dir, download)
        keys, kind = _keys_and_kind(library, builder)
        _check_splits(builder, splits)
        if kind == "texts":
            texts, labels = _read_texts(library, builder, splits, keys)
        else:
            images, labels, hashes = read_images(library, builder, splits, keys, image_size, cache, cache_dir)
    class_names = builder.info.features[keys[1]].names
    ids = [f"{split} {i}" for split in splits for i in range(builder.info.splits[split].num_examples)]
    num_train = builder.info.splits[train_split].num_examples
    given = {"train": np.arange(num_train), "test": np.arange(num_train, len(labels))}
    if not unseen_classes:
        held_out = hold_out_items(labels[:num_train], count=validation_items, seed=seed)
        rows = given | {"train": np.flatnonzero(~held_out), "validation": np.flatnonzero(held_out)}
    elif own_splits:
        rows = hold_out_validation(given, labels, unseen_classes=True, fraction=validation_fraction, seed=seed)
    else:
        fractions = {"test_fraction": test_fraction, "validation_fraction": validation_fraction}
        rows = rows_of_classes(labels, split_classes_by_seed(len(class_names), **fractions, seed=seed))
    options: dict[str, Any] = {"ids": ids, "unseen_classes": unseen_classes}
    if kind == "texts":
        return text_source(builder.name, class_names, texts, labels, rows, **options, **vocabulary_options)
    if vocabulary_options:
        raise ValueError(f"{', '.join(vocabulary_options)} can only be set for texts, and {name} has images")
    captions = [f"{class_names[label]} ({key})" for label, key in zip(labels.tolist(), ids, strict=True)]
    return image_source(builder.name, class_names, images, labels, captions, rows, contents=hashes, **options)


@contextlib.contextmanager
def _quiet_tfds():
    """TFDS imported only now, since it is slow and optional, without progress bars and notes."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            f"TensorFlow Datasets cannot be imported ({error}); pip install tensorflow-datasets importlib_resources"
        ) from error
    tfds.disable_progress_bar()
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield tfds
    finally:
        logger.setLevel(level)


def _find_builder(tfds, name, data_dir):
    try:
        data_dir = None if data_dir is None else Path(data_dir).expanduser()
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False))
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"TensorFlow Datasets has no set called {name!r}{hint}") from error


def _prepare(tfds, builder, manual_dir, download) -> None:
    data_root = Path(builder.data_dir).parents[1]
    published = {info.filename: info.checksum for info in (builder.url_infos or {}).values()}
    if manual_dir is not None:
        mended_dir = data_root / "downloads" / "manual" / builder.name
        manual_dir = collect_manual_files(manual_dir, published, mended_dir)
    elif not download:
        urls = [f"{info.filename} ({url})" for url, info in (builder.url_infos or {}).items()]
        first = "\n  ".join(urls[:8]) + ("\n  ..." if len(urls) > 8 else "")
        raise ValueError(
            f"{builder.name} is not prepared in {builder.data_dir}. Set data_dir to the folder "
            "where TFDS has prepared it, or download=true to fetch it from the network, or "
            f"manual_dir to a folder with these files:\n  {first}"
        )
    else:
        check_reachable(builder)
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        # Files of MNIST, KMNIST and Fashion-MNIST share their names.
        extract_dir=data_root / "downloads" / "extracted" / builder.name,
        try_download_gcs=False,
    )
    try:
        builder.download_and_prepare(download_config=config)
    except OSError as error:  # a dead network or a full disk
        raise ValueError(f"{builder.name} cannot be prepared: {error}") from error


def check_reachable(builder: Any, seconds: float = 5.0) -> None:
    """Raise a ValueError unless the host of the first file answers: TFDS itself goes on trying for minutes."""
    url = next((url for url in builder.url_infos or {} if url.startswith("http")), None)
    if url is None:
        return
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError:
        pass  # it answers; what it has to say to a real request, TFDS will see
    except OSError as error:
        raise ValueError(
            f"{builder.name} cannot be downloaded: {url} does not answer ({getattr(error, 'reason', error)}); put its "
            "files into data.manual_dir, or what TFDS has prepared elsewhere into data.data_dir"
        ) from error


def _keys_and_kind(tfds, builder) -> tuple[tuple[str, str], str]:
    """The names of the two features, and what the first is; sets made by `store_as_tfds_dataset` do not state them."""
    features, keys = builder.info.features, builder.info.supervised_keys
    kinds = {tfds.features.Image: "images", tfds.features.Text: "texts"}
    if not keys:
        by_kind = [[key for key, feature in features.items() if type(feature) is wanted] for wanted in kinds]
        inputs = next(filter(None, by_kind), [])  # the images of a set that has both
        keys = [*inputs, *(key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel))]
    found = [type(features[key]) for key in keys]
    if len(found) != 2 or found[0] not in kinds or found[1] is not tfds.features.ClassLabel:
        raise ValueError(
            f"{builder.name} must have one image or text and one class label, got features "
            + ", ".join(f"{key} ({type(feature).__name__})" for key, feature in features.items())
        )
    return tuple(keys), kinds[found[0]]


def _check_splits(builder, splits) -> None:
    missing = [split for split in splits if split not in builder.info.splits]
    if missing:
        raise ValueError(
            f"{builder.name} must have the splits {' and '.join(splits)}, which data.train_split and data.test_split "
            f"name; it has {', '.join(sorted(builder.info.splits))}"
        )


def _read_texts(tfds, builder, splits, keys) -> tuple[list[str], np.ndarray]:
    """Texts and labels int64 [n] of some splits, one split after the other, in the order of their files."""
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    items = [item for split in splits for item in tfds.as_numpy(builder.as_dataset(split=split, read_config=in_order))]
    texts = [item[keys[0]].decode("utf-8", "replace") for item in items]
    return texts, np.array([item[keys[1]] for item in items], np.int64)

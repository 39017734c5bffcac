"""The benchmarks of the field by their own files, with the splits of the papers.

Each takes the folder that its archive unpacks to. Validation is held out of the training classes, so that nothing is
chosen by the test. A copy with other counts than the published ones is warned of: its scores compare with nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from metric_learning.data.items import path_ids
from metric_learning.data.listed_images import listed_images
from metric_learning.data.source import DataSource
from metric_learning.data.splits import hold_out_validation

JUNK = "-1"  # in Market-1501: boxes of no person
MARKET_NAME = re.compile(r"(-1|\d{4})_c(\d+)s\d+_\d+_\d+\.jpg")


def cub200(root: str | Path, *, validation_fraction: float = 0.1, seed: int = 0, **options: Any) -> DataSource:
    """Caltech-UCSD Birds-200-2011: the first 100 classes are learned from, the last 100 are the test.

    Args:
        root: the folder CUB_200_2011, with images.txt, image_class_labels.txt, classes.txt and images/.
        validation_fraction: part of the training classes that is used to choose.
        seed: another seed, other validation classes.
        options: image_size, channels, fit, skip_unreadable, cache, cache_dir, see `open_images`.

    Raises:
        ValueError: files are missing, or not of the published form.

    Reference: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011; the split is that of Song et al., "Deep
    Metric Learning via Lifted Structured Feature Embedding", CVPR 2016, https://arxiv.org/abs/1511.06452
    """
    root = _folder(root, ["images.txt", "image_class_labels.txt", "classes.txt", "images"], "CUB_200_2011")
    path_of = dict(_fields(root / "images.txt", 2))
    class_of = dict(_fields(root / "image_class_labels.txt", 2))
    names = dict(_fields(root / "classes.txt", 2))
    labels = np.array([int(class_of[image]) for image in path_of])
    rows = {"train": np.flatnonzero(labels <= 100), "test": np.flatnonzero(labels > 100)}
    counts = {"train": (5864, 100), "test": (5924, 100)}
    files = [f"images/{path}" for path in path_of.values()]
    labels_by_name = [names[str(label)] for label in labels]
    return _source("CUB-200-2011", root, files, labels_by_name, rows, counts, validation_fraction, seed, **options)


def cars196(root: str | Path, *, validation_fraction: float = 0.1, seed: int = 0, **options: Any) -> DataSource:
    """Cars196: the first 98 classes are learned from, the last 98 are the test.

    Args:
        root: the folder with cars_annos.mat and car_ims/.
        validation_fraction, seed, options: see `cub200`.

    Raises:
        ValueError: files are missing, or not of the published form.

    Reference: Krause et al., "3D Object Representations for Fine-Grained Categorization", 3dRR 2013; the split is that
    of Song et al. 2016, see `cub200`.
    """
    root = _folder(root, ["cars_annos.mat", "car_ims"], "Cars196")
    try:
        found = scipy.io.loadmat(root / "cars_annos.mat", squeeze_me=True)
        annotations, names = found["annotations"], found["class_names"]
        files = [str(path) for path in annotations["relative_im_path"]]
        labels = annotations["class"].astype(np.int64)
    except (KeyError, ValueError, NotImplementedError, scipy.io.matlab.MatReadError) as error:
        raise ValueError(f"{root / 'cars_annos.mat'} is not of the published form: {error}") from error
    rows = {"train": np.flatnonzero(labels <= 98), "test": np.flatnonzero(labels > 98)}
    counts = {"train": (8054, 98), "test": (8131, 98)}
    labels_by_name = [f"{label:03d}.{names[label - 1]}" for label in labels]
    return _source("Cars196", root, files, labels_by_name, rows, counts, validation_fraction, seed, **options)


def stanford_online_products(
    root: str | Path, *, validation_fraction: float = 0.1, seed: int = 0, **options: Any
) -> DataSource:
    """Stanford Online Products: the products of Ebay_train.txt are learned from, those of Ebay_test.txt are the test.

    Args:
        root: the folder Stanford_Online_Products, with the two files and a folder for each kind of product.
        validation_fraction, seed, options: see `cub200`.

    Raises:
        ValueError: files are missing, or not of the published form.

    Reference: Song et al. 2016, see `cub200`.
    """
    root = _folder(root, ["Ebay_train.txt", "Ebay_test.txt"], "Stanford_Online_Products")
    parts = {name: _fields(root / f"Ebay_{name}.txt", 4, header=1) for name in ("train", "test")}
    entries = [entry for part in parts.values() for entry in part]
    border = len(parts["train"])
    rows = {"train": np.arange(border), "test": np.arange(border, len(entries))}
    counts = {"train": (59551, 11318), "test": (60502, 11316)}
    files, classes = [path for *_, path in entries], [class_id for _, class_id, *_ in entries]
    name = "Stanford Online Products"
    return _source(name, root, files, classes, rows, counts, validation_fraction, seed, **options)


def inshop(root: str | Path, *, validation_fraction: float = 0.1, seed: int = 0, **options: Any) -> DataSource:
    """In-shop Clothes Retrieval: queries of 3,985 garments are searched in a gallery; others are learned from.

    Args:
        root: the folder with list_eval_partition.txt (also within Eval/) and img/.
        validation_fraction, seed, options: see `cub200`.

    Raises:
        ValueError: files are missing, or not of the published form.

    Reference: Liu et al., "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations",
    CVPR 2016
    """
    nested = (Path(root).expanduser() / "Eval" / "list_eval_partition.txt").exists()
    partition = "Eval/list_eval_partition.txt" if nested else "list_eval_partition.txt"
    root = _folder(root, [partition, "img"], "In-shop Clothes Retrieval")
    entries = _fields(root / partition, 3, header=2)
    roles = np.array([role for *_, role in entries])
    unknown = sorted(set(roles) - {"train", "query", "gallery"})
    if unknown:
        raise ValueError(
            f"{root / partition}: evaluation_status must be train, query or gallery, got {str(unknown[0])!r}"
        )
    rows = {name: np.flatnonzero(roles == role) for name, role in _ROLES.items()}
    counts = {"train": (25882, 3997), "test": (14218, 3985), "gallery": (12612, 3985)}
    files, classes = [path for path, *_ in entries], [item for _, item, _ in entries]
    return _source("In-shop", root, files, classes, rows, counts, validation_fraction, seed, **options)


def market1501(root: str | Path, *, validation_fraction: float = 0.1, seed: int = 0, **options: Any) -> DataSource:
    """Market-1501: persons are found again among pictures by other cameras.

    The camera is the group of an image: another picture of the same person by the same camera is no answer. Junk, boxes
    named -1, is left out; distractors, named 0000, are wrong answers in the gallery.

    Args:
        root: the folder with bounding_box_train/, query/ and bounding_box_test/.
        validation_fraction, seed, options: see `cub200`.

    Raises:
        ValueError: folders are missing, or file names not of the published form.

    Reference: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015
    """
    folders = {"train": "bounding_box_train", "test": "query", "gallery": "bounding_box_test"}
    root = _folder(root, folders.values(), "Market-1501")
    files: list[str] = []
    persons: list[str] = []
    cameras: list[str] = []
    rows: dict[str, np.ndarray] = {}
    for split, folder in folders.items():
        start = len(files)
        for path in sorted((root / folder).glob("*.jpg")):
            match = MARKET_NAME.fullmatch(path.name)
            if match is None:
                raise ValueError(f"{path} must be named after person and camera, such as 0002_c1s1_000451_03.jpg")
            if match[1] != JUNK:
                files.append(f"{folder}/{path.name}")
                persons.append(match[1])
                cameras.append(f"camera {match[2]}")
        rows[split] = np.arange(start, len(files))
    counts = {"train": (12936, 751), "test": (3368, 750), "gallery": (15913, 751)}
    options["groups"] = cameras
    return _source("Market-1501", root, files, persons, rows, counts, validation_fraction, seed, **options)


_ROLES = {"train": "train", "test": "query", "gallery": "gallery"}


def _source(
    name: str,
    root: Path,
    files: Sequence[str],
    classes: Sequence[str],
    rows: Mapping[str, np.ndarray],
    counts: Mapping[str, tuple[int, int]],
    validation_fraction: float,
    seed: int,
    **options: Any,
) -> DataSource:
    """The source, some classes of training held out for validation; `counts` are the published (items, classes)."""
    class_names, labels = np.unique(np.array(classes, object), return_inverse=True)
    for split, published in counts.items():
        found = len(rows[split]), len(np.unique(labels[rows[split]]))
        if found != published:
            warnings.warn(
                f"{name}: {split} has {found[0]:,} images of {found[1]:,} classes where {published[0]:,} of "
                f"{published[1]:,} are published; scores of this copy do not compare with others",
                stacklevel=3,
            )
    parted = hold_out_validation(dict(rows), labels, unseen_classes=True, fraction=validation_fraction, seed=seed)
    paths = [root / file for file in files]
    return listed_images(name, class_names, paths, labels, files, parted, ids=path_ids(paths, root), **options)


def _folder(root: str | Path, parts: Any, name: str) -> Path:
    root = Path(root).expanduser()
    missing = [part for part in parts if not (root / part).exists()]
    if missing:
        raise ValueError(
            f"data.root must be the folder that the archive of {name} unpacks to, with {', '.join(parts)}; "
            f"there is no {' and no '.join(missing)} in {root}"
        )
    return root


def _fields(path: Path, count: int, header: int = 0) -> list[list[str]]:
    """The lines of a file that blanks part, as lists of `count` fields, without those of the header."""
    lines = path.read_text(encoding="utf-8").splitlines()[header:]
    fields = [line.split(maxsplit=count - 1) for line in lines if line.strip()]
    wrong = next((number for number, field in enumerate(fields, header + 1) if len(field) != count), None)
    if wrong is not None:
        raise ValueError(f"{path}, line {wrong}: expected {count} fields, parted by blanks")
    return [[field.strip() for field in line] for line in fields]

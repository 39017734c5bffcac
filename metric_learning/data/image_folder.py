"""Own images, one folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metric_learning.data.images import read_images
from metric_learning.data.source import DataSource, image_source
from metric_learning.data.splits import rows_of_classes, split_classes_by_seed

_LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini"}


def image_folder(
    root: str | Path,
    *,
    image_size: Sequence[int] = (32, 32),
    channels: int = 3,
    fit: str = "letterbox",
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
    skip_unreadable: bool = False,
) -> DataSource:
    """Images in `root/CLASS/**`, with the classes parted by seed.

    Every file below a class folder is an image of that class, except hidden ones and what file
    managers leave behind. Classes are in the order of their names, so the splits are a pure
    function of the class names, the fractions and the seed.

    Args:
        root: folder with one folder per class.
        image_size, channels, fit: see `fit_image`.
        test_fraction, validation_fraction, seed: see `split_classes_by_seed`.
        skip_unreadable: leave unreadable files out with a warning, rather than raise.

    Returns:
        Images with captions such as "ant/left/001.png", the path below `root`.

    Raises:
        ValueError: `root` is no folder or has no class with images, there are too few classes for
            the splits, or files cannot be read.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise ValueError(f"root must be a folder with one folder per class, got {root}")
    files = {
        folder.name: sorted(path for path in folder.rglob("*") if _is_data(path, folder))
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    class_names = [name for name, paths in files.items() if paths]
    if not class_names:
        raise ValueError(
            f"root must hold one folder per class with images in it; {root} has {len(files)} folders, none with files"
        )
    classes = split_classes_by_seed(
        len(class_names),
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    paths = [path for name in class_names for path in files[name]]
    labels = np.repeat(np.arange(len(class_names)), [len(files[name]) for name in class_names])
    images, readable = read_images(paths, image_size, channels=channels, fit=fit, skip_unreadable=skip_unreadable)
    kept = np.flatnonzero(readable)
    captions = [paths[row].relative_to(root).as_posix() for row in kept]
    labels = labels[kept]
    rows = rows_of_classes(labels, classes)
    return image_source(root.resolve().name, class_names, images, labels, captions, rows)


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden and path.name.lower() not in _LEFT_BY_SYSTEMS

"""Own images, one folder for each class, also within one folder for each split."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from metric_learning.data.items import count, path_ids, printable, some
from metric_learning.data.listed_images import listed_images
from metric_learning.data.source import DataSource
from metric_learning.data.splits import SPLIT_NAMES, choose_rows

_LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini"}
# What people put beside their images; whatever else is there is read, or named as unreadable.
_NO_IMAGES = set(".txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .html .pdf .ini .log .py .sh .url .zip".split())


def image_folder(
    root: str | Path,
    *,
    image_size: int | Sequence[int] = (32, 32),
    channels: int = 3,
    fit: str = "letterbox",
    test_fraction: float = 0.5,
    validation_fraction: float = 0.1,
    seed: int = 0,
    fold: int | None = None,
    folds: int | None = None,
    unseen_classes: bool = True,
    skip_unreadable: bool = False,
    cache: str = "auto",
    cache_dir: str | Path | None = None,
) -> DataSource:
    """Images in `root/CLASS/**`, with the classes parted by seed, or in `root/SPLIT/CLASS/**`.

    Every file below a class folder is an image of that class, except hidden ones, what file
    managers leave behind, and by their names texts and archives, which a warning counts; so it does links to folders
    within those of classes, and images beside these. Classes
    are in the order of their names, so the splits are a pure function of the class names, the
    fractions and the seed.

    The folders are splits if they are called so: train and test (or query and gallery), and if
    wanted validation (or valid, val), and hold nothing but folders. Without validation it is held
    out of train.

    Args:
        root: folder with one folder per class, or per split.
        image_size, channels, fit: see `fit_image`.
        test_fraction, validation_fraction, seed, fold, folds: see `choose_rows`.
        unseen_classes: the splits share no class. False: the classes to be found are those to learn from, in folders of
            splits or by a share of the items of each class.
        skip_unreadable: leave unreadable files out with a warning, rather than raise.
        cache, cache_dir: when images are decoded and where they are kept, see `open_images`.

    Returns:
        Images with captions such as "ant/left/001.png", the path below `root`.

    Raises:
        ValueError: `root` is no folder or has no class with images, there are too few classes for
            the splits, classes overlap, an item is in two splits, or files cannot be read.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise ValueError(f"data.root must be a folder with one folder per class, got {root}")
    folders = _folders_in(root)
    split_of = _splits_by_name(folders)
    if split_of:
        _warn_of_files_left_out(
            root, [folder for folder in folders if folder.name not in split_of], "is no split by its name"
        )
        class_folders = [inner for name in split_of for inner in _folders_in(root / name)]
    else:
        class_folders = folders
    files = {folder: _images_in(folder) for folder in class_folders}
    _warn_of_files_left_out(root, _images_directly_in(root), "is in no folder of a class")
    others = [path for _, others in files.values() for path in others]
    _warn_of_files_left_out(root, others, "is no image by its name, or is a link to a folder")
    paths = [path for images, _ in files.values() for path in images]
    class_of = [printable(folder.name) for folder, (images, _) in files.items() for _ in images]
    if not paths:
        raise ValueError(
            f"data.root must hold one folder per class with images in it; {root} has "
            f"{count(folders, 'folder')}, none with images"
        )
    class_names, labels = np.unique(np.array(class_of, object), return_inverse=True)
    captions = [_caption(path, root) for path in paths]
    given = {}
    if split_of:
        split_names = np.array([split_of[caption.partition("/")[0]] for caption in captions])
        given = {name: np.flatnonzero(split_names == name) for name in dict.fromkeys(split_names.tolist())}
        missing = [name for name in ("train", "test") if name not in given]
        if missing:
            raise ValueError(
                f"data.root {root} has folders of splits ({', '.join(split_of)}), but no images in "
                f"{' and none in '.join(missing)}; without images for validation some of train are held out"
            )
    rows = choose_rows(
        labels,
        given,
        unseen_classes=unseen_classes,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        fold=fold,
        folds=folds,
        seed=seed,
    )
    return listed_images(
        printable(root.resolve().name),
        class_names,
        paths,
        labels,
        captions,
        rows,
        ids=path_ids(paths, root),
        unseen_classes=unseen_classes,
        image_size=image_size,
        channels=channels,
        fit=fit,
        skip_unreadable=skip_unreadable,
        cache=cache,
        cache_dir=cache_dir,
    )


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, without hidden ones, in the order of their names."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _splits_by_name(folders: list[Path]) -> dict[str, str]:
    """Folder name -> split, if there are folders of splits: train and another one, with nothing but folders in them.

    Classes may be called train and test too, but then there are images in them.
    """
    names = [folder.name for folder in folders if folder.name.lower() in SPLIT_NAMES]
    split_of = {name: SPLIT_NAMES[name.lower()] for name in names}
    if "train" not in split_of.values() or len(split_of) < 2:
        return {}
    named = [folder for folder in folders if folder.name in split_of]
    hold_folders = all(_folders_in(folder) and not _images_directly_in(folder) for folder in named)
    return split_of if hold_folders else {}


def _images_directly_in(folder: Path) -> list[Path]:
    names = [path.name for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")]
    return [folder / name for name in names if _is_data(name) and not _is_no_image(name)]


def _images_in(folder: str | Path) -> tuple[list[str], list[str]]:
    """(images, other files) anywhere below a folder, in the order of their paths.

    As strings: of a hundred thousand files, `Path` takes a quarter of the time until the first batch.
    """
    images: list[str] = []
    others: list[str] = []
    for path in _files_below(folder):
        name = os.path.basename(path)
        if _is_data(name):
            (others if not name or _is_no_image(name) else images).append(path)
    return images, others


def images_below(folder: str | Path) -> list[Path]:
    """The images anywhere below a folder, in the order of their paths; what by its name is none is left out."""
    return [Path(path) for path in _images_in(folder)[0]]


def _files_below(folder: str | Path) -> Iterator[str]:
    """Paths of the files, hidden ones and those in hidden folders excepted; the system is asked once a folder.

    Links to folders are not followed, since they may lead in circles; their paths end with a separator.
    """
    with contextlib.suppress(PermissionError), os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                yield entry.path
            elif entry.is_symlink():
                yield os.path.join(entry.path, "")
            else:
                yield from _files_below(entry.path)


def _is_data(name: str) -> bool:
    return name.lower() not in _LEFT_BY_SYSTEMS


def _is_no_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _NO_IMAGES


def _warn_of_files_left_out(root: Path, paths: Sequence[str | Path], what: str) -> None:
    if paths:
        names = some(_caption(path, root) for path in paths)
        warnings.warn(f"{root}: left out what {what}: {names}, {len(paths):,} in all", stacklevel=3)


def _caption(path: str | Path, root: Path) -> str:
    below = os.fspath(path).removeprefix(os.path.join(root, ""))  # `relpath` takes seconds for 100,000 files
    return printable(below).replace(os.sep, "/")

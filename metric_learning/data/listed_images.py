"""Image files with what is known about each, as a data source; those that cannot be read are left out of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.data.image_files import open_images
from metric_learning.data.source import DataSource, image_source


def listed_images(
    name: str,
    class_names: Iterable[str],
    paths: Sequence[str | Path],
    labels: np.ndarray,
    captions: Sequence[str],
    rows: Mapping[str, np.ndarray],
    *,
    ids: Sequence[str],
    groups: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    levels: np.ndarray | None = None,
    unseen_classes: bool = True,
    image_size: int | Sequence[int] = (32, 32),
    fit: str = "letterbox",
    **options: Any,
) -> DataSource:
    """A source of image files.

    Args:
        name, class_names, unseen_classes: as in `DataSource`.
        paths: [n] of the files.
        labels, captions, ids, groups, weights, levels: [n] each, see `image_source`.
        rows: split name -> indices of its files.
        image_size, fit, options: see `open_images`.
    """
    images, readable, hashes = open_images(paths, image_size, fit=fit, **options)
    kept = np.flatnonzero(readable)
    rows_kept = kept.tolist()
    new_row = np.cumsum(readable) - 1
    return image_source(
        name,
        class_names,
        images,
        labels[kept],
        [captions[row] for row in rows_kept],
        {split: new_row[index[readable[index]]] for split, index in rows.items()},
        ids=[ids[row] for row in rows_kept],
        contents=hashes.tolist(),
        groups=None if groups is None else [groups[row] for row in rows_kept],
        weights=None if weights is None else weights[kept],
        levels=None if levels is None else levels[kept],
        unseen_classes=unseen_classes,
        fit=fit,
    )

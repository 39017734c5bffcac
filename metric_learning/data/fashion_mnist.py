"""Fashion-MNIST through TensorFlow Datasets: a protocol of classes seen in training."""

from __future__ import annotations

from pathlib import Path

from metric_learning.data.source import DataSource
from metric_learning.data.tfds_source import tfds


def fashion_mnist(
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    download: bool = False,
    unseen_classes: bool = False,
    validation_items: int = 5_000,
    seed: int = 0,
) -> DataSource:
    """70,000 gray images [28, 28, 1] of ten kinds of clothing.

    The 10,000 test images are the test; `validation_items` of the 60,000 training images choose.
    Works with no network from prepared files, or from the four published .gz files, also as
    Debian's package dataset-fashion-mnist has them (`/usr/share/datasets/fashion-mnist`).

    Args:
        data_dir, manual_dir, download, unseen_classes, validation_items, seed: see `tfds`.

    Raises:
        ValueError: as `tfds`.

    Reference: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", 2017, https://arxiv.org/abs/1708.07747
    """
    return tfds(
        "fashion_mnist",
        data_dir=data_dir,
        manual_dir=manual_dir,
        download=download,
        unseen_classes=unseen_classes,
        validation_items=validation_items,
        seed=seed,
    )

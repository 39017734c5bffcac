import importlib

import numpy as np
import pytest

from metric_learning.data import tfds as tfds_source
from metric_learning.data.items import contents

tfds = pytest.importorskip("tensorflow_datasets")
tfds_images = importlib.import_module("metric_learning.data.tfds_images")

pytestmark = pytest.mark.filterwarnings("default")  # TFDS and what it imports warn about each other

COUNT = 40


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A set of several files a split, whose images differ in size; an image tells its split and row."""
    folder = tmp_path_factory.mktemp("tfds")
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=[f"c{i}" for i in range(8)]),
    }
    splits = {
        name: [{"image": np.full((4 + row % 3, 6, 3), start + row, np.uint8), "label": row % 8} for row in range(COUNT)]
        for name, start in (("train", 0), ("test", 100))
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={name: list(enumerate(rows)) for name, rows in splits.items()},
        data_dir=folder,
        disable_shuffling=True,
        download_config=tfds.download.DownloadConfig(num_shards=3),
    )
    assert tfds.builder("tiny", data_dir=folder).info.splits["train"].num_shards == 3
    return folder


def read(data_dir, cache_dir, cache="disk", **options):
    builder = tfds.builder("tiny", data_dir=data_dir)
    options = {"image_size": (5, 7), "cache": cache, "cache_dir": cache_dir} | options
    return tfds_images.read_images(tfds, builder, ("train", "test"), ("image", "label"), **options)


EXPECTED = [*range(COUNT), *range(100, 100 + COUNT)]


def test_disk_gives_what_memory_gives(data_dir, tmp_path):
    in_memory, labels, _ = read(data_dir, tmp_path, "memory")
    on_disk, same_labels, hashes = read(data_dir, tmp_path)
    assert in_memory.shape == on_disk.shape == (2 * COUNT, 5, 7, 3) and not isinstance(on_disk, np.ndarray)
    assert in_memory[:, 2, 3, 0].tolist() == EXPECTED  # in the order of the files, of which there are several
    np.testing.assert_array_equal(on_disk[:], in_memory)
    np.testing.assert_array_equal(on_disk[[70, 3, 41]], in_memory[[70, 3, 41]])
    assert labels.tolist() == same_labels.tolist() == [row % 8 for row in range(COUNT)] * 2
    split = tfds_source("tiny", data_dir=data_dir, image_size=[5, 7], validation_items=8, cache="memory").test
    assert hashes[COUNT:] == contents(split, "images")


def test_a_run_that_was_killed_goes_on_where_it_was(data_dir, tmp_path, monkeypatch):
    whole = read(data_dir, tmp_path / "whole")
    chunks, seen = tfds_images._chunks, []

    def dies_after_20(*arguments):
        for images, labels in chunks(*arguments):
            yield images[:20], labels[:20]
            raise KeyboardInterrupt

    monkeypatch.setattr(tfds_images, "_chunks", dies_after_20)
    with pytest.raises(KeyboardInterrupt):
        read(data_dir, tmp_path / "cache")
    monkeypatch.setattr(tfds_images, "_chunks", lambda *arguments: seen.append(arguments[2]) or chunks(*arguments))
    images, labels, hashes = read(data_dir, tmp_path / "cache")
    assert seen == ["train[20:40]", "test[0:40]"]
    np.testing.assert_array_equal(images[:], whole[0][:])
    np.testing.assert_array_equal(labels, whole[1])
    assert hashes == whole[2]
    seen.clear()
    read(data_dir, tmp_path / "cache")
    assert not seen  # nothing is read twice


def test_a_damaged_item_is_read_again(data_dir, tmp_path):
    images, _, _ = read(data_dir, tmp_path)
    expected = images[:]
    (folder,) = tmp_path.iterdir()
    with (folder / "items.npy").open("r+b") as file:
        file.seek(-3, 2)  # in the last item
        file.write(b"\x07\x07\x07")
    np.testing.assert_array_equal(read(data_dir, tmp_path)[0][:], expected)


@pytest.mark.parametrize(("file", "field"), [("checksums.npy", ...), ("facts.npy", "hash")], ids=["item", "facts"])
def test_what_a_full_disk_or_a_kill_left_out_is_read_again(data_dir, tmp_path, file, field):
    _, labels, hashes = read(data_dir, tmp_path)
    (folder,) = tmp_path.iterdir()
    rows = np.load(folder / file, mmap_mode="r+")
    rows[field][45] = 0 if field is ... else b""
    rows.flush()
    _, same_labels, same_hashes = read(data_dir, tmp_path)
    assert np.load(folder / "checksums.npy").all() and same_hashes == hashes
    np.testing.assert_array_equal(same_labels, labels, strict=True)


def test_another_size_is_another_file(data_dir, tmp_path):
    read(data_dir, tmp_path)
    assert read(data_dir, tmp_path, image_size=4)[0].shape == (2 * COUNT, 4, 4, 3)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_source_trains_from_disk_as_from_memory(data_dir, tmp_path):
    options = {"data_dir": data_dir, "image_size": [5, 7], "unseen_classes": True, "cache_dir": tmp_path}
    memory, disk = (tfds_source("tiny", cache=cache, **options) for cache in ("memory", "disk"))
    for name, split in memory.splits.items():
        other = disk.splits[name]
        np.testing.assert_array_equal(split.inputs, other.inputs[:])
        np.testing.assert_array_equal(split.labels, other.labels)
        assert split.ids == other.ids and list(memory.contents[name]) == list(disk.contents[name])


def test_bad_arguments(data_dir, tmp_path):
    with pytest.raises(ValueError, match="cache must be one of auto, memory, disk; got 'none'"):
        read(data_dir, tmp_path, "none")
    with pytest.raises(ValueError, match="data.image_size must be one positive integer"):
        read(data_dir, tmp_path, image_size=(0, 5))

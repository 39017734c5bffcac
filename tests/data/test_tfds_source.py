import gzip
import hashlib
import importlib
import pathlib
import socket
import struct
import time

import hydra
import numpy as np
import pytest

from metric_learning.data import fashion_mnist
from metric_learning.data import tfds as tfds_source
from metric_learning.data.splits import split_classes_by_seed

tfds_module = importlib.import_module("metric_learning.data.tfds_source")

tfds = pytest.importorskip("tensorflow_datasets")

pytestmark = pytest.mark.filterwarnings("default")  # TFDS and what it imports warn about each other

NUM_TRAIN, NUM_TEST = 60, 20
CONF = pathlib.Path(__file__).parents[2] / "conf"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def tiny_fashion(count, offset):
    """Images of one gray each, which is the label times ten plus the position modulo ten."""
    labels = np.random.default_rng(offset).permutation(np.arange(count) % 10).astype(np.uint8)
    grays = labels * 10 + np.arange(count) % 10
    images = np.broadcast_to(grays[:, None, None], (count, 28, 28)).astype(np.uint8)
    return images, labels


@pytest.fixture
def manual_dir(tmp_path, monkeypatch):
    """The four files in their true format, but tiny; TFDS is told their sizes and checksums."""
    folder = tmp_path / "manual"
    folder.mkdir()
    for part, count in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        images, labels = tiny_fashion(count, count)
        idx3 = struct.pack(">4i", 2051, count, 28, 28) + images.tobytes()
        idx1 = struct.pack(">2i", 2049, count) + labels.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx3))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx1))
    builder = tfds.builder_cls("fashion_mnist")
    infos = {}
    for url, info in builder.url_infos.items():
        contents = (folder / info.filename).read_bytes()
        checksum = hashlib.sha256(contents).hexdigest()
        infos[url] = type(info)(len(contents), checksum, info.filename)
    monkeypatch.setattr(builder, "url_infos", infos)
    module = __import__(builder.__module__, fromlist=["_TRAIN_EXAMPLES"])
    monkeypatch.setattr(module, "_TRAIN_EXAMPLES", NUM_TRAIN)
    monkeypatch.setattr(module, "_TEST_EXAMPLES", NUM_TEST)
    return folder


def test_prepares_from_manual_files_then_reads_prepared_ones(manual_dir, tmp_path):
    options = {"data_dir": tmp_path / "tfds", "validation_items": 20, "seed": 1}
    source = fashion_mnist(manual_dir=manual_dir, **options)
    assert not source.unseen_classes
    assert source.input_shape == (28, 28, 1)
    assert source.class_names[0] == "T-shirt/top"
    assert [len(split) for split in source.splits.values()] == [40, 20, 20]
    assert np.bincount(source.validation.labels).tolist() == [2] * 10
    for split in source.splits.values():
        np.testing.assert_array_equal(split.inputs[:, 5, 5, 0] // 10, split.labels)
    for label, caption in zip(source.test.labels, source.test.captions, strict=True):
        assert caption.startswith(f"{source.class_names[label]} (test ")
    test_images, _ = tiny_fashion(NUM_TEST, NUM_TEST)
    assert sorted(source.test.inputs[:, 0, 0, 0]) == sorted(test_images[:, 0, 0])

    again = fashion_mnist(**options)
    for name, split in source.splits.items():
        np.testing.assert_array_equal(split.inputs, again.splits[name].inputs)
        np.testing.assert_array_equal(split.labels, again.splits[name].labels)


def test_classes_can_be_parted_instead(manual_dir, tmp_path):
    source = fashion_mnist(data_dir=tmp_path / "tfds", manual_dir=manual_dir, unseen_classes=True)
    assert source.unseen_classes
    assert [len(split.classes) for split in source.splits.values()] == [3, 2, 5]
    assert sum(len(split) for split in source.splits.values()) == NUM_TRAIN + NUM_TEST


def test_unprepared_without_files_says_at_once_what_to_do(tmp_path):
    start = time.monotonic()
    with pytest.raises(ValueError) as caught:
        fashion_mnist(data_dir=tmp_path)
    assert time.monotonic() - start < 10
    message = str(caught.value)
    assert f"not prepared in {tmp_path}/fashion_mnist/3.0.1" in message
    for part in ("data_dir", "download=true", "manual_dir", "t10k-labels-idx1-ubyte.gz (http"):
        assert part in message
    assert not list(tmp_path.iterdir())


def test_incomplete_manual_dir_does_not_go_to_the_network(manual_dir, tmp_path):
    (manual_dir / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="lacks train-images-idx3-ubyte.gz$"):
        fashion_mnist(data_dir=tmp_path / "tfds", manual_dir=manual_dir)


def test_broken_manual_file_is_named(manual_dir, tmp_path):
    (manual_dir / "train-images-idx3-ubyte.gz").write_bytes(b"half a download")
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz is not the published file"):
        fashion_mnist(data_dir=tmp_path / "tfds", manual_dir=manual_dir)


@pytest.mark.parametrize(
    "error", [socket.gaierror(-3, "Temporary failure in name resolution"), TimeoutError("timed out")]
)
def test_download_without_a_network_ends_at_once(tmp_path, monkeypatch, error):
    """TFDS would try eleven times, with growing pauses of 204 seconds in all."""
    asked = []

    def fail(*args, **kwargs):
        asked.append(args)
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    start = time.monotonic()
    with pytest.raises(
        ValueError, match=rf"fashion_mnist cannot be downloaded: http.* does not answer \(.*{error.args[-1]}"
    ):
        fashion_mnist(data_dir=tmp_path, download=True)
    assert time.monotonic() - start < 10 and len(asked) == 1


def test_dead_network_is_said_in_one_line(tmp_path, monkeypatch):
    def fail(self, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.builder_cls("fashion_mnist"), "download_and_prepare", fail)
    monkeypatch.setattr(tfds_module, "check_reachable", lambda builder: None)
    with pytest.raises(ValueError, match="fashion_mnist cannot be prepared: no route to host"):
        fashion_mnist(data_dir=tmp_path, download=True)


def test_unknown_set_gets_a_hint(tmp_path):
    with pytest.raises(ValueError, match="'fashion_mnits'; did you mean fashion_mnist"):
        tfds_source("fashion_mnits", data_dir=tmp_path)


def store(tmp_path, features, **splits):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={name: list(enumerate(rows)) for name, rows in splits.items()},
        data_dir=tmp_path,
        disable_shuffling=True,
    )


def test_images_of_different_sizes_need_one(tmp_path):
    rows = [
        {"image": np.full((4 + i, 6, 3), 10 * i, np.uint8), "label": "ab"[i % 2], "note": "x" * i} for i in range(8)
    ]
    features = {
        "note": tfds.features.Text(),
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
    store(tmp_path, features, train=rows, test=rows)
    with pytest.raises(ValueError, match=r"set image_size=\(height, width\)"):
        tfds_source("tiny", data_dir=tmp_path, validation_items=4)
    source = tfds_source("tiny", data_dir=tmp_path, validation_items=4, image_size=(5, 5))
    assert source.name == "tiny"
    assert source.test.inputs[:, 2, 2, 0].tolist() == [10 * i for i in range(8)]
    assert source.test.labels.tolist() == [0, 1] * 4


def test_set_without_a_test_split_is_refused(tmp_path):
    rows = [{"image": np.zeros((4, 4, 3), np.uint8), "label": "a"}] * 3
    features = {
        "image": tfds.features.Image(shape=(4, 4, 3)),
        "label": tfds.features.ClassLabel(names=["a"]),
    }
    store(tmp_path, features, train=rows)
    with pytest.raises(ValueError, match="must have the splits train and test, .* it has train"):
        tfds_source("tiny", data_dir=tmp_path)


def test_set_without_labels_is_refused(tmp_path):
    rows = [{"image": np.zeros((4, 4, 3), np.uint8)}]
    features = {"image": tfds.features.Image(shape=(4, 4, 3))}
    store(tmp_path, features, train=rows, test=rows)
    with pytest.raises(ValueError, match="must have one image or text and one class label, got features image .Image"):
        tfds_source("tiny", data_dir=tmp_path)


def test_texts_are_read_and_own_splits_kept(tmp_path):
    """Two sets of classes, as Omniglot has them; validation is held out of the classes of training."""
    names = [f"intent {i}" for i in range(8)]
    rows = [
        [{"text": f"{name} said {n}", "label": name} for name in part for n in range(3)]
        for part in (names[:5], names[5:])
    ]
    features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=names)}
    store(tmp_path, features, train=rows[0], validation=rows[1])
    options = {"data_dir": tmp_path, "unseen_classes": True, "test_split": "validation"}
    source = tfds_source("tiny", own_splits=True, **options)
    assert source.kind == "texts"
    assert source.names_of(source.test) == names[5:] and len(source.validation.classes) == 2
    assert source.test.captions == tuple(row["text"] for row in rows[1])
    pooled = tfds_source("tiny", **options)
    assert len(pooled.test.classes) == 4 and pooled.names_of(pooled.test) != names[4:]
    with pytest.raises(ValueError, match="must have the splits train and test, .* it has train, validation"):
        tfds_source("tiny", data_dir=tmp_path)


ALPHABETS = {"train": range(0, 964, 20), "test": range(964, 1623, 20), "small1": [0]}
SPECIES = {"train": [*range(0, 8142, 60)] * 2, "validation": range(0, 8142, 60), "test": [0]}


@pytest.mark.parametrize(
    ("option", "name", "labels", "words"),
    [
        ("cifar100", "cifar100", {"train": [*range(100)] * 2, "test": range(100)}, []),
        ("mnist", "mnist", {"train": [*range(10)] * 6, "test": range(10)}, ["data.validation_items=20"]),
        ("omniglot", "omniglot", ALPHABETS, []),
        ("inaturalist", "i_naturalist2018", SPECIES, ["data.image_size=[5,5]"]),
    ],
)
def test_each_experiment_has_the_splits_of_its_set(tmp_path, option, name, labels, words):
    """Of sets with the names, the features and the splits of the true ones, and few of their items."""
    features = tfds.builder_cls(name)(data_dir=tmp_path).info.features
    shape = [size or 6 for size in features["image"].shape]
    others = {key: "a" if isinstance(each, tfds.features.Text) else 0 for key, each in features.items()}
    image = np.zeros(shape, np.uint8)
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=str(tfds.builder_cls(name).VERSION or "1.0.0"),
        features=features,
        split_datasets={
            split: [(row, others | {"image": image, "label": label}) for row, label in enumerate(each)]
            for split, each in labels.items()
        },
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("config", [f"experiment={option}", f"data.data_dir={tmp_path}", *words])
    source = hydra.utils.instantiate(cfg.data, _convert_="all")
    classes = {split: set(part.labels.tolist()) for split, part in source.splits.items()}
    sizes = {split: len(part) for split, part in source.splits.items()}
    if option == "mnist":  # classes seen, its own test
        assert not source.unseen_classes and classes["train"] == classes["test"] == set(range(10))
        assert sizes == {"train": 40, "validation": 20, "test": 10}
        return
    assert source.unseen_classes and sum(map(len, classes.values())) == len(set().union(*classes.values()))
    assert source.input_shape == {"cifar100": (32, 32, 3), "omniglot": (28, 28, 3), "inaturalist": (5, 5, 3)}[option]
    if option == "cifar100":
        assert [len(part) for part in classes.values()] == [40, 10, 50] and sum(sizes.values()) == 300
    elif option == "omniglot":  # the alphabets of its test
        assert classes["test"] == set(labels["test"]) and len(classes["train"]) == 44
    else:
        assert classes["test"] <= set(split_classes_by_seed(8142, test_fraction=0.3)["test"].tolist())
        assert sum(sizes.values()) == 3 * 136


def test_species_to_find_are_nearly_as_many_as_those_of_the_papers():
    parts = split_classes_by_seed(8142, test_fraction=0.3, validation_fraction=0.1)
    assert len(parts["test"]) == 2443 and sum(map(len, parts.values())) == 8142

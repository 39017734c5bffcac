"""Inputs that bite, shared by the tests of losses and miners, and small runs of train.py."""

import fcntl
import functools
import io
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import warnings
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hydra
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from metric_learning.steps import at_step
from metric_learning.tuples import Triplets

ROOT = pathlib.Path(__file__).parent.parent
CONF = ROOT / "conf"


class Batch(NamedTuple):
    labels: np.ndarray
    embeddings: np.ndarray


# Ids of which float32 makes two classes: 2^24 and 2^24 + 1 are one there, and 2^24 + 3 is 2^24 + 4.
A, B, C, SINGLE = 2**24, 2**24 + 1, 2**24 + 2, 2**24 + 3


@pytest.fixture
def batch():
    """Unsorted labels, classes of 4, 3, 2 and 1 rows, rows of unequal length, all distances different.

    Entries are multiples of 1/64, so that float32 computes squared distances without rounding.
    """
    rows = np.random.default_rng(5).normal(scale=0.5, size=(10, 3))
    return Batch(np.array([A, B, A, C, SINGLE, B, A, C, B, A]), np.round(64 * rows) / 64)


@pytest.fixture
def batch_with_duplicates(batch):
    """The batch, with one row repeated within its class, and one repeated as a row of another class."""
    embeddings = batch.embeddings.copy()
    embeddings[6] = embeddings[2]
    embeddings[7] = embeddings[5]
    return Batch(batch.labels, embeddings)


@pytest.fixture
def bank():
    """Rows to compare the batch with: one class of it is missing here, and one is new."""
    rows = np.random.default_rng(6).normal(scale=0.5, size=(7, 3))
    return Batch(np.array([C, A, B, 2**24 + 9, A, C, B]), np.round(64 * rows) / 64)


@pytest.fixture
def masks():
    """`masks(labels, ref_labels=None)`: the positive and the negative mask, NumPy."""

    def of(labels, ref_labels=None):
        same = np.equal.outer(labels, labels if ref_labels is None else ref_labels)
        own = np.eye(*same.shape, dtype=bool) & (ref_labels is None)
        return same & ~own, ~same

    return of


@pytest.fixture
def random_triplets(masks):
    """`random_triplets(labels)`: valid triplets where there are any, with weights of 0, 0.5 and 2; elsewhere 0."""

    def draw(labels, ref_labels=None, slots=4, seed=31):
        rng = np.random.default_rng(seed)
        positive_mask, negative_mask = masks(labels, ref_labels)
        positive, negative = np.zeros((2, len(labels), slots), np.int32)
        weights = np.zeros((len(labels), slots), np.float32)
        for a in range(len(labels)):
            if positive_mask[a].any() and negative_mask[a].any():
                positive[a] = rng.choice(np.flatnonzero(positive_mask[a]), slots)
                negative[a] = rng.choice(np.flatnonzero(negative_mask[a]), slots)
                weights[a] = rng.choice([0.0, 0.5, 2.0], slots)
        return Triplets(*map(tf.constant, (positive, negative, weights)))

    return draw


@pytest.fixture
def central_differences():
    """The gradient of a function of one float64 matrix, entry by entry."""

    def differentiate(function, matrix, step=1e-6):
        gradient = np.zeros_like(matrix)
        for index in np.ndindex(matrix.shape):
            shifted = matrix.copy()
            shifted[index] += step
            above = function(shifted)
            shifted[index] -= 2 * step
            gradient[index] = (above - function(shifted)) / (2 * step)
        return gradient

    return differentiate


@pytest.fixture(autouse=True)
def at_the_first_step():
    """Scheduled settings stand at step 0, unless a test says another."""
    with at_step(0):
        yield


@pytest.fixture(scope="session")
def build():
    """`build("loss", "loss=triplet", "miner=none")`: what that part of the configuration makes.

    A loss that learns is built for six classes, of which the batch has four, and three dimensions.
    """

    @functools.cache
    def built(part, *overrides):
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose("config", ["encoder.embedding_dim=3", *overrides])
        made = hydra.utils.instantiate(cfg[part], _convert_="all")
        if part == "loss":
            keras.utils.set_random_seed(3)
            made.build(6, 3, ["ant", "bee", "red ant", "red deer", "deer", "emu"])
        return made

    return built


@pytest.fixture
def labels_for():
    """`labels_for(loss, labels)`: the labels as they are, or from 0 without gaps for a loss that knows its classes."""

    def fitting(loss, labels):
        if "num_classes" not in loss.get_config():
            return labels
        return np.searchsorted(np.unique(np.array([A, B, C, SINGLE, 2**24 + 9])), labels)

    return fitting


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of 16 classes of 6 images; a class is a color."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in range(16):
        (root / f"class{name}").mkdir()
        color = rng.integers(0, 256, 3)
        for i in range(6):
            pixels = (color + rng.integers(-60, 60, (8, 8, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class{name}" / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def small_run(images):
    """Overrides that make a run one of seconds."""
    return small_run_of(images)


def small_run_of(root):
    return [
        "data=image_folder",
        f"data.root={root}",
        "data.image_size=[8,8]",
        "encoder.widths=[4]",
        "encoder.embedding_dim=4",
        "batch.classes=4",
        "batch.samples=3",
        "steps=12",
        "evaluation.every=4",
        "evaluation.ks=[1,2]",
        "optimizer.learning_rate.warmup_steps=2",
        "tracking=none",
    ]


@pytest.fixture
def configure(small_run):
    """`configure(*overrides)`: the configuration of a small run."""

    def compose(*overrides):
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            return hydra.compose("config", [*small_run, *overrides])

    return compose


@pytest.fixture
def without_report(monkeypatch):
    """Runs of train.py in this process leave no page and no pictures, which take longer than all else of one."""
    monkeypatch.setattr("metric_learning.report.report_run", lambda *_, **__: {})


@pytest.fixture(scope="session")
def finished_run(images, start, finish, tmp_path_factory):
    """(folder, images) of a small run that `python train.py` has finished, one for all tests: to be read, or copied."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished" / "run"
    with open(shared / "finished.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.copytree(images, shared / "finished" / "images", dirs_exist_ok=True)
            begun = folder.with_name("begun")
            finish(start(*small_run_of(shared / "finished" / "images"), f"hydra.run.dir={begun}"))
            begun.rename(folder)
    return folder, shared / "finished" / "images"


@pytest.fixture
def script(monkeypatch, capsys):
    """`script("search", *words)`: what scripts/search.py does and says, here, where TensorFlow is imported already."""

    def run(name, *words):
        path = str(ROOT / "scripts" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, words)])
        capsys.readouterr()
        code = 0
        with warnings.catch_warnings():
            warnings.resetwarnings()  # to what a program begins with
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", hidden)
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
        said = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def start():
    """`start(*overrides)`: starts `python train.py` as a user would."""

    def begin(*overrides, **options):
        command = [sys.executable, str(ROOT / "train.py"), *overrides]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    return begin


@pytest.fixture(scope="session")
def finish():
    """`finish(process)`: its output, once it has ended well."""

    def end(process):
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return output

    return end


@pytest.fixture(scope="session")
def odd_pictures():
    """Name -> the bytes of a file of each kind that is easily read in another way than it was for training."""
    rng = np.random.default_rng(0)
    colors = Image.fromarray(rng.integers(256, size=(20, 30, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    shades = Image.fromarray(rng.integers(2**12, size=(20, 30), dtype=np.uint16))
    frames = [colors.convert("P"), colors.rotate(180).convert("P")]

    def saved(image, form, **options):
        file = io.BytesIO()
        image.save(file, form, **options)
        return file.getvalue()

    return {
        "12 bits in 16": saved(shades, "PNG"),
        "animated": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "CMYK": saved(colors.convert("CMYK"), "JPEG"),
        "turned by EXIF": saved(colors.convert("RGB"), "JPEG", exif=exif),
        "transparent": saved(colors, "PNG"),
        "a transparent color": saved(frames[0], "PNG", transparency=3),
    }

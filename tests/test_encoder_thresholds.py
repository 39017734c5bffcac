"""What an encoder promises of its matches: a threshold from labeled items or pairs, kept in its folder."""

import keras
import numpy as np
import pytest

import metric_learning
from metric_learning.data.source import image_source
from metric_learning.encoder_files import describe_encoder
from metric_learning.encoders import mlp
from metric_learning.evaluation import calibrate, nearest_of_all


@pytest.fixture
def encoder(tmp_path):
    """Of a run on features of 7 numbers, by the Euclidean distance."""
    keras.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(24, 7)).astype(np.float32)
    parts = {"train": np.arange(12), "validation": np.arange(12, 18), "test": np.arange(18, 24)}
    labels = np.repeat(np.arange(8), 3)
    source = image_source("rows", list("abcdefgh"), rows, labels, list("abcdefgh") * 3, parts, kind="features")
    (tmp_path / "run").mkdir()
    mlp(source.input_shape, embedding_dim=7).save(tmp_path / "run" / "encoder.keras")
    source.save(tmp_path / "run")
    describe_encoder(tmp_path / "run", source, "euclidean")
    return metric_learning.load(tmp_path / "run")


def test_a_threshold_is_kept_in_the_folder_and_known_to_its_indexes(encoder):
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(60, 7))
    labels = np.repeat([f"class {i}" for i in range(60)], 5)
    items = np.repeat(centers, 5, axis=0) + 0.05 * rng.normal(size=(300, 7))
    found = encoder.calibrate(items, labels, precision=0.9)
    again = metric_learning.load(encoder.folder)
    assert again.calibration["threshold"] == found.threshold == again.index(items).threshold
    assert again.calibration["rates"]["precision"] == list(found.rates["precision"])
    index = again.index(items[::5], labels=labels[::5].tolist())
    matches = index.match(encoder.embed(items[1::5]))
    right = [hit.label == label for hit, label in zip(matches, labels[1::5], strict=True) if hit]
    assert len(right) > 20 and np.mean(right) >= 0.9
    assert index.match(encoder.embed(items[1:2]), threshold=0.0) == [None]
    with pytest.raises(ValueError, match="labels must be one for each of 300 items; got 3"):
        encoder.calibrate(items, labels[:3], precision=0.9)
    with pytest.raises(ValueError, match="calibrate needs items and labels, or pairs"):
        encoder.calibrate(items, precision=0.9)
    with pytest.warns(UserWarning, match="keeps its threshold"):
        index.save(encoder.folder / "index")
        encoder.calibrate(items, labels, families={f"class {i}": i // 4 for i in range(60)}, recall=0.5)
        metric_learning.Index.load(encoder.folder / "index", encoder)
    assert encoder.calibration["classes"] == 15 and encoder.calibration["of"] == "items"


def test_a_threshold_is_calibrated_without_rows_of_the_same_label_and_group(encoder):
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(60), 6)
    groups = [f"camera {number}" for number in np.arange(360) % 6 // 2]  # two of each label
    places = rng.normal(size=(60, 7))[labels] + 0.3 * rng.normal(size=(180, 7)).repeat(2, axis=0)
    items = places + 0.001 * rng.normal(size=(360, 7))  # a camera sees the same twice
    near = encoder.calibrate(items, labels, recall=0.5).threshold
    found = encoder.calibrate(items, labels, groups=groups, recall=0.5)
    nearest = nearest_of_all(encoder.embed(items), labels, groups=groups, distance=encoder.distance)
    assert found.threshold == calibrate(nearest, recall=0.5).threshold > 10 * near
    assert metric_learning.load(encoder.folder).calibration["threshold"] == found.threshold
    with pytest.raises(ValueError, match="groups must be one for each of 360 items; got 359"):
        encoder.calibrate(items, labels, groups=groups[1:], recall=0.5)
    for named in ({"groups": groups}, {"families": {0: 1}}):
        with pytest.raises(ValueError, match="groups and families are of items, and pairs have none"):
            encoder.calibrate(pairs=[(0.1, True), (0.2, False)], **named, recall=0.5)


def test_a_threshold_is_calibrated_on_pairs(encoder):
    rng = np.random.default_rng(3)
    items = np.repeat(rng.normal(size=(60, 7)), 5, axis=0) + 0.05 * rng.normal(size=(300, 7))
    chosen = rng.integers(300, size=(3000, 2))
    pairs = [(tuple(items[i]), tuple(items[j]), bool(i // 5 == j // 5)) for i, j in chosen]
    pairs += [(tuple(items[i]), tuple(items[i - 1]), True) for i in range(300) if i % 5]
    found = encoder.calibrate(pairs=pairs, far=0.05)
    rows = encoder.embed(items).astype(np.float64)
    distances = [np.sqrt(((rows[i] - rows[j]) ** 2).sum()) for i, j in chosen if i // 5 != j // 5]
    assert found.rates["far"][0] == pytest.approx(np.mean(np.array(distances) <= found.threshold), abs=1e-3)
    assert metric_learning.load(encoder.folder).calibration["of"] == "pairs"
    measured = [(np.sqrt(((rows[i] - rows[j]) ** 2).sum()), bool(i // 5 == j // 5)) for i, j in chosen]
    assert encoder.calibrate(pairs=measured, far=0.05).threshold == pytest.approx(found.threshold, rel=0.2)

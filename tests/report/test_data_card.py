"""The picture of the data: what its bars and samples are of, and that each kind of items is drawn."""

import numpy as np
import pytest
from PIL import Image

from metric_learning.data.source import image_source, text_source
from metric_learning.report.pictures.data_card import class_sizes, data_card, sample_rows, size_edges

LABELS = np.repeat(np.arange(12), [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 90, 2])
ROWS = {name: np.flatnonzero(LABELS % 3 == part) for part, name in enumerate(("train", "validation", "test"))}
NAMES = [f"class {label}" for label in range(12)]


def test_sizes_are_counted_also_of_several_classes_a_row():
    assert class_sizes(LABELS).tolist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 90, 2]
    several = np.array([[True, True, False, False], [True, False, True, False]])
    assert class_sizes(several).tolist() == [2, 1, 1]


@pytest.mark.parametrize(("largest", "bins"), [(1, 1), (9, 9), (30, 30), (5000, 25)])
def test_every_size_falls_into_one_bin(largest, bins):
    sizes = np.arange(1, largest + 1)
    edges = size_edges(sizes)
    assert np.histogram(sizes, edges)[0].sum() == largest and (np.diff(edges) >= 1).all()
    assert len(edges) - 1 >= bins
    assert size_edges(np.array([7, 7])).tolist() == [6.5, 7.5]


def test_samples_are_of_different_classes_and_not_always_their_first_items():
    labels = np.repeat(np.arange(40), 9)
    rows = sample_rows(labels, 18)
    assert len(set(labels[rows])) == 18 and len(set(rows % 9)) > 3
    assert rows.tolist() == sample_rows(labels, 18).tolist()
    assert sorted(labels[sample_rows(labels, 99)]) == list(range(40))


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def source_of(kind):
    captions = [f"item {row} 中 $x_" for row in range(len(LABELS))]
    options = {"ids": [str(row) for row in range(len(LABELS))], "unseen_classes": True}
    if kind == "texts":
        return text_source("words", NAMES, captions, LABELS, ROWS, **options)
    rng = np.random.default_rng(0)
    if kind == "images":
        inputs = np.zeros((len(LABELS), 5, 5, 3), np.uint8) + np.array([0, 0, 200], np.uint8)
    else:
        inputs = rng.normal(size=(len(LABELS), 7)).astype(np.float32)
    return image_source("things", NAMES, inputs, LABELS, captions, ROWS, kind=kind, warn_about_copies=False, **options)


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
@pytest.mark.parametrize("kind", ["images", "texts", "features"])
def test_draws_every_kind(kind, tmp_path):
    source = source_of(kind)
    path = data_card(
        tmp_path / "new" / "data.png", source.card, source.splits, class_names=source.class_names, title="\U0001f980"
    )
    pixels = pixels_of(path)
    assert pixels.shape == (92 + 3 * 212 + 34 + 18 * max(1, len(source.card["copies"])), 1500, 3)
    if kind == "images":  # a tile of 84 pixels for each class of each split
        assert (pixels == [0, 0, 200]).all(axis=-1).sum() == pytest.approx(12 * 84**2, rel=0.02)
    else:
        assert (pixels[:, 630:] < 200).any()


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
def test_what_is_there_twice_is_said_in_red(tmp_path):
    source = source_of("features")
    clean, twice = source.card, dict(source.card, in_two_splits={"train and test": 3}, copies={"test": 1})
    red = {}
    for name, card in (("clean", clean), ("twice", twice)):
        path = data_card(tmp_path / f"{name}.png", card, source.splits, class_names=source.class_names)
        red[name] = int((pixels_of(path) == [0xD4, 0x35, 0x2C]).all(axis=-1).sum())
    assert red["clean"] == 0 < red["twice"]

"""The folder of pictures that docs/first_hour.md begins with: who is where, and that nothing is in two places."""

import csv
import importlib.util
import pathlib

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import emoji

FILE = pathlib.Path(__file__).parents[2] / "examples/emoji_folder.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("emoji_folder", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_of_folders_are_plain_and_each_its_own(example):
    assert example.folder_names(["Upside-down face", "keycap: #", "keycap: *", "“x”"]) == [
        *("upside-down-face", "keycap", "keycap-2", "x")
    ]
    names = example.folder_names(list(emoji().class_names))
    assert len(set(names)) == len(names) == 1616 and all(name.isascii() for name in names)


@pytest.mark.slow
def test_every_picture_is_in_one_place(example, tmp_path):
    folder = tmp_path / "hour"
    counts = example.write(folder)
    found = {place: list((folder / place).rglob("*.png")) for place in counts}
    assert {place: len(files) for place, files in found.items()} == counts
    classes = {place: {file.parent.name for file in found[place]} for place in ("pictures", "catalog")}
    queries = {file.stem for file in found["queries"]}
    assert not classes["pictures"] & (classes["catalog"] | queries)
    assert classes["catalog"] < queries and len(queries) == 106 and len(classes["catalog"]) == 53
    assert not (tmp_path / ".unfinished-hour").exists()

    source = emoji()
    label = source.class_names.index("bed")  # a known one: its first drawing asks, the others are found
    drawings = [
        image
        for split in source.splits.values()
        for image, each in zip(split.inputs, split.labels, strict=True)
        if each == label
    ]
    written = [np.array(Image.open(file)) for file in (folder / "catalog" / "bed").iterdir()]
    np.testing.assert_array_equal(np.array(Image.open(folder / "queries" / "bed.png")), drawings[0])
    assert sorted(image.tobytes() for image in written) == sorted(image.tobytes() for image in drawings[1:])

    with open(folder / "texts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 1565 and {"text": "tiger", "label": "tiger"}.keys() == rows[0].keys()
    assert "tiger" in {row["label"] for row in rows if "tigre" in row["text"]}
    with pytest.raises(ValueError, match="folder must be a new one; .* is there already"):
        example.write(folder)

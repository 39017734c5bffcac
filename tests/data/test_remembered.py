"""What a run remembers of its data, and what it says when they have changed."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import train
from metric_learning.data import csv, image_folder
from metric_learning.data.remembered import Item, differences, from_table, to_table

CLASSES = "abcdefgh"


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(value).integers(256, size=(6, 6, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    """Two images for each of eight classes, in folders of splits."""
    for i, name in enumerate(CLASSES):
        split = "train" if i < 4 else "val" if i < 6 else "test"
        for k in range(2):
            save(tmp_path / "pets" / split / name / f"{k}.png", 2 * i + k)
    return tmp_path / "pets"


def changes(before, root, folder):
    before.save(folder)
    return image_folder(root).changes_since(folder)


def test_nothing_is_said_of_the_same_data_wherever_they_are(root, tmp_path):
    image_folder(root).save(tmp_path)
    assert image_folder(root).changes_since(tmp_path) == ""
    image_folder(root).check_unchanged(tmp_path)
    shutil.move(root, tmp_path / "moved")
    assert image_folder(tmp_path / "moved").changes_since(tmp_path) == ""


def test_an_added_class_is_named(root, tmp_path):
    before = image_folder(root)
    save(root / "train" / "zebra" / "0.png", 90)
    save(root / "train" / "zebra" / "1.png", 91)
    assert changes(before, root, tmp_path) == (
        "train: 1 class added (zebra), 2 items added (train/zebra/0.png, train/zebra/1.png)"
    )
    with pytest.raises(ValueError, match=f"changed since {tmp_path} began, so it cannot be resumed: train: 1 class"):
        image_folder(root).check_unchanged(tmp_path)


def test_what_was_removed_changed_and_moved_is_named(root, tmp_path):
    before = image_folder(root)
    (root / "test" / "h" / "0.png").unlink()
    save(root / "val" / "e" / "1.png", 92)
    shutil.move(root / "train" / "a" / "0.png", root / "train" / "b" / "7.png")
    with pytest.warns(UserWarning, match="nothing to be matched with"):
        assert changes(before, root, tmp_path) == (
            "train: 1 item added (train/b/7.png), 1 item removed (train/a/0.png); "
            "validation: 1 item changed (val/e/1.png); test: 1 item removed (test/h/0.png)"
        )


def test_a_new_class_of_parted_classes_changes_the_splits_and_all_of_it_is_said(tmp_path):
    for i, name in enumerate("abcdefghij"):
        for k in range(2):
            save(tmp_path / "pets" / name / f"{k}.png", 2 * i + k)
    image_folder(tmp_path / "pets").save(tmp_path)
    save(tmp_path / "pets" / "zebra" / "0.png", 90)
    save(tmp_path / "pets" / "zebra" / "1.png", 91)
    now = image_folder(tmp_path / "pets")
    said = now.changes_since(tmp_path)
    before = json.loads((tmp_path / "classes.json").read_text())
    for name, split in now.splits.items():
        for verb, names in (
            ("added", set(now.names_of(split)) - set(before[name])),
            ("removed", set(before[name]) - set(now.names_of(split))),
        ):
            assert all(f"{word}/0.png" in said for word in names), (verb, names, said)
    assert "1 class added" in said and "zebra" in said


def test_a_reordered_table_is_said(tmp_path):
    rows = [f"{name} {i},{name},{name}{i}" for name in CLASSES for i in range(2)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,key", *rows]))
    csv(tmp_path / "t.csv", id="key").save(tmp_path)
    (tmp_path / "t.csv").write_text("\n".join(["text,label,key", *rows[::-1]]))
    said = csv(tmp_path / "t.csv", id="key").changes_since(tmp_path)
    assert said.startswith("train: the items are in another order")
    assert "added" not in said and "changed" not in said


def test_differences_by_hand():
    before = {"train": [Item("1", "a", "x"), Item("2", "b", "y")], "gallery": [Item("3", "c", "z")]}
    now = {"train": [Item("1", "b", "x"), Item("2", "b", "y")], "test": [Item("3", "c", "z")]}
    assert differences(before, before) == ""
    assert differences(before, now) == (
        "train: 1 class removed (a), 1 item changed (1); gallery: 1 class removed (c), 1 item removed (3); "
        "test: 1 class added (c), 1 item added (3)"
    )


def test_any_name_comes_back_from_the_table(tmp_path):
    items = {"train": [Item('a,"b"\n猫', "c;\td", "0f")], "test": [Item("", " ", "")]}
    (tmp_path / "items.csv").write_text(to_table(items), encoding="utf-8")
    assert from_table(tmp_path / "items.csv") == items


def test_a_folder_that_remembers_nothing_is_named(root, tmp_path):
    with pytest.raises(ValueError, match="there is no .*items.csv, so nothing to compare the data with"):
        image_folder(root).changes_since(tmp_path)


def test_a_run_is_not_resumed_on_other_data(configure, images, without_report, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(images, root)
    folder = tmp_path / "run"
    cfg = configure(f"data.root={root}", "steps=4")
    train.experiment(cfg, folder, resume=False)
    card = json.loads((folder / "data.json").read_text())
    assert sum(split["items"] for split in card["splits"].values()) == 96
    assert card["splits"]["train"]["class_sizes"] == {"smallest": 6, "median": 6.0, "largest": 6}
    encoder = (folder / "encoder.keras").read_bytes()
    train.experiment(cfg, folder, resume=True)
    assert (folder / "encoder.keras").read_bytes() == encoder  # its indexes stay its own
    save(root / "class99" / "0.png", 1)
    save(root / "class99" / "1.png", 2)
    with pytest.raises(ValueError, match="the data have changed since .*run began, so it cannot be resumed: .*class99"):
        train.experiment(cfg, folder, resume=True)

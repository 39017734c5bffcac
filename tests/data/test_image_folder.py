import os
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import image_folder

NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), value).save(path)


@pytest.fixture
def root(tmp_path):
    """Eight classes; class i has images of gray i*10 + k, all with the same base names."""
    for i, name in reversed(list(enumerate(NAMES))):
        save(tmp_path / "pets" / name / "001.png", i * 10)
        save(tmp_path / "pets" / name / "deeper" / "001.png", i * 10 + 1)
    return tmp_path / "pets"


def test_reads_classes_in_the_order_of_their_names(root):
    source = image_folder(root, image_size=[4, 6])
    assert source.name == "pets"
    assert source.class_names == tuple(NAMES)
    assert source.input_shape == (4, 6, 3)
    for split in source.splits.values():
        for image, label, caption in zip(split.inputs, split.labels, split.captions, strict=True):
            assert caption.startswith(NAMES[label] + "/")
            assert (image == label * 10 + ("deeper" in caption)).all()


def test_folder_it_runs_in_has_a_name(root, monkeypatch):
    monkeypatch.chdir(root)
    assert image_folder(".").name == "pets"


def test_equal_base_names_stay_apart(root):
    source = image_folder(root)
    captions = [caption for split in source.splits.values() for caption in split.captions]
    assert len(set(captions)) == 16
    assert "ant/001.png" in captions
    assert "ant/deeper/001.png" in captions


def test_split_is_a_function_of_the_seed(root):
    def test_classes(seed):
        return tuple(image_folder(root, seed=seed).test.classes.tolist())

    assert test_classes(1) == test_classes(1)
    assert len({test_classes(seed) for seed in range(5)}) > 1
    source = image_folder(root, test_fraction=0.3)
    assert [len(split.classes) for split in source.splits.values()] == [4, 2, 2]


def test_hidden_files_and_leavings_of_file_managers_are_no_images(root):
    for name in (".DS_Store", "Thumbs.db", ".cache/old.png"):
        path = root / "ant" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"leavings")
    (root / ".git").mkdir()
    (root / "empty").mkdir()
    (root / "README.md").write_text("about")
    assert image_folder(root).class_names == tuple(NAMES)


def test_unreadable_file_is_named(root):
    (root / "bee" / "000.jpg").write_text("not an image")
    with pytest.raises(ValueError, match=r"1 of 17 images cannot be read: .*bee/000.jpg"):
        image_folder(root)
    with pytest.warns(UserWarning, match="1 of 17"):
        source = image_folder(root, skip_unreadable=True)
    assert sum(len(split) for split in source.splits.values()) == 16
    for split in source.splits.values():
        for label, caption in zip(split.labels, split.captions, strict=True):
            assert caption.startswith(source.class_names[label] + "/")


def test_lone_class_is_kept_with_a_warning(root):
    (root / "cat" / "001.png").unlink()
    with pytest.warns(UserWarning, match=r"1 class \(cat\)"):
        source = image_folder(root)
    assert 2 in np.concatenate([split.labels for split in source.splits.values()])


def test_wrong_root_is_named(tmp_path):
    with pytest.raises(ValueError, match="root must be a folder .* got .*nowhere"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="0 folders"):
        image_folder(tmp_path)
    for name in NAMES[:4]:
        save(tmp_path / name / "1.png", 0)
    with pytest.raises(ValueError, match="num_classes=4"):
        image_folder(tmp_path)


@pytest.fixture
def split_root(tmp_path):
    """Splits as folders, by the names that people give them."""
    for i, name in enumerate(NAMES):
        split = "train" if i < 4 else "val" if i < 6 else "test"
        for k in range(2):
            save(tmp_path / "pets" / split / name / f"{k}.png", 10 * i + k)
    return tmp_path / "pets"


def names_of(source):
    return {name: source.names_of(split) for name, split in source.splits.items()}


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "VAL"])
def test_folders_of_splits_are_followed(split_root, validation):
    (split_root / "val").rename(split_root / validation)
    source = image_folder(split_root, image_size=4)
    assert names_of(source) == {"train": NAMES[:4], "validation": NAMES[4:6], "test": NAMES[6:]}
    assert source.input_shape == (4, 4, 3)
    for split in source.splits.values():
        for image, label, caption in zip(split.inputs, split.labels, split.captions, strict=True):
            assert (image == 10 * label + int(caption[-5])).any()
            assert caption.split("/")[1] == NAMES[label]


def test_query_and_gallery_may_be_folders(split_root):
    (split_root / "test").rename(split_root / "gallery")
    save(split_root / "query" / "hen" / "7.png", 99)
    source = image_folder(split_root)
    assert source.test.captions == ("query/hen/7.png",)
    assert source.names_of(source.gallery) == NAMES[6:]


def test_validation_is_held_out_of_the_folder_of_training(split_root):
    (split_root / "val" / "elk").rename(split_root / "train" / "elk")
    (split_root / "val" / "fox").rename(split_root / "train" / "fox")
    (split_root / "val").rmdir()
    source = image_folder(split_root)
    assert len(source.validation.classes) == 2
    assert sorted(source.names_of(source.train) + source.names_of(source.validation)) == NAMES[:6]
    assert source.names_of(source.test) == NAMES[6:]


def test_classes_in_two_folders_of_splits_must_be_meant(split_root):
    for k in range(2):
        save(split_root / "test" / "ant" / f"{k}.png", 200 + k)
    with pytest.raises(ValueError, match=r"train and test .* share 1 class \(ant\); .* data.unseen_classes=false"):
        image_folder(split_root)
    assert names_of(image_folder(split_root, unseen_classes=False))["test"] == ["ant", "gnu", "hen"]


def test_folders_of_splits_without_a_test_are_named(split_root):
    (split_root / "test").rename(split_root / ".test")
    with pytest.raises(ValueError, match=r"folders of splits \(train, val\), but no images in test"):
        image_folder(split_root)


def test_classes_may_be_called_like_splits(root):
    (root / "ant").rename(root / "train")
    (root / "bee").rename(root / "test")
    source = image_folder(root)
    assert {"train", "test", "cat"} <= set(source.class_names) and len(source.class_names) == 8


def test_other_folders_beside_splits_are_left_out_with_a_note(split_root):
    save(split_root / "masks" / "ant" / "0.png", 250)
    with pytest.warns(UserWarning, match=r"left out what is no split by its name: \(masks\), 1 in all"):
        source = image_folder(split_root)
    assert "masks" not in source.class_names


def test_stray_texts_are_left_out_with_a_note(root):
    for name in ("ant/notes.txt", "ant/deeper/LABELS.CSV", "bee/about.md"):
        (root / name).write_text("about")
    with pytest.warns(
        UserWarning, match=r"pets: left out what is no image by its name, .*: \(.*\), 3 in all"
    ) as caught:
        source = image_folder(root)
    assert len(caught) == 1
    assert sum(len(split) for split in source.splits.values()) == 16


def test_what_is_passed_by_is_counted(root):
    save(root / "beside.png", 200)
    os.symlink(root / "bee", root / "ant" / "more")  # followed, it might lead in circles
    with pytest.warns(UserWarning) as caught:
        source = image_folder(root)
    said = sorted(str(warning.message) for warning in caught)
    assert len(said) == 2 and sum(map(len, source.splits.values())) == 16
    assert said[0].endswith("left out what is in no folder of a class: (beside.png), 1 in all")
    assert said[1].endswith("or is a link to a folder: (ant/more/), 1 in all")


def test_pipes_among_images_are_named(root):
    os.mkfifo(root / "bee" / "pipe.png")
    with pytest.raises(ValueError, match=r"1 of 17 images cannot be read: .*pipe.png \(a pipe, not a file\)"):
        image_folder(root)


def test_over_the_folds_every_class_is_tested_once(root):
    sources = [image_folder(root, fold=fold, folds=2) for fold in (0, 1)]
    assert sorted(name for source in sources for name in source.names_of(source.test)) == NAMES


def test_folders_of_splits_take_no_folds(split_root):
    with pytest.raises(ValueError, match="data.folds parts the classes, and this data says itself what to test on"):
        image_folder(split_root, fold=0, folds=2)


def test_source_is_the_same_however_its_images_are_kept(root, tmp_path, capsys):
    shutil.copy(root / "ant" / "001.png", root / "dog" / "copy.png")
    with warnings.catch_warnings(record=True) as expected_warnings:
        warnings.simplefilter("always")
        expected = image_folder(root, cache="memory")
    for cache in ("disk", "disk", "none"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            source = image_folder(root, cache=cache, cache_dir=tmp_path / "cache")
        assert [str(found.message) for found in caught] == [str(found.message) for found in expected_warnings]
        assert source.describe() == expected.describe()
        for name, split in source.splits.items():
            other = expected.splits[name]
            assert not isinstance(split.inputs, np.ndarray)
            assert (split.captions, split.ids, split.contents) == (other.captions, other.ids, other.contents)
            np.testing.assert_array_equal(split.inputs[:], other.inputs, strict=True)
        expected.save(tmp_path)
        assert source.changes_since(tmp_path) == ""

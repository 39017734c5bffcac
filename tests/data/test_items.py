"""Which rows are one item, from files and tables to splits, and what is said about copies."""

import itertools
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import DataSource, Split, csv, emoji, image_folder
from metric_learning.data.items import contents, copies, path_ids, printable

CLASSES = "abcdefgh"


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(value).integers(256, size=(6, 6, 3), dtype=np.uint8)).save(path)


def images_of(values, labels, ids=None):
    inputs = np.stack([np.full((2, 2, 1), value, np.uint8) for value in values])
    return Split(inputs, np.array(labels, np.int64), tuple(f"i{value}" for value in values), ids)


def source(unseen_classes=False, **splits):
    return DataSource("pets", "images", tuple(CLASSES), unseen_classes=unseen_classes, **splits)


TRAIN = {"train": images_of([1, 2, 3, 4], [0, 0, 1, 1], (*"1234",))}
VALIDATION = {"validation": images_of([5, 6, 7, 8], [2, 2, 3, 3], (*"5678",))}


def test_a_file_has_one_id_whatever_it_is_called(tmp_path):
    save(tmp_path / "in" / "a.png", 0)
    save(tmp_path / "out.png", 1)
    (tmp_path / "in" / "link.png").symlink_to("a.png")
    (tmp_path / "in" / "away.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "also").symlink_to("in")
    root = tmp_path / "in"
    names = ["a.png", "./a.png", "../in/a.png", str(root / "a.png"), "link.png", "../also/a.png", "../also/link.png"]
    assert set(path_ids([root / name for name in names], root)) == {"a.png"}
    assert set(path_ids([tmp_path / "also" / name for name in names], tmp_path / "also")) == {"a.png"}
    away = (tmp_path / "out.png").as_posix()
    assert path_ids([root / "away.png", tmp_path / "out.png", root / "no.png"], root) == (away, away, "no.png")


def test_a_file_listed_under_two_names_never_finds_itself(tmp_path):
    rows = ["image,label,split"]
    for i in range(8):
        save(tmp_path / f"{i}.png", i)
        part = "train" if i < 4 else "validation"
        rows.append(f"{i}.png,{CLASSES[i // 2]},{part}")
    for i in range(8, 16):
        save(tmp_path / f"{i}.png", i)
        rows += [f"{i}.png,{CLASSES[i // 2]},query", f"./{i}.png,{CLASSES[i // 2]},gallery"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    pets = csv(tmp_path / "t.csv")
    assert pets.test.ids == pets.gallery.ids == tuple(f"{i}.png" for i in range(8, 16))
    assert pets.gallery.captions[0] == "./8.png"


def test_a_column_may_say_which_item_a_row_is(tmp_path):
    rows = [f"{c} {i} {part},{c},{c}{i},{part}" for c in "ef" for i in range(2) for part in ("query", "gallery")]
    rows += [f"{c} {i},{c},{c}{i},{'train' if c < 'c' else 'validation'}" for c in "abcd" for i in range(2)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,item,split", *rows]))
    texts = csv(tmp_path / "t.csv", id="item")
    assert texts.test.ids == texts.gallery.ids == ("e0", "e1", "f0", "f1")
    assert csv(tmp_path / "t.csv").test.ids == ("1", "3", "5", "7")
    with pytest.raises(ValueError, match="no column 'itm', which id asks for"):
        csv(tmp_path / "t.csv", id="itm")


def test_items_of_folders_are_their_files(tmp_path):
    for i, name in enumerate(CLASSES * 2):
        save(tmp_path / name / f"{i}.png", i)
    pets = image_folder(tmp_path)
    assert pets.test.ids == pets.test.captions
    (tmp_path / "a" / "0.png").unlink()
    (tmp_path / "a" / "0.png").symlink_to(tmp_path / "b" / "9.png")
    train = {pets.class_names[label] for label in pets.train.classes}
    if ("a" in train) == ("b" in train):
        pytest.fail("the test needs the two classes in two splits; choose others")
    with pytest.raises(
        ValueError, match=r"1 item of \w+ \(\w/\d.png\) is in \w+ as well; an item must be in one split"
    ):
        image_folder(tmp_path)


def test_an_item_in_training_and_test_is_refused_or_said():
    test = images_of([1, 9, 10, 11], [4, 4, 5, 5], ("1", "9", "10", "11"))
    with pytest.raises(ValueError, match=r"pets: 1 item of test \(i1\) is in train as well; an item must be in one"):
        source(True, **TRAIN, **VALIDATION, test=test)
    with pytest.warns(UserWarning, match=r"pets: 1 item of test \(i1\) is in train as well$") as caught:
        source(False, **TRAIN, **VALIDATION, test=test)
    assert len(caught) == 1


def test_queries_may_be_in_their_gallery_and_rows_without_ids_are_items_of_their_own():
    test = images_of([9, 10, 11, 12], [4, 4, 5, 5], (*"abcd",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source(True, **TRAIN, **VALIDATION, test=test, gallery=test)
        plain = [images_of(range(i, i + 4), [c, c, c + 1, c + 1]) for i, c in ((1, 0), (5, 2), (9, 4))]
        source(True, train=plain[0], validation=plain[1], test=plain[2])


def test_an_item_listed_twice_is_said():
    test = images_of([9, 9, 10, 11, 12], [4, 4, 4, 5, 5], (*"aabcd",))
    with pytest.warns(UserWarning, match=r"pets: 1 item of test \(i9\) is listed again$"):
        source(True, **TRAIN, **VALIDATION, test=test)


def test_copies_are_counted_and_the_first_named():
    test = images_of([1, 2, 3, 4, 9, 9], [4, 4, 5, 5, 5, 4], (*"abcdef",))
    message = (
        r"pets: 4 items of test \(i1, i2, i3, ...\) are copies of other items of train; "
        r"2 items of test \(i9\) are copies of other items of test$"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        pets = source(True, **TRAIN, **VALIDATION, test=test)
    assert len(caught) == 1
    found = copies(pets.splits, pets.contents)
    assert {names: rows.tolist() for names, rows in found.items()} == {
        ("train", "test"): [0, 1, 2, 3],
        ("test", "test"): [4, 5],
    }


def test_copies_equal_a_comparison_of_all_pairs():
    rng = np.random.default_rng(0)
    splits = {
        name: images_of(rng.integers(12, size=30), np.zeros(30), tuple(map(str, rng.integers(25, size=30))))
        for name in ("train", "validation", "test")
    }
    found = copies(splits, {name: contents(split, "images") for name, split in splits.items()})
    for a, b in itertools.combinations_with_replacement(splits, 2):
        slow = [
            any((x == y).all() and i != j for y, j in zip(splits[a].inputs, splits[a].ids, strict=True))
            for x, i in zip(splits[b].inputs, splits[b].ids, strict=True)
        ]
        assert any(slow)
        assert found[a, b].tolist() == np.flatnonzero(slow).tolist()


def test_texts_are_copies_by_spelling_and_images_by_every_pixel():
    ids = np.zeros((3, 4), np.int32)
    hashes = contents(Split(ids, np.zeros(3, np.int64), ("a b", "a b", "a  b")), "texts")
    assert hashes[0] == hashes[1] != hashes[2]
    pixels = np.zeros((3, 2, 2, 1), np.uint8)
    pixels[2, 1, 1] = 1
    hashes = contents(Split(pixels, np.zeros(3, np.int64), ("a", "b", "c")), "images")
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_copies_among_the_emoji_are_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pets = emoji()
    found = {names: len(rows) for names, rows in copies(pets.splits, pets.contents).items()}
    assert found == {
        ("train", "validation"): 4,
        ("train", "test"): 48,
        ("validation", "test"): 16,
        ("train", "train"): 20,
        ("test", "test"): 38,
    }
    assert len({key for split in pets.splits.values() for key in split.ids}) == 10_249


def test_ids_are_checked():
    with pytest.raises(ValueError, match="ids must be a tuple, got list"):
        images_of([1], [0], ["a"])
    with pytest.raises(ValueError, match="ids must be as many as labels, got 1 and 2"):
        images_of([1, 2], [0, 0], ("a",))


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode there")
def test_names_that_are_not_utf_8_are_read_and_written(tmp_path):
    for i, name in enumerate(CLASSES * 2):
        save(tmp_path / "root" / f"caf{name}" / f"{i}.png", i)
    for name in ("cafa", "cafb"):
        os.rename(tmp_path / "root" / name, os.fsencode(tmp_path / "root" / name) + b"\xe9")
    inner = os.fsencode(tmp_path / "root" / "cafc")
    os.rename(inner + b"/2.png", inner + b"/\xff.png")
    pets = image_folder(tmp_path / "root")
    assert pets.class_names[:3] == ("cafa\\xe9", "cafb\\xe9", "cafc")
    captions = {caption for split in pets.splits.values() for caption in split.captions}
    assert {"cafa\\xe9/0.png", "cafc/\\xff.png"} <= captions
    pets.save(tmp_path)
    assert not pets.changes_since(tmp_path)
    assert printable("猫.png") == "猫.png"

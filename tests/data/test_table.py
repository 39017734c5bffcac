import csv as csv_format
import os

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import csv

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def write(path, header, rows, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv_format.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def texts(tmp_path):
    """Eight classes of three texts, the labels in no order."""
    rows = [(f"{word} says, number {i}", word) for i in range(3) for word in WORDS[::-1]]
    return write(tmp_path / "pets.csv", ["text", "label"], rows)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for i, word in enumerate(WORDS * 2):
        name = f"pictures/{word}{i}.png"
        Image.new("L", (5, 5), i).save(tmp_path / name)
        rows.append((name, word))
    return write(tmp_path / "pets.csv", ["image", "label"], rows)


def labels_of_captions(source):
    return {
        caption: source.class_names[label]
        for split in source.splits.values()
        for caption, label in zip(split.captions, split.labels, strict=True)
    }


def test_texts_keep_their_labels(texts):
    source = csv(texts)
    assert source.kind == "texts"
    assert source.name == "pets"
    assert source.class_names == tuple(WORDS)
    found = labels_of_captions(source)
    assert len(found) == 24
    assert all(text.startswith(word) for text, word in found.items())


def test_vocabulary_is_of_training_texts_alone(texts):
    source = csv(texts, ngrams=None, min_count=1, length=8)
    train_words = {f"<{source.class_names[i]}>" for i in source.train.classes}
    class_words = {f"<{word}>" for word in WORDS}
    assert class_words & set(source.vocabulary.tokens) == train_words
    assert source.input_shape == (8,)


def test_images_are_found_beside_the_file(images, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    source = csv(images, image_size=(4, 4), channels=1)
    assert source.kind == "images"
    for split in source.splits.values():
        for image, caption in zip(split.inputs, split.captions, strict=True):
            assert (image == int("".join(filter(str.isdigit, caption)))).all()
    assert labels_of_captions(source)["pictures/ant8.png"] == "ant"


def test_unreadable_images_can_be_left_out(images, tmp_path):
    (tmp_path / "pictures/dog3.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 16 images cannot be read: .*dog3.png"):
        csv(images)
    with pytest.warns(UserWarning) as caught:
        source = csv(images, skip_unreadable=True)
    assert [str(w.message).split(" ")[0] for w in caught] == ["1", "pets:"]  # dog is alone now
    found = labels_of_captions(source)
    assert len(found) == 15
    assert all(word in caption for caption, word in found.items())


def test_seed_decides_the_split_whatever_the_order_of_rows(texts, tmp_path):
    lines = texts.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([lines[0], *lines[:0:-1]]))
    for seed in range(3):
        classes = csv(texts, seed=seed).test.classes
        np.testing.assert_array_equal(classes, csv(turned, seed=seed).test.classes)
    assert len({tuple(csv(texts, seed=seed).test.classes) for seed in range(5)}) > 1


def test_labels_above_2_to_24_stay_apart(tmp_path):
    ids = [str(16_777_216 + i) for i in range(8)]
    rows = [(f"text {i} {name}", name) for i in range(2) for name in ids]
    source = csv(write(tmp_path / "ids.csv", ["text", "label"], rows))
    assert source.class_names == tuple(ids)


def test_labels_are_strings_as_written(tmp_path):
    names = ["7", "07", "007", "7.0", "é", "e", "NA", "nan"]
    rows = [(f"text {i} {name}", name) for i in range(2) for name in names]
    source = csv(write(tmp_path / "ids.csv", ["text", "label"], rows))
    assert source.class_names == tuple(sorted(names))


def test_unicode_quotes_and_byte_order_mark(tmp_path):
    rows = [(f'größer, "{word}" {i}\nनमस्ते', word) for word in WORDS for i in range(2)]
    source = csv(write(tmp_path / "t.csv", ["text", "label"], rows, encoding="utf-8-sig"))
    assert source.train.captions[0].startswith('größer, "')
    assert source.train.captions[0].endswith("\nनमस्ते")


SPLIT_ROWS = [
    (f"text {word} {i}", word, part)
    for i in range(2)
    for word, part in zip(
        WORDS,
        ["train"] * 4 + ["validation"] * 2 + ["test"] * 2,
        strict=True,
    )
]


def write_split(tmp_path, rows, header=("text", "label", "split")):
    return write(tmp_path / "split.csv", header, rows)


def names(source, split):
    return [source.class_names[i] for i in source.splits[split].classes]


def test_split_column_is_followed(tmp_path):
    source = csv(write_split(tmp_path, SPLIT_ROWS))
    assert names(source, "train") == WORDS[:4]
    assert names(source, "validation") == WORDS[4:6]
    assert names(source, "test") == WORDS[6:]
    assert source.gallery is None


def test_split_column_of_another_name_and_one_to_ignore(tmp_path):
    path = write_split(tmp_path, SPLIT_ROWS, ("text", "label", "part"))
    assert names(csv(path, split="part"), "test") == WORDS[6:]
    path = write_split(tmp_path, [(*row[:2], "?") for row in SPLIT_ROWS])
    assert len(names(csv(path, split=""), "test")) == 4


def test_query_and_gallery_are_the_test(tmp_path):
    rows = [row for row in SPLIT_ROWS if row[2] != "test"]
    rows += [("q", "gnu", "query"), ("g", "gnu", "gallery"), ("h", "hen", "gallery")]
    source = csv(write_split(tmp_path, rows))
    assert source.test.captions == ("q",)
    assert source.gallery.captions == ("g", "h")


def test_validation_classes_are_held_out_of_training_when_not_named(tmp_path):
    rows = [(*row[:2], row[2].replace("validation", "train")) for row in SPLIT_ROWS]
    source = csv(write_split(tmp_path, rows), seed=1)
    assert len(names(source, "validation")) == 2
    assert sorted(names(source, "validation") + names(source, "train")) == WORDS[:6]


def test_overlapping_classes_raise_unless_they_are_meant(tmp_path):
    rows = [(f"text {i} {part}", word, part) for i, word in enumerate("aabb") for part in ("train", "test")]
    path = write_split(tmp_path, rows + [(f"valid {i}", word, "validation") for i, word in enumerate("ccdd")])
    with pytest.raises(ValueError, match=r"train and test .* share 2 classes \(a, b\)"):
        csv(path)
    assert names(csv(path, unseen_classes=False), "test") == ["a", "b"]


def test_seen_classes_lend_validation_a_share_of_each(tmp_path):
    rows = [(f"{i} {word} {part}", word, part) for i in range(20) for word in "ab" for part in ("train", "test")]
    source = csv(write_split(tmp_path, rows), unseen_classes=False)
    assert np.bincount(source.validation.labels).tolist() == [2, 2]
    assert np.bincount(source.train.labels).tolist() == [18, 18]
    with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1, got 0"):
        csv(write_split(tmp_path, rows), unseen_classes=False, validation_fraction=0)


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (("words", "label"), {}, "no column image, path, text or features.* are words, label"),
        (("text", "image", "label"), {}, "columns image and text"),
        (("text", "label"), {"text": "txet"}, "no column 'txet', which text asks for"),
        (("text", "class"), {}, "no column 'label', which label asks for.* are text, class"),
        (("text", "label"), {"split": "fold"}, "no column 'fold', which split asks for"),
        (
            ("text", "label"),
            {"image": "text", "text": "text"},
            "one of image, text, features, and categorical with numeric; got",
        ),
        (("text", "text"), {}, "column names must be unique"),
        (("image", "label"), {"length": 5}, "length can only be set for texts"),
        (("text", "label"), {"folds": 2}, "data.fold and data.folds must be given together; got None and 2"),
        (("text", "label"), {"unseen_classes": False, "folds": 2, "fold": 0}, "data.unseen_classes=false parts items"),
        (("text", "label"), {"query": "label"}, "data.query and data.gallery must be given together"),
        (("text", "label"), {"query": "label", "gallery": "label"}, "'label' must hold true or false .* got 'ant'"),
    ],
)
def test_wrong_columns_are_named_with_the_ones_there_are(tmp_path, header, options, message):
    path = write(tmp_path / "t.csv", header, [[word] * len(header) for word in WORDS])
    with pytest.raises(ValueError, match=message):
        csv(path, **options)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("text,label\na,b\nonly one\n", "line 3: expected 2 columns .* got 1"),
        ("text,label\n", "header line and rows"),
        ("text,label\na,x\n,y\n ,z\n", "'text' is empty in 2 of 3 rows .row 2, 3"),
        ("text,label,split\na,x,train\nb,y,tset\n", "split must be one of .* got 'tset'"),
        ("text,label,split\na,x,train\nb,x,train\n", "training classes"),
        ("text,label,split\na,x,test\nb,x,validation\n", "'split' has no train rows"),
        ("text,label,split\na,x,test\nb,x,query\n", "query and test rows mean the same"),
    ],
)
def test_wrong_contents_are_named(tmp_path, contents, message):
    path = tmp_path / "t.csv"
    path.write_text(contents)
    with pytest.raises(ValueError, match=message):
        csv(path)


def test_missing_or_undecodable_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="path must be a file of rows, .* got .*none.csv"):
        csv(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("text,label\ngrün,x\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.csv is no text in UTF-8"):
        csv(tmp_path / "latin.csv")


def test_paths_written_on_windows_are_found(images):
    rows = images.read_text()
    expected = csv(images)
    images.write_text(rows.replace("pictures/", "pictures\\"))
    source = csv(images)
    assert source.test.captions[0].startswith("pictures\\")
    for name, split in source.splits.items():
        np.testing.assert_array_equal(split.inputs, expected.splits[name].inputs)
        assert split.ids == expected.splits[name].ids
    Image.new("L", (5, 5), 200).save(images.parent / "pictures\\ant0.png")  # a name that is right as it stands
    found = {c: x for s in csv(images).splits.values() for c, x in zip(s.captions, s.inputs, strict=True)}
    assert (found["pictures\\ant0.png"] == 200).all()


def test_rows_without_a_label_are_said_or_left_out(tmp_path):
    rows = [(f"{word} {i}", word) for i in range(2) for word in WORDS]
    path = write(tmp_path / "t.csv", ["text", "label"], [("lost", ""), *rows, ("lost too", " ")])
    message = r"'label' is empty in 2 of 18 rows \(row 1, 18, .*or leave these rows out with data.skip_unlabeled=true"
    with pytest.raises(ValueError, match=message):
        csv(path)
    with pytest.warns(UserWarning, match="2 of 18 rows have no label and are left out") as caught:
        source = csv(path, skip_unlabeled=True)
    assert len(caught) == 1
    assert sorted(labels_of_captions(source)) == sorted(text for text, _ in rows)
    ids = {
        caption: key for split in source.splits.values() for caption, key in zip(split.captions, split.ids, strict=True)
    }
    assert ids["ant 0"] == "2"  # the row in the file


def test_empty_texts_are_still_named_when_unlabeled_rows_are_left_out(tmp_path):
    path = write(tmp_path / "t.csv", ["text", "label"], [("lost", ""), ("", "ant")])
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"'text' is empty in 1 of 1 rows \(row 2, counted"):
        csv(path, skip_unlabeled=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_pipe_for_a_table_or_an_image_is_named_at_once(images, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="data.path must be .* got .*pipe.csv, which is no regular file"):
        csv(tmp_path / "pipe.csv")
    (tmp_path / "pictures/dog3.png").unlink()
    os.mkfifo(tmp_path / "pictures/dog3.png")
    with pytest.raises(ValueError, match=r"1 of 16 images cannot be read: .*dog3.png \(a pipe, not a file\)"):
        csv(images)

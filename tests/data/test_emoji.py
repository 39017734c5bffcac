import hashlib
import shutil
from collections import Counter

import numpy as np
import pytest

from metric_learning.data import Vocabulary, emoji, emoji_text
from metric_learning.data.shipped import FOLDER, read_shipped


@pytest.fixture(scope="module")
def images():
    return emoji()


@pytest.fixture(scope="module")
def texts():
    return emoji_text()


def picture(source, caption):
    for split in source.splits.values():
        if caption in split.captions:
            return split.inputs[split.captions.index(caption)]
    raise AssertionError(f"no picture called {caption}")


def test_images_have_the_stated_size(images):
    assert images.num_classes == len(set(images.class_names)) == 1616
    assert sum(len(split) for split in images.splits.values()) == 10_249
    assert images.input_shape == (32, 32, 3)
    assert [len(split.classes) for split in images.splits.values()] == [646, 162, 808]


def test_every_emoji_has_at_least_four_drawings_by_different_sets(images):
    for split in images.splits.values():
        assert np.unique(split.labels, return_counts=True)[1].min() >= 4
        assert len(set(split.captions)) == len(split)


def test_captions_name_emoji_and_set(images):
    split = images.test
    for row in (0, 1000, 5000):
        assert split.captions[row].startswith(images.class_names[split.labels[row]] + " (")
    names = Counter(caption.rsplit("(")[-1] for caption in images.train.captions)
    assert len(names) == 8


def test_drawings_are_on_white_and_none_is_blank(images):
    for split in images.splits.values():
        assert (split.inputs.reshape(len(split), -1).min(1) < 255).all()
    corners = images.train.inputs[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).mean() > 0.9


def test_icon_that_is_another_one_mirrored_is_drawn_mirrored(images):
    right = picture(images, "backhand index pointing right (fluent-emoji-flat)")
    left = picture(images, "backhand index pointing left (fluent-emoji-flat)")
    np.testing.assert_array_equal(right, left[:, ::-1])
    assert not np.array_equal(right, left)


@pytest.mark.parametrize("make", ["images", "texts"])
def test_classes_are_split_by_index(make, request):
    source = request.getfixturevalue(make)
    assert (source.test.classes % 2 == 1).all()
    assert (source.validation.classes % 10 == 0).all()
    assert ((source.train.classes % 2 == 0) & (source.train.classes % 10 != 0)).all()
    assert source.unseen_classes


def test_texts_describe_the_same_classes_in_16_languages(images, texts):
    assert texts.class_names == images.class_names
    assert sum(len(split) for split in texts.splits.values()) == 25_040
    for split in texts.splits.values():
        assert set(np.unique(split.labels, return_counts=True)[1]) == {16}
        assert all(caption == caption.lower() for caption in split.captions)
    dove = texts.class_names.index("dove")
    of_dove = [
        caption
        for split in texts.splits.values()
        for label, caption in zip(split.labels, split.captions, strict=True)
        if label == dove
    ]
    assert of_dove[0].startswith("dove ")
    assert any("taube" in caption for caption in of_dove)


def test_vocabulary_is_of_training_texts_alone(texts):
    assert texts.vocabulary == Vocabulary.from_texts(texts.train.captions)
    np.testing.assert_array_equal(texts.test.inputs[:50], texts.vocabulary.encode(texts.test.captions[:50]))
    assert max(split.inputs.max() for split in texts.splits.values()) < texts.vocabulary_size


def test_vocabulary_options_reach_the_vocabulary():
    source = emoji_text(length=16, max_tokens=100, oov_buckets=7, ngrams=None)
    assert source.input_shape == (16,)
    assert source.vocabulary_size == 108
    with pytest.raises(TypeError, match="lenght"):
        emoji_text(lenght=16)


@pytest.fixture
def copied_folder(tmp_path):
    for name in ("images.npz", "texts.tsv.gz", "SHA256SUMS"):
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["images.npz", "texts.tsv.gz"])
def test_changed_byte_is_found_with_file_expected_and_got(copied_folder, name):
    contents = bytearray(read_shipped(name, copied_folder))
    expected = hashlib.sha256(contents).hexdigest()
    contents[1000] ^= 1
    (copied_folder / name).write_bytes(contents)
    got = hashlib.sha256(contents).hexdigest()
    with pytest.raises(ValueError, match=f"{name} is corrupt.*{expected}.*{got}"):
        read_shipped(name, copied_folder)


def test_missing_file_is_named(copied_folder):
    (copied_folder / "images.npz").unlink()
    with pytest.raises(ValueError, match="images.npz is missing"):
        read_shipped("images.npz", copied_folder)


def test_loader_reads_through_the_check(copied_folder, monkeypatch):
    (copied_folder / "images.npz").write_bytes(b"not an archive")
    monkeypatch.setattr("metric_learning.data.shipped.FOLDER", copied_folder)
    with pytest.raises(ValueError, match="is corrupt"):
        emoji()


def test_licenses_cover_every_set():
    notice = (FOLDER / "LICENSES.md").read_text(encoding="utf-8")
    with np.load(FOLDER / "images.npz") as file:
        names = file["set_names"].tolist()
    assert all(f"| {name} |" in notice for name in names)
    for license in ("Apache-2.0.txt", "Unicode-3.0.txt"):
        assert f"({license})" in notice
        assert len((FOLDER / license).read_text(encoding="utf-8")) > 1000

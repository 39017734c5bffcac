import itertools
import warnings

import numpy as np
import pytest

from metric_learning.data import DataSource, Split, Vocabulary

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")


NUMBERS = itertools.count()  # no two items are copies of each other


def image_split(labels, size=(4, 5, 3)):
    inputs = np.random.default_rng(next(NUMBERS)).integers(256, size=(len(labels), *size), dtype=np.uint8)
    return Split(inputs, np.array(labels, np.int64), tuple(f"item {i}" for i in labels))


def text_split(labels, length=7):
    inputs = np.zeros((len(labels), length), np.int32)
    return Split(inputs, np.array(labels, np.int64), tuple(f"text {i}, {next(NUMBERS)}" for i in labels))


def source(**changes):
    parts = {
        "name": "pets",
        "kind": "images",
        "class_names": NAMES,
        "train": image_split([0, 0, 1, 1]),
        "validation": image_split([2, 2, 3, 3]),
        "test": image_split([5, 4, 4, 5, 5]),
    }
    return DataSource(**{**parts, **changes})


def test_describes_itself():
    pets = source()
    assert pets.input_shape == (4, 5, 3)
    assert pets.num_classes == 6
    assert pets.vocabulary_size is None
    assert list(pets.splits) == ["train", "validation", "test"]
    assert pets.test.classes.tolist() == [4, 5]
    assert "images of 4x5x3" in pets.describe()
    assert "test 2 classes with 5 images" in pets.describe()


def test_names_that_only_unicode_tells_apart_are_named():
    names = ("ant", "cafe\u0301", "caf\u00e9", *NAMES[3:])
    with pytest.warns(
        UserWarning, match="pets: 1 name of classes \\(caf\u00e9\\) can be written in several ways in Unicode"
    ):
        source(class_names=names)


def test_text_source_knows_the_size_of_its_vocabulary():
    vocabulary = Vocabulary(("<a>", "<b>"), length=7, oov_buckets=10)
    texts = source(
        kind="texts",
        train=text_split([0, 0, 1, 1]),
        validation=text_split([2, 2, 3, 3]),
        test=text_split([4, 4, 5, 5]),
        vocabulary=vocabulary,
    )
    assert texts.vocabulary_size == 1 + 10 + 2
    assert texts.input_shape == (7,)


def test_overlapping_classes_are_named():
    with pytest.raises(ValueError, match=r"train and test .* 1 class \(bee\)"):
        source(test=image_split([1, 1, 4, 4]))
    seen = source(test=image_split([1, 1, 4, 4]), unseen_classes=False)
    assert seen.test.classes.tolist() == [1, 4]


def test_one_class_to_search_in_is_refused():
    for changes in ({"validation": image_split([2, 2])}, {"test": image_split([4, 4])}):
        with pytest.raises(ValueError, match=r"(validation|test) split of .* at least 2 classes.*; got 1 class \("):
            source(**changes)
    with pytest.raises(ValueError, match="gallery split of .* at least 2 classes"):
        source(test=image_split([4, 4]), gallery=image_split([4, 4]))
    assert source(test=image_split([4, 4]), gallery=image_split([4, 5])).test.classes.tolist() == [4]


def test_gallery_shares_the_test_classes_but_not_the_training_classes():
    assert len(source(gallery=image_split([4, 5, 4])).splits["gallery"]) == 3
    with pytest.raises(ValueError, match="train and gallery"):
        source(gallery=image_split([4, 5, 0]))


def test_lone_classes_are_kept_with_one_warning():
    with pytest.warns(UserWarning, match=r"2 classes \(dog, elk\)") as caught:
        pets = source(validation=image_split([2, 2, 3]), test=image_split([5, 5, 4]))
    assert len(caught) == 1
    assert 4 in pets.test.labels


def test_query_class_that_the_gallery_lacks_counts_as_lone():
    with pytest.warns(UserWarning, match=r"1 class \(fox\)"):
        source(train=image_split([0, 0]), test=image_split([4, 5]), gallery=image_split([4, 1]))


def test_single_queries_with_a_gallery_are_not_lone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source(test=image_split([4, 5]), gallery=image_split([4, 5]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sounds"}, "kind must be one of images, texts, ids, features, got 'sounds'"),
        ({"test": image_split([])}, "test split of 'pets' is empty"),
        ({"test": image_split([4, 4], (8, 8, 3))}, r"test split .* shape \(4, 5, 3\)"),
        ({"test": text_split([4, 4])}, "test split .* must hold images"),
        ({"test": image_split([4, 6])}, "test labels .* from 0 to 5.* got 4 to 6"),
        ({"test": image_split([-1, 4])}, "got -1 to 4"),
        ({"vocabulary": Vocabulary(("<a>",))}, "vocabulary must be None for images"),
        ({"kind": "texts"}, "vocabulary must be given for texts"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_parts_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        source(**changes)


@pytest.mark.parametrize(
    ("inputs", "labels", "captions", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), [0, 1], ("a", "b"), "inputs must be .* got float32"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], ("a", "b"), r"got uint8 \[2, 4, 4\]"),
        (np.zeros((2, 4), np.int64), [0, 1], ("a", "b"), "got int64"),
        (np.zeros((2, 4), np.int32), [0.0, 1.0], ("a", "b"), "labels must be int64"),
        (np.zeros((2, 4), np.int32), [[0], [1]], ("a", "b"), "labels must be int64"),
        (np.zeros((2, 4), np.int32), [0, 1], ["a", "b"], "captions must be a tuple"),
        (np.zeros((2, 4), np.int32), [0, 1], ("a",), "equally many, got 2, 2 and 1"),
    ],
)
def test_wrong_split_is_refused(inputs, labels, captions, message):
    with pytest.raises(ValueError, match=message):
        Split(inputs, np.array(labels), captions)

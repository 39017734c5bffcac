import numpy as np
import pytest

from metric_learning.data.splits import (
    hold_out_classes,
    hold_out_items,
    rows_of_classes,
    split_classes_by_fold,
    split_classes_by_index,
    split_classes_by_seed,
    split_items,
)


def test_split_by_index_follows_the_rule():
    splits = split_classes_by_index(24)
    for i in range(24):
        expected = "test" if i % 2 == 1 else "validation" if i % 10 == 0 else "train"
        assert [name for name, classes in splits.items() if i in classes] == [expected]


def test_split_by_seed_is_reproducible_disjoint_and_complete():
    first = split_classes_by_seed(101, seed=3)
    again = split_classes_by_seed(101, seed=3)
    other = split_classes_by_seed(101, seed=4)
    assert {name: len(classes) for name, classes in first.items()} == {
        "train": 41,
        "validation": 10,
        "test": 50,
    }
    assert sorted(np.concatenate(list(first.values()))) == list(range(101))
    for name, classes in first.items():
        np.testing.assert_array_equal(classes, again[name])
        assert not np.array_equal(classes, other[name])


def test_split_by_seed_leaves_no_split_with_one_class():
    splits = split_classes_by_seed(8, validation_fraction=0.01)
    assert {name: len(classes) for name, classes in splits.items()} == {
        "train": 2,
        "validation": 2,
        "test": 4,
    }
    with pytest.raises(ValueError, match="num_classes=5.* 1 for train, 2 for validation and 2"):
        split_classes_by_seed(5, test_fraction=0.2)


@pytest.mark.parametrize("name", ["test_fraction", "validation_fraction"])
@pytest.mark.parametrize("value", [0, 1, -0.1])
def test_fraction_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, got {value}"):
        split_classes_by_seed(100, **{name: value})


def test_rows_of_classes_finds_unsorted_labels():
    rows = rows_of_classes(np.array([2, 0, 1, 2, 0]), {"train": np.array([0, 2]), "test": [1]})
    assert rows["train"].tolist() == [0, 1, 3, 4]
    assert rows["test"].tolist() == [2]


def test_hold_out_classes_parts_them_by_seed():
    classes = np.array([3, 5, 8, 13, 21, 34])
    kept, held_out = hold_out_classes(classes, fraction=0.4, seed=1)
    assert len(held_out) == 2
    assert sorted([*kept, *held_out]) == classes.tolist()
    drawn = {tuple(hold_out_classes(classes, fraction=0.4, seed=seed)[1]) for seed in range(9)}
    assert len(drawn) > 1
    with pytest.raises(ValueError, match="3 training classes"):
        hold_out_classes(classes[:3])


def test_hold_out_items_takes_every_class_in_proportion():
    labels = np.random.default_rng(0).permutation(np.repeat([7, 1, 4], [60, 30, 10]))
    held_out = hold_out_items(labels, count=20, seed=5)
    assert held_out.sum() == 20
    assert [int(held_out[labels == label].sum()) for label in (7, 1, 4)] == [12, 6, 2]
    np.testing.assert_array_equal(held_out, hold_out_items(labels, count=20, seed=5))
    assert not np.array_equal(held_out, hold_out_items(labels, count=20, seed=6))


def test_hold_out_items_keeps_the_exact_count_when_shares_are_fractions():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    for count in range(1, 10):
        assert hold_out_items(labels, count=count).sum() == count
    with pytest.raises(ValueError, match="from 1 to 9, got 10"):
        hold_out_items(labels, count=10)


def test_folds_test_every_class_once_and_choose_among_the_others():
    parts = [split_classes_by_fold(11, fold=fold, folds=4, validation_fraction=0.3, seed=2) for fold in range(4)]
    assert sorted(np.concatenate([part["test"] for part in parts])) == list(range(11))
    assert sorted(len(part["test"]) for part in parts) == [2, 3, 3, 3]
    for part in parts:
        assert sorted(np.concatenate(list(part.values()))) == list(range(11))
        assert len(part["validation"]) == (3 if len(part["test"]) == 2 else 2)  # .3 of 9, and of 8
    other = [split_classes_by_fold(11, fold=fold, folds=4, seed=3)["test"].tolist() for fold in range(4)]
    assert other != [part["test"].tolist() for part in parts]


@pytest.mark.parametrize(
    ("fold", "folds", "message"),
    [
        (4, 4, "got 4 of 4"),
        (-1, 4, "got -1 of 4"),
        (0, 1, "at least 2 folds; got 0 of 1"),
        (0, 6, "6 folds of 11 classes"),
    ],
)
def test_wrong_folds_are_refused(fold, folds, message):
    with pytest.raises(ValueError, match=message):
        split_classes_by_fold(11, fold=fold, folds=folds)


def test_items_of_every_class_are_parted_in_proportion():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 20, 20]))
    rows = split_items(labels, test_fraction=0.25, validation_fraction=0.1, seed=1)
    assert {name: np.bincount(labels[index]).tolist() for name, index in rows.items()} == {
        "train": [27, 13, 14],
        "test": [10, 5, 5],
        "validation": [3, 2, 1],
    }
    assert sorted(np.concatenate(list(rows.values()))) == list(range(80))

"""Packed: rows that are tuples already."""

import numpy as np
import pytest

from metric_learning.tuples import Quadruplets, Triplets
from miners import Packed


def tuples(selection, size):
    columns = [field.numpy()[:, 0] for field in selection]
    weights = columns[size - 1]
    return [(a, *(int(column[a]) for column in columns[: size - 1])) for a in np.flatnonzero(weights)]


def test_rows_are_triplets_in_turn_and_a_rest_is_left_out(masks):
    labels = np.array([4, 4, 1, 7, 7, 4, 2, 2])
    selection = Packed()(np.zeros((8, 8), np.float32), *masks(labels))
    assert isinstance(selection, Triplets)
    assert tuples(selection, 3) == [(0, 1, 2), (3, 4, 5)]
    assert set(selection.weights.numpy().ravel()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("labels", "valid"),
    [
        ([1, 1, 2], True),
        ([1, 2, 3], False),  # the positive is none
        ([1, 1, 1], False),  # the negative is none
        ([1, 1], False),  # no negative
    ],
)
def test_labels_must_agree_with_a_triplet(labels, valid, masks):
    size = len(labels)
    assert Packed()(np.zeros((size, size), np.float32), *masks(labels)).weights.numpy().any() == valid


def test_rows_are_quadruplets_and_a_second_negative_needs_a_third_class(masks):
    labels = np.array([1, 1, 2, 3, 5, 5, 6, 6, 7, 7, 8, 7, 9, 8, 9, 9])
    selection = Packed(size=4)(np.zeros((16, 16), np.float32), *masks(labels))
    assert isinstance(selection, Quadruplets)
    assert tuples(selection, 4) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]
    assert np.flatnonzero(selection.second_weights).tolist() == [0]
    # The second negative is a row of an anchor, the negative a column.
    assert selection.second_weights.shape == selection.weights.shape == (16, 1)


def test_bad_sizes_and_references_are_refused():
    with pytest.raises(ValueError, match="size must be 3 or 4; got 2"):
        Packed(size=2)
    with pytest.raises(ValueError, match="rows of one batch; got 3 anchors and 6 references"):
        Packed()(np.zeros((3, 6), np.float32), np.zeros((3, 6), bool), np.ones((3, 6), bool))

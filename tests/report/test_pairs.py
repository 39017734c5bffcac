"""The distances of pairs that a report samples."""

import numpy as np
import pytest

from metric_learning.distances import DISTANCES, FROM_ZERO, pairwise, rowwise
from metric_learning.evaluation import rows as module
from metric_learning.evaluation.rows import paired_distances
from metric_learning.report.pairs import PairDistances, pairs_of_encoders, sample_pairs


def test_pairs_are_valid_unique_and_complete_when_few():
    labels = np.array([3, 1, 3, 2, 3, 1])
    positives, negatives = sample_pairs(labels)
    assert {frozenset(pair) for pair in positives.tolist()} == {
        frozenset(pair) for pair in [(0, 2), (0, 4), (2, 4), (1, 5)]
    }
    assert len(positives) == 4
    assert (labels[negatives[:, 0]] != labels[negatives[:, 1]]).all()
    assert len({frozenset(pair) for pair in negatives.tolist()}) == len(negatives) == 11


def test_pairs_are_limited_and_of_all_classes():
    labels = np.random.default_rng(0).integers(0, 3, size=3000)
    positives, negatives = sample_pairs(labels)
    assert len(positives) == len(negatives) == 100_000
    assert (labels[positives[:, 0]] == labels[positives[:, 1]]).all() and (positives[:, 0] != positives[:, 1]).all()
    assert set(labels[positives[:, 0]]) == {0, 1, 2}
    assert len(np.unique(np.sort(positives, axis=1), axis=0)) == 100_000


def test_pairs_of_many_small_classes_are_of_the_last_of_them_too():
    labels = np.repeat(np.arange(20_000), 10)
    positives, _ = sample_pairs(labels)
    tenths = np.bincount(labels[positives[:, 0]] // 2_000)
    assert len(positives) == 100_000 and len(tenths) == 10 and tenths.min() > 9_500
    assert len(np.unique(np.sort(positives, axis=1), axis=0)) == 100_000


def test_pairs_are_drawn_from_all_alike():
    labels = np.repeat([0, 1, 2], [800, 400, 2])
    positives, negatives = sample_pairs(labels)
    assert len(positives) == len(negatives) == 100_000
    share = 800 * 799 / (800 * 799 + 400 * 399 + 2)  # of all positives those of class 0
    assert abs((labels[positives[:, 0]] == 0).mean() - share) < 0.005
    of_the_rare = (labels[negatives] == 2).any(axis=1).mean()
    assert abs(of_the_rare - 2 * 1200 / (800 * 400 + 2 * 1200)) < 0.001
    assert abs((labels[negatives[:, 0]] == 0).mean() - 0.5) < 0.01
    assert len(np.unique(np.sort(negatives, axis=1), axis=0)) == 100_000


def test_a_class_among_very_many_others_is_paired_without_trying_all():
    labels = np.zeros(1_000_000, int)
    labels[:2] = 1
    positives, negatives = sample_pairs(labels)  # of 5e11 and of 2e6
    assert len(positives) == len(negatives) == 100_000
    assert (labels[negatives].sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_paired_distances_are_those_of_training(name):
    rows = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    rows[2], rows[4] = 0.0, 3.0
    pairs = np.array([(i, j) for i in range(9) for j in range(9) if i != j])
    expected = np.asarray(pairwise(rows, distance=name))[tuple(pairs.T)]
    np.testing.assert_allclose(paired_distances(rows, rows, pairs.T, name), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="got 'l2'"):
        paired_distances(rows, rows, pairs.T, "l2")


@pytest.mark.parametrize("name", FROM_ZERO)
def test_equal_rows_of_a_pair_are_at_0_as_in_training(name):
    rows = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    np.testing.assert_array_equal(paired_distances(rows, rows.copy(), [range(50), range(50)], name), 0.0)


def test_equal_error_and_overlap_by_hand():
    positives, negatives = np.array([1.0, 2, 3, 6]), np.array([4.0, 5, 7, 8, 2.5, 9, 10, 11])
    # At 3: a quarter of the positives lies beyond, and 1 of 8 negatives within; at 4: a quarter and 2 of 8.
    assert PairDistances(positives, negatives).equal_error == (4.0, 0.25)
    assert PairDistances(positives, negatives).medians == (2.5, 7.5)
    assert PairDistances(np.array([0.0, 1]), np.array([9.0, 10])).overlap == 0
    assert PairDistances(positives, positives).overlap == 1
    assert PairDistances(np.array([0.0, 10]), np.array([0.0, 0, 0, 10])).overlap == 0.75


def test_pairs_of_both_kinds_are_needed():
    for labels in (np.zeros(5, int), np.arange(5)):
        with pytest.raises(ValueError, match="pairs of equal and of different labels"):
            pairs_of_encoders(np.eye(5), labels)


def test_the_pairs_of_both_encoders_are_the_same_and_none_of_an_item_with_itself():
    rows, labels = np.repeat(np.arange(6.0), 2)[:, None], np.repeat([0, 0, 0, 1, 1, 1], 2)
    found = pairs_of_encoders(
        rows, labels, ids=[*"aabbccddeeff"], distance="euclidean", untrained_embeddings=3 * rows + 1
    )
    assert list(found) == ["Untrained", "Trained"]
    trained = found["Trained"]
    assert len(trained.near) == 2 * 3 * 4 and trained.near.min() == 1.0 and len(trained.far) > 0
    np.testing.assert_array_equal(found["Untrained"].near, 3 * trained.near)
    np.testing.assert_array_equal(found["Untrained"].far, 3 * trained.far)


def test_wide_rows_are_compared_a_few_at_a_time(monkeypatch):
    taken = []
    monkeypatch.setattr(
        module, "rowwise", lambda a, b, distance: taken.append(a.nbytes) or rowwise(a, b, distance=distance)
    )
    rows = np.random.default_rng(0).normal(size=(40, 1280)).astype(np.float32)
    pairs = np.random.default_rng(1).integers(0, 40, (5000, 2))
    found = paired_distances(rows, rows, pairs.T, "cosine")
    assert len(taken) > 1 and max(taken) < 10e6
    np.testing.assert_array_equal(found, rowwise(rows[pairs[:, 0]], rows[pairs[:, 1]], distance="cosine"))

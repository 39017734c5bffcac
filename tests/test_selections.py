"""Conversions between pairs, triplets and quadruplets against loops."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.selections import Pairs, Quadruplets, Triplets, all_pairs, at, to_pairs, to_quadruplets


def masks(labels, ref_labels=None):
    same = np.equal.outer(labels, labels if ref_labels is None else ref_labels)
    own = np.eye(*same.shape, dtype=bool) & (ref_labels is None)
    return same & ~own, ~same


def random_triplets(labels, ref_labels=None, slots=4, seed=31):
    """Valid triplets where there are any, with weights of 0, 0.5 and 2; elsewhere columns 0 and weight 0."""
    rng = np.random.default_rng(seed)
    positive_mask, negative_mask = masks(labels, ref_labels)
    positive, negative = np.zeros((2, len(labels), slots), np.int32)
    weights = np.zeros((len(labels), slots), np.float32)
    for a in range(len(labels)):
        if positive_mask[a].any() and negative_mask[a].any():
            positive[a] = rng.choice(np.flatnonzero(positive_mask[a]), slots)
            negative[a] = rng.choice(np.flatnonzero(negative_mask[a]), slots)
            weights[a] = rng.choice([0.0, 0.5, 2.0], slots)
    return Triplets(*map(tf.constant, (positive, negative, weights)))


def test_all_pairs_are_the_masks(batch):
    positive_mask, negative_mask = masks(batch.labels)
    pairs = all_pairs(positive_mask, negative_mask)
    np.testing.assert_array_equal(pairs.positive_weights, positive_mask.astype(np.float32))
    np.testing.assert_array_equal(pairs.negative_weights, negative_mask.astype(np.float32))
    assert pairs.positive_weights.dtype == pairs.negative_weights.dtype == tf.float32


def test_at_takes_columns_row_by_row():
    assert at(tf.constant([[1, 2, 3], [4, 5, 6]]), [[2, 2], [0, 1]]).numpy().tolist() == [[3, 3], [4, 5]]


@pytest.mark.parametrize("kind", [Triplets, Quadruplets])
def test_pairs_of_tuples_count_as_often_as_they_occur(batch, bank, kind):
    triplets = random_triplets(batch.labels, bank.labels)
    selection = triplets
    if kind is Quadruplets:
        selection = Quadruplets(*triplets[:2], triplets.negative, triplets.weights, 0.0 * triplets.weights)
    expected = np.zeros((2, 10, 7))
    for a in range(10):
        for slot in range(4):
            for side, columns in enumerate(triplets[:2]):
                expected[side, a, columns[a, slot]] += triplets.weights[a, slot]
    assert expected.max() > 2.0
    pairs = to_pairs(selection, 7)
    np.testing.assert_allclose(pairs.positive_weights, expected[0])
    np.testing.assert_allclose(pairs.negative_weights, expected[1])


def test_what_is_of_the_wanted_kind_stays_as_it_is(batch):
    pairs = all_pairs(*masks(batch.labels))
    assert to_pairs(pairs, 10) is pairs
    quadruplets = Quadruplets(*[tf.zeros([10, 1], tf.int32)] * 3, *[tf.zeros([10, 1])] * 2)
    assert to_quadruplets(quadruplets, tf.zeros([10, 10]), masks(batch.labels)[1]) is quadruplets


def check_completion(labels, ref_labels, distances, triplets, kind="hard"):
    """The second negative is the nearest row, to the negative, of a class that is neither's; if "semi_hard", the
    nearest beyond the distance of the positive, or else the farthest."""
    refs = labels if ref_labels is None else ref_labels
    _, negative_mask = masks(labels, ref_labels)
    completed = to_quadruplets(triplets, distances, negative_mask, kind)
    for before, after in zip(triplets, (completed.positive, completed.negative, completed.weights), strict=True):
        np.testing.assert_array_equal(before, after)
    found = 0
    for a, slot in np.argwhere(triplets.weights.numpy()):
        n = completed.negative[a, slot].numpy()
        third = [m for m in range(len(labels)) if labels[m] not in (labels[a], refs[n])]
        if not third:
            assert completed.second_weights[a, slot] == 0.0
            continue
        found += 1
        assert completed.second_weights[a, slot] == triplets.weights[a, slot]
        expected = min(third, key=lambda m: distances[m, n])
        if kind == "semi_hard":
            farther = [m for m in third if distances[m, n] > distances[a, completed.positive[a, slot].numpy()]]
            expected = min(farther or [max(third, key=lambda m: distances[m, n])], key=lambda m: distances[m, n])
        assert completed.second_negative[a, slot] == expected
    assert not np.any(completed.second_weights.numpy()[triplets.weights.numpy() == 0.0])
    return found


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
@pytest.mark.parametrize("seed", range(5))
def test_quadruplets_are_completed_by_the_nearest_row_of_a_third_class(seed, kind):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2**24, 2**24 + 4, size=14)
    distances = rng.normal(size=(14, 14)).astype(np.float32)  # of any sign, and not symmetric
    assert check_completion(labels, None, distances, random_triplets(labels, seed=seed), kind) > 15


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
@pytest.mark.parametrize("seed", range(5))
def test_quadruplets_with_references_are_completed_by_a_row_of_the_batch(seed, kind):
    rng = np.random.default_rng(seed)
    labels, ref_labels = rng.integers(0, 4, size=9), rng.integers(0, 6, size=12)
    distances = rng.normal(size=(9, 12)).astype(np.float32)
    triplets = random_triplets(labels, ref_labels, seed=seed)
    assert check_completion(labels, ref_labels, distances, triplets, kind) > 5


def test_two_classes_have_no_third():
    labels = np.array([0, 1, 0, 1, 1])
    distances = np.random.default_rng(32).normal(size=(5, 5)).astype(np.float32)
    triplets = random_triplets(labels)
    assert np.sum(triplets.weights) > 0.0
    for kind in ("hard", "semi_hard"):
        assert check_completion(labels, None, distances, triplets, kind) == 0


def test_a_class_without_references_can_be_the_third():
    labels, ref_labels = np.array([0, 1, 2]), np.array([0, 1, 1])
    distances = np.array([[0.0, 5.0, 6.0], [5.0, 0.0, 1.0], [7.0, 3.0, 2.0]], np.float32)
    triplets = Triplets(*map(tf.constant, ([[0], [1], [0]], [[1], [0], [0]], [[1.0], [1.0], [0.0]])))
    completed = to_quadruplets(triplets, distances, masks(labels, ref_labels)[1])
    assert completed.second_negative.numpy()[:2].tolist() == [[2], [2]]
    assert completed.second_weights.numpy().tolist() == [[1.0], [1.0], [0.0]]


def test_named_tuples_say_what_they_hold():
    assert Pairs._fields == ("positive_weights", "negative_weights")
    assert Triplets._fields == ("positive", "negative", "weights")
    assert Quadruplets._fields == ("positive", "negative", "second_negative", "weights", "second_weights")

"""Conversions between pairs, triplets and quadruplets against loops."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.tuples import Pairs, Quadruplets, Triplets, all_pairs, to_pairs


def test_all_pairs_are_the_masks(batch, masks):
    positive_mask, negative_mask = masks(batch.labels)
    pairs = all_pairs(positive_mask, negative_mask)
    np.testing.assert_array_equal(pairs.positive_weights, positive_mask.astype(np.float32))
    np.testing.assert_array_equal(pairs.negative_weights, negative_mask.astype(np.float32))
    assert pairs.positive_weights.dtype == pairs.negative_weights.dtype == tf.float32


@pytest.mark.parametrize("kind", [Triplets, Quadruplets])
def test_pairs_of_tuples_count_as_often_as_they_occur(batch, bank, kind, random_triplets):
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


def test_what_is_of_the_wanted_kind_stays_as_it_is(batch, masks):
    pairs = all_pairs(*masks(batch.labels))
    assert to_pairs(pairs, 10) is pairs


def test_named_tuples_say_what_they_hold():
    assert Pairs._fields == ("positive_weights", "negative_weights")
    assert Triplets._fields == ("positive", "negative", "weights")
    assert Quadruplets._fields == ("positive", "negative", "second_negative", "weights", "second_weights")

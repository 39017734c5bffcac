"""PairMargin against loops: positives beyond a margin, negatives within another."""

import numpy as np
import pytest

from miners import PairMargin


@pytest.mark.parametrize("margins", [(0.2, 0.8), (1.0, 1.0), (2.0, 1.0), (-1.0, 0.0)])
def test_keeps_far_positives_and_near_negatives(problems, margins):
    for name, problem in problems.items():
        distances, positive_mask, negative_mask = problem
        pairs = PairMargin(*margins)(*problem)
        for a, j in np.ndindex(distances.shape):
            positive = bool(positive_mask[a, j]) and distances[a, j] > np.float32(margins[0])
            negative = bool(negative_mask[a, j]) and distances[a, j] < np.float32(margins[1])
            assert (pairs.positive_weights[a, j], pairs.negative_weights[a, j]) == (positive, negative), name


def test_pairs_at_the_margin_are_good_enough():
    distances = np.array([[0.0, 0.5, 0.75, 0.5, 0.75]], np.float32)
    positive_mask = np.array([[0, 1, 1, 0, 0]], bool)
    negative_mask = np.array([[0, 0, 0, 1, 1]], bool)
    pairs = PairMargin(positive_margin=0.5, negative_margin=0.75)(distances, positive_mask, negative_mask)
    assert pairs.positive_weights.numpy().tolist() == [[0, 0, 1, 0, 0]]
    assert pairs.negative_weights.numpy().tolist() == [[0, 0, 0, 1, 0]]

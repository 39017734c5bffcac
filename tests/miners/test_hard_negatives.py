"""HardNegatives against loops: every positive, and the k nearest negatives."""

import numpy as np
import pytest

from miners import HardNegatives


@pytest.mark.parametrize("k", [1, 2, 5, 99])
def test_takes_every_positive_and_the_k_nearest_negatives(problems, k):
    for name, (distances, positive_mask, negative_mask) in problems.items():
        positive, negative = HardNegatives(k=k)(distances, positive_mask, negative_mask)
        np.testing.assert_array_equal(positive, positive_mask, err_msg=name)
        for a, to in enumerate(distances):
            nearest = sorted(to[negative_mask[a]])[:k]
            expected = [float(m and to[j] <= nearest[-1]) for j, m in enumerate(negative_mask[a])]
            assert negative[a].numpy().tolist() == expected, name


def test_k_changes_the_selection(problems):
    counts = [HardNegatives(k=k)(*problems["batch"]).negative_weights.numpy().sum() for k in (1, 3)]
    assert counts == [10, 30]


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        HardNegatives(k=0)

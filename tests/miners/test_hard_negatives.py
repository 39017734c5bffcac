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


@pytest.mark.parametrize("k", [0, 1.5])
def test_a_k_that_is_no_count_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be a whole number of at least 1; got {k}"):
        HardNegatives(k=k)

"""HardPairs against sorting: the hardest share of all positive and of all negative pairs."""

from fractions import Fraction

import numpy as np
import pytest

from miners import HardPairs


def oracle(distances, mask, fraction, hardest_first):
    """The pairs at least as hard as the last of the ceil(fraction x pairs) hardest."""
    ranked = sorted((distances[a, j] for a, j in np.argwhere(mask)), reverse=hardest_first == "far")
    if not ranked:
        return set()
    last = ranked[-int(-Fraction(fraction) * len(ranked) // 1) - 1]
    return {
        (a, j)
        for a, j in np.argwhere(mask)
        if (distances[a, j] >= last if hardest_first == "far" else distances[a, j] <= last)
    }


@pytest.mark.parametrize("fraction", ["0.1", "0.5", "0.7", "1"])
def test_keeps_the_hardest_share_of_the_whole_batch(problems, fraction):
    for name, problem in problems.items():
        distances, *sides = problem
        pairs = HardPairs(fraction=float(fraction))(*problem)
        for weights, mask, order in zip(pairs, sides, ["far", "near"], strict=True):
            expected = oracle(distances, mask, fraction, order)
            assert np.isin(weights, [0.0, 1.0]).all()
            assert {(a, j) for a, j in np.argwhere(weights.numpy())} == expected, name


def test_keeps_ceil_of_the_share_and_not_one_more():
    distances = np.arange(1050.0, dtype=np.float32).reshape(50, 21)
    positive_mask = distances % 21 == 0  # 50 pairs
    # In float32 0.3 * 50 is 15.000001.
    for fraction, kept in (("0.1", 5), ("0.05", 3), ("0.3", 15), ("0.7", 35), ("0.001", 1)):
        pairs = HardPairs(fraction=float(fraction))(distances, positive_mask, ~positive_mask)
        assert pairs.positive_weights.numpy().sum() == kept
        assert pairs.negative_weights.numpy().sum() == -(-Fraction(fraction) * 1000 // 1)


@pytest.mark.parametrize("fraction", [0.0, 1.5, -0.1])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"fraction must be in \(0, 1\]; got {fraction}"):
        HardPairs(fraction=fraction)

"""BatchHard against loops: the farthest positive and the nearest negative."""

import numpy as np

from miners import BatchHard


def oracle(distances, positive_mask, negative_mask):
    """{anchor: (positive, negative)}; of equals the first."""
    chosen = {}
    for a, to in enumerate(distances):
        positives, negatives = np.flatnonzero(positive_mask[a]), np.flatnonzero(negative_mask[a])
        if len(positives) and len(negatives):
            chosen[a] = max(positives, key=lambda j: to[j]), min(negatives, key=lambda j: to[j])
    return chosen


def test_takes_the_farthest_positive_and_the_nearest_negative(problems):
    for name, problem in problems.items():
        positive, negative, weights = (x.numpy()[:, 0] for x in BatchHard()(*problem))
        expected = oracle(*problem)
        assert weights.tolist() == [float(a in expected) for a in range(len(weights))], name
        assert {a: (positive[a], negative[a]) for a in expected} == expected, name


def test_an_anchor_without_positive_or_without_negative_selects_nothing(problems):
    distances, positive_mask, negative_mask = problems["ties"]
    assert not negative_mask[0].any() and not positive_mask[1].any()
    assert not BatchHard()(distances, positive_mask, negative_mask).weights[:3].numpy().any()

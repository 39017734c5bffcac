"""Random: k negatives of each anchor, each as likely."""

import numpy as np
import pytest

from miners import Random


@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_takes_all_positives_and_k_negatives_where_there_are_k(problems, k):
    for name, problem in problems.items():
        _, positive_mask, negative_mask = problem
        pairs = Random(k=k)(*problem)
        np.testing.assert_array_equal(pairs.positive_weights, positive_mask)
        weights = pairs.negative_weights.numpy()
        assert np.isin(weights, [0.0, 1.0]).all() and not np.any(weights[~negative_mask]), name
        np.testing.assert_array_equal(weights.sum(axis=1), np.minimum(k, negative_mask.sum(axis=1)), name)


@pytest.mark.parametrize("k", [1, 3])
def test_every_negative_is_as_likely_whatever_its_distance(k):
    rng = np.random.default_rng(15)
    negative_mask = np.zeros((300, 12), bool)
    negative_mask[:, [1, 4, 5, 7, 10]] = True
    counts = np.zeros(12)
    for _ in range(20):
        distances = np.sort(rng.uniform(size=(300, 12)).astype(np.float32), axis=1)
        counts += Random(k=k)(distances, ~negative_mask, negative_mask).negative_weights.numpy().sum(axis=0)
    counts, expected = counts[negative_mask[0]], k * 6000 / 5
    assert counts.sum() == k * 6000
    # Chi-squared with 4 degrees of freedom: above 18.5 once in a thousand times.
    assert np.sum((counts - expected) ** 2 / expected) < 18.5


def test_anchors_draw_apart_and_another_batch_draws_otherwise():
    distances = np.linspace(0.5, 1.5, 40 * 40, dtype=np.float32).reshape(40, 40)
    negative_mask = np.ones((40, 40), bool)
    first, again, other = (
        Random()(matrix, ~negative_mask, negative_mask).negative_weights.numpy().argmax(axis=1)
        for matrix in (distances, distances, 0.9 * distances)
    )
    np.testing.assert_array_equal(first, again)
    assert len(set(first)) > 15 and np.mean(first == other) < 0.3


@pytest.mark.parametrize("k", [0, 1.5])
def test_a_k_that_is_no_count_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be a whole number of at least 1; got {k}"):
        Random(k=k)

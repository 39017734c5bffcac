"""Random numbers of miners: even, independent, and the same however they are compiled."""

import numpy as np
import pytest
import tensorflow as tf

from miners.draws import uniform, uniform_like


def test_numbers_are_even_and_neighbors_independent():
    numbers = uniform([300, 200], 1, 2).numpy()
    assert numbers.dtype == np.float32 and numbers.shape == (300, 200)
    assert 0.0 <= numbers.min() < 1e-3 and 1.0 - 1e-3 < numbers.max() < 1.0
    counts, _ = np.histogram(numbers, bins=50, range=(0, 1))
    # Chi-squared with 49 degrees of freedom: above 85.4 once in a thousand times.
    assert np.sum((counts - 1200) ** 2 / 1200) < 85.4
    for left, right in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.02


def test_every_integer_of_the_seed_matters():
    base = uniform([1000], 3, 4).numpy()
    for seed in ((3, 5), (2, 4), (4, 3), (-3, 4), (3,)):
        other = uniform([1000], *seed).numpy()
        assert not np.array_equal(base, other)
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15
    np.testing.assert_array_equal(base, uniform([1000], 3, 4))


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_graph_draws_the_same(compiled):
    seed = tf.constant(123456789012, tf.int64)
    graph = tf.function(lambda part: uniform([50, 40], part, 7), jit_compile=compiled)
    np.testing.assert_array_equal(graph(seed), uniform([50, 40], seed, 7))


def test_distances_are_a_seed_that_the_last_bit_does_not_change():
    distances = np.random.default_rng(20).uniform(size=(6, 9)).astype(np.float32)
    same = uniform_like(np.nextafter(distances, np.float32(2.0)))
    np.testing.assert_array_equal(uniform_like(distances), same)
    assert np.mean(uniform_like(0.99 * distances) == same) < 0.1

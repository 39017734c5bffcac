"""Sums of exponentials stay numbers, however large or small what is summed."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.tuples.masked import log_sum_exp


@pytest.mark.parametrize("plus_one", [False, True])
@pytest.mark.parametrize("size", [-3e4, -200.0, -89.0, -1.0, 0.0, 1.0, 89.0, 200.0, 3e4])
def test_log_sum_exp_of_any_size_is_that_of_float64(size, plus_one):
    logits = size + np.array([[0.0, 1.0, -2.0], [0.5, 0.0, 0.0]])
    weights = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    expected, slopes = [], []
    for row, counts in zip(logits.tolist(), weights.tolist(), strict=True):
        terms = [x + np.log(w) for x, w in zip(row, counts, strict=True) if w > 0.0] + [0.0] * plus_one
        largest = max(terms)
        expected.append(largest + np.log(sum(np.exp(term - largest) for term in terms)))
        slopes.append([w * np.exp(x - expected[-1]) for x, w in zip(row, counts, strict=True)])
    x = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = log_sum_exp(x, tf.constant(weights, tf.float32), plus_one=plus_one)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(found, x), slopes, rtol=2e-3, atol=1e-6)

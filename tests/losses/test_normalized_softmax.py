"""The normalized softmax against a loop over rows and classes, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import NormalizedSoftmax


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(labels, temperature=0.05):
    def expected(rows, vectors):
        values = []
        for label, row in zip(labels, rows, strict=True):
            terms = [math.exp(cosine(row, vector) / temperature) for vector in vectors]
            values.append(-math.log(terms[label] / sum(terms)))
        return np.array(values)

    return expected


@pytest.mark.parametrize("arguments", [{}, {"temperature": 0.3}], ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(NormalizedSoftmax, **arguments), oracle(labels, **arguments), labels, rows)


def test_by_hand(learned):
    loss = learned(NormalizedSoftmax, temperature=0.5)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0).
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    expected = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(1.6) + 3 + math.exp(-2)))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-6)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature must be above 0; got 0"):
        NormalizedSoftmax(temperature=0)

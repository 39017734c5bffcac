"""SphereFace against a loop that takes the angles and their pieces themselves, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import SphereFace


def length(x):
    return math.sqrt(sum(a * a for a in x))


def oracle(labels, margin=4, scale=1.0, softening=0.0):
    def expected(rows, vectors):
        values = []
        for label, row in zip(labels, rows, strict=True):
            logits = []
            for c, vector in enumerate(vectors):
                theta = math.acos(sum(a * b for a, b in zip(row, vector, strict=True)) / (length(row) * length(vector)))
                k = int(margin * theta / math.pi)
                psi = (-1) ** k * math.cos(margin * theta) - 2 * k
                similarity = (softening * math.cos(theta) + psi) / (1 + softening) if c == label else math.cos(theta)
                logits.append(scale * length(row) * similarity)
            values.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"margin": 3}, {"scale": 10.0}, {"softening": 5.0}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(SphereFace, **arguments), oracle(labels, **arguments), labels, rows)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(SphereFace, **arguments)(*classes)) for arguments in ARGUMENTS]
    values.append(float(learned(SphereFace, softening_start=3.0)(*classes)))
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS) + 1


def test_by_hand(learned):
    loss = learned(SphereFace, margin=2)
    # The row (3, 0, 0), 60 degrees from its vector: 3 cos 120 = -1.5; cosine 0 with the others but one, 3 * -.8.
    loss.layers[0].vectors.assign([[1, 3**0.5, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-4, 3, 0], [0, 0, 2]])
    expected = -math.log(math.exp(-1.5) / (math.exp(-1.5) + 4 + math.exp(-2.4)))
    np.testing.assert_allclose(loss([0], [[3.0, 0.0, 0.0]]), expected, rtol=1e-6)


def test_what_makes_no_sense_is_refused_by_name():
    with pytest.raises(ValueError, match="margin must be a whole number from 1; got 1.5"):
        SphereFace(margin=1.5)

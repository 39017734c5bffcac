"""SoftTriple against a loop over rows, classes and centers, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import SoftTriple


def unit(x):
    return [a / math.sqrt(sum(b * b for b in x)) for a in x]


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def oracle(labels, margin=0.01, scale=20.0, temperature=0.1, penalty=0.2, vectors_per_class=10):
    count = vectors_per_class

    def expected(rows, vectors):
        centers = [[unit(vector) for vector in vectors[c * count : (c + 1) * count]] for c in range(6)]
        spread = 0.0
        for of_class in centers:
            for s in range(count):
                for t in range(s + 1, count):
                    spread += math.sqrt(2 - 2 * dot(of_class[s], of_class[t]))
        regularizer = penalty * spread / (6 * count * (count - 1)) if count > 1 else 0.0
        values = []
        for label, row in zip(labels, rows, strict=True):
            logits = []
            for c, of_class in enumerate(centers):
                cosines = [dot(unit(row), center) for center in of_class]
                total = sum(math.exp(s / temperature) for s in cosines)
                similarity = sum(math.exp(s / temperature) / total * s for s in cosines)
                logits.append(scale * (similarity - (margin if c == label else 0.0)))
            values.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label] + regularizer)
        return np.array(values)

    return expected


ARGUMENTS = [
    {},
    {"margin": 0.5},
    {"scale": 5.0},
    {"temperature": 0.5},
    {"penalty": 3.0},
    {"penalty": 0.0},
    {"vectors_per_class": 2},
]


@pytest.mark.parametrize("arguments", ARGUMENTS + [{"vectors_per_class": 1}], ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(SoftTriple, **arguments), oracle(labels, **arguments), labels, rows)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(SoftTriple, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_merged_centers_cost_no_penalty_and_have_a_finite_gradient(learned):
    loss = learned(SoftTriple, vectors_per_class=4)
    loss.layers[0].vectors.assign(np.repeat(np.eye(6, 3) + 0.1, 4, axis=0))
    with tf.GradientTape() as tape:
        value = loss([0, 5], [[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]])
    without = learned(SoftTriple, vectors_per_class=4, penalty=0.0)
    without.layers[0].vectors.assign(loss.layers[0].vectors)
    np.testing.assert_allclose(value, without([0, 5], [[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]]), rtol=1e-5)
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(value, loss.layers[0].vectors.value))).all()


def test_by_hand(learned):
    loss = learned(SoftTriple, margin=0.1, scale=2.0, penalty=0.6, vectors_per_class=2)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0), both centers being one, but for the class of index 2: there
    # they are opposite, at distance 2.
    vectors = np.repeat([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]], 2, axis=0)
    vectors[5] = [0, 0, -3]
    loss.layers[0].vectors.assign(vectors)
    expected = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(1.6) + 3 + math.exp(-2))) + 0.6 * 2 / (6 * 2 * 1)
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": -0.1}, "margin must be at least 0; got -0.1"),
        ({"penalty": -0.1}, "penalty must be at least 0; got -0.1"),
        ({"scale": 0}, "scale must be above 0; got 0"),
        ({"temperature": 0}, "temperature must be above 0; got 0"),
        ({"vectors_per_class": 0}, "vectors_per_class must be at least 1; got 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftTriple(**arguments)

"""Large-margin softmax against a loop that takes the angles and their pieces themselves, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import LargeMarginSoftmax
from metric_learning.losses.large_margin_softmax import multiply_angle
from metric_learning.steps import at_step


def length(x):
    return math.sqrt(sum(a * a for a in x))


def angle(x, y):
    return math.acos(sum(a * b for a, b in zip(x, y, strict=True)) / (length(x) * length(y)))


def psi(theta, margin):
    k = next(k for k in range(margin) if theta <= (k + 1) * math.pi / margin + 1e-12)
    return (-1) ** k * math.cos(margin * theta) - 2 * k


def oracle(labels, margin=4, scale=1.0, softening=0.0):
    def expected(rows, vectors):
        values = []
        for label, row in zip(labels, rows, strict=True):
            logits = []
            for c, vector in enumerate(vectors):
                theta = angle(row, vector)
                own = (softening * math.cos(theta) + psi(theta, margin)) / (1 + softening)
                logits.append(scale * length(row) * length(vector) * (own if c == label else math.cos(theta)))
            values.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"margin": 1}, {"margin": 2}, {"margin": 3, "scale": 10.0}, {"softening": 5.0}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(LargeMarginSoftmax, **arguments), oracle(labels, **arguments), labels, rows)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(LargeMarginSoftmax, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


@pytest.mark.parametrize("margin", [1, 2, 3, 4, 5])
def test_psi_falls_over_all_angles_without_a_jump(margin):
    angles = np.linspace(0.0, math.pi, 2001)
    values = multiply_angle(tf.constant(np.cos(angles), tf.float32), margin).numpy()
    assert values[0] == 1.0 and values[-1] == pytest.approx(1 - 2 * margin, abs=1e-5)
    assert (np.diff(values) < 1e-5).all() and np.diff(values).min() > -0.02
    np.testing.assert_allclose(values, [psi(theta, margin) for theta in angles], atol=2e-5)


def test_the_batch_has_angles_of_several_pieces(classes, learned):
    labels, rows = classes
    vectors = learned(LargeMarginSoftmax).layers[0].vectors.numpy()
    pieces = {int(4 * angle(row, vectors[label]) / math.pi) for label, row in zip(labels, rows, strict=True)}
    assert len(pieces) >= 3


@pytest.mark.parametrize(("step", "softening"), [(0, 40.0), (10, 16.0), (10**6, 2.0)])
def test_the_softening_falls_with_the_steps_to_its_end(classes, learned, step, softening):
    scheduled = learned(LargeMarginSoftmax, softening_start=40.0, softening_decay=0.15, softening=2.0)
    with at_step(step):
        values = scheduled.call(*classes)
    np.testing.assert_allclose(values, learned(LargeMarginSoftmax, softening=softening).call(*classes), rtol=1e-5)


def test_a_graph_reads_the_step_anew(classes, learned):
    loss = learned(LargeMarginSoftmax, softening_start=40.0)
    step = tf.Variable(0, dtype=tf.int64)
    with at_step(step):
        graph = tf.function(loss.call)
        first = graph(*classes).numpy()
        step.assign(1000)
        assert np.abs(graph(*classes).numpy() - first).max() > 0.1


def test_by_hand(learned):
    loss = learned(LargeMarginSoftmax, margin=2)
    # The row (3, 0, 0), 60 degrees from its vector of length 2: 6 cos 120 = -3; products 0 with the others but one.
    loss.layers[0].vectors.assign([[1, 3**0.5, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [1, -4, 0], [0, 0, 2]])
    expected = -math.log(math.exp(-3) / (math.exp(-3) + 4 + math.exp(3)))
    np.testing.assert_allclose(loss([0], [[3.0, 0.0, 0.0]]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 2.5}, "margin must be a whole number from 1; got 2.5"),
        ({"margin": 0}, "margin must be a whole number from 1; got 0"),
        ({"scale": 0}, "scale must be above 0; got 0"),
        ({"softening": -1}, "softening must be at least 0; got -1"),
        ({"softening_start": -1}, "softening_start must be at least 0; got -1"),
        ({"softening_decay": -1}, "softening_decay must be at least 0; got -1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        LargeMarginSoftmax(**arguments)

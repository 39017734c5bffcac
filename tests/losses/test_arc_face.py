"""ArcFace against a loop over rows and classes that takes the angles themselves, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import ArcFace
from metric_learning.losses.arc_face import widen


def angle(x, y):
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return math.acos(product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y)))


def with_margin(theta, margin):
    if theta > math.pi - margin:
        return math.cos(theta) - margin * math.sin(margin)
    return math.cos(theta + margin)


def oracle(labels, margin=0.5, scale=64.0):
    def expected(rows, vectors):
        values = []
        for label, row in zip(labels, rows, strict=True):
            own = math.exp(scale * with_margin(angle(row, vectors[label]), margin))
            others = sum(math.exp(scale * math.cos(angle(row, v))) for c, v in enumerate(vectors) if c != label)
            values.append(-math.log(own / (own + others)))
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"margin": 0.0}, {"margin": 1.2}, {"scale": 5.0}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(ArcFace, **arguments), oracle(labels, **arguments), labels, rows, atol=1e-4)


def test_the_batch_has_angles_on_both_sides_of_the_kink(classes, learned):
    labels, rows = classes
    vectors = learned(ArcFace).layers[0].vectors.numpy()
    beyond = [angle(row, vectors[label]) > math.pi - 0.5 for label, row in zip(labels, rows, strict=True)]
    assert 0 < sum(beyond) < len(beyond)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(ArcFace, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_the_own_similarity_falls_over_all_angles():
    angles = np.linspace(0.0, math.pi, 2001)
    for margin in (0.0, 0.5, 1.5):
        values = widen(tf.constant(np.cos(angles), tf.float32), margin).numpy()
        assert (np.diff(values) < 1e-6).all()
        np.testing.assert_allclose(values, [with_margin(theta, margin) for theta in angles], atol=2e-3)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_rows_on_a_vector_and_opposite_to_it_have_finite_gradients(classes, learned, direction):
    labels, _ = classes
    loss = learned(ArcFace)
    rows = tf.constant(
        direction * loss.layers[0].vectors.numpy()[labels] * np.linspace(0.3, 7.0, 10)[:, None], tf.float32
    )
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss(labels, rows)
    gradients = tape.gradient(value, [rows, loss.layers[0].vectors.value])
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)
    assert all(np.abs(gradient).max() < 1e3 for gradient in gradients)


def test_by_hand(learned):
    loss = learned(ArcFace, margin=math.pi / 2, scale=2.0)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0); a right angle more makes -.8 of the .6.
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    expected = -math.log(math.exp(-1.6) / (math.exp(-1.6) + math.exp(1.6) + 3 + math.exp(-2)))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"margin": 28.6}, r"margin must be in \[0.0, 1.57.*got 28.6"), ({"scale": 0}, "scale must be above 0; got 0")],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        ArcFace(**arguments)

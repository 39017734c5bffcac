"""P2SGrad against the gradient of the paper, and its loss against loops, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import P2SGrad


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(targets, others_weight=1.0):
    def expected(rows, vectors):
        return np.array(
            [
                sum(
                    (cosine(row, vector) - target) ** 2 * (1 if target > 0 else others_weight) / 2
                    for vector, target in zip(vectors, wanted, strict=True)
                )
                for row, wanted in zip(rows, targets, strict=True)
            ]
        )

    return expected


@pytest.mark.parametrize("arguments", [{}, {"others_weight": 0.3}], ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(P2SGrad, **arguments), oracle(np.eye(6)[labels], **arguments), labels, rows)


def test_graded_labels_are_the_cosines_that_are_asked_for(classes, learned, agrees):
    _, rows = classes
    graded = np.random.default_rng(3).uniform(size=(10, 6)).astype(np.float32)
    agrees(learned(P2SGrad), oracle(graded), graded, rows)


def test_the_gradient_is_that_of_the_paper(classes, learned):
    labels, rows = classes
    loss = learned(P2SGrad)
    vectors = loss.layers[0].vectors.numpy().astype(np.float64)
    wanted = np.zeros_like(rows)
    for i, (label, row) in enumerate(zip(labels, rows, strict=True)):
        unit = row / np.linalg.norm(row)
        for c, vector in enumerate(vectors):
            direction = (vector / np.linalg.norm(vector) - cosine(row, vector) * unit) / np.linalg.norm(row)
            wanted[i] += (cosine(row, vector) - (c == label)) * direction
    with tf.GradientTape() as tape:
        watched = tf.Variable(rows, dtype=tf.float32)
        total = tf.reduce_sum(loss.call(labels, watched))
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(total, watched)), wanted, rtol=1e-4, atol=1e-5)


def test_by_hand(learned):
    loss = learned(P2SGrad)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0): (.16 + .64 + 1) / 2.
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    assert float(loss([0], [[6.0, 8.0, 0.0]])) == pytest.approx(0.9, abs=1e-6)


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="others_weight must be above 0; got 0"):
        P2SGrad(others_weight=0)

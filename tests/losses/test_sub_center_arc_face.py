"""Sub-center ArcFace against a loop over rows, classes and their vectors, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import ArcFace, SubCenterArcFace


def angle(x, y):
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return math.acos(product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y)))


def oracle(labels, margin=0.5, scale=64.0, vectors_per_class=3):
    def expected(rows, vectors):
        values = []
        for label, row in zip(labels, rows, strict=True):
            logits = []
            for c in range(6):
                centers = vectors[c * vectors_per_class : (c + 1) * vectors_per_class]
                theta = min(angle(row, center) for center in centers)
                if c != label:
                    logits.append(scale * math.cos(theta))
                elif theta > math.pi - margin:
                    logits.append(scale * (math.cos(theta) - margin * math.sin(margin)))
                else:
                    logits.append(scale * math.cos(theta + margin))
            values.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"margin": 0.2}, {"scale": 5.0}, {"vectors_per_class": 2}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(SubCenterArcFace, **arguments), oracle(labels, **arguments), labels, rows, atol=1e-4)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(SubCenterArcFace, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_the_batch_meets_other_vectors_than_the_first_of_their_class(classes, learned):
    labels, rows = classes
    vectors = learned(SubCenterArcFace).layers[0].vectors.numpy()
    own = [[angle(row, vectors[3 * label + k]) for k in range(3)] for label, row in zip(labels, rows, strict=True)]
    nearest = np.argmin(own, axis=1)
    assert len(set(nearest)) > 1


def test_one_vector_a_class_is_arc_face(classes, learned):
    one = learned(SubCenterArcFace, vectors_per_class=1)
    np.testing.assert_allclose(one.call(*classes), learned(ArcFace).call(*classes), rtol=1e-6)


def test_by_hand(learned):
    loss = learned(SubCenterArcFace, margin=math.pi / 2, scale=2.0, vectors_per_class=2)
    # Nearest cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0), the other vectors being farther, or as far.
    nearest = np.array([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    farther = np.array([[-1, 0, 0], [0, -3, 0], [0, -1, 0], [0, 0, 1], [-0.3, -0.4, 0], [-1, 0, 0]])
    loss.layers[0].vectors.assign(np.stack([nearest, farther], axis=1).reshape(12, 3))
    expected = -math.log(math.exp(-1.6) / (math.exp(-1.6) + math.exp(1.6) + 3 + math.exp(-2)))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 28.6}, r"margin must be in \[0.0, 1.57.*got 28.6"),
        ({"scale": 0}, "scale must be above 0; got 0"),
        ({"vectors_per_class": 0}, "vectors_per_class must be at least 1; got 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubCenterArcFace(**arguments)

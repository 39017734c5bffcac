"""CosFace against a loop over rows and classes, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import CosFace


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(classes_of_rows, margin=0.35, scale=64.0):
    """The mean over the classes of a row, each of which has the margin."""

    def expected(rows, vectors):
        values = []
        for own, row in zip(classes_of_rows, rows, strict=True):
            logits = [scale * (cosine(row, v) - (margin if c in own else 0.0)) for c, v in enumerate(vectors)]
            total = sum(math.exp(logit) for logit in logits)
            values.append(sum(math.log(total) - logits[c] for c in own) / max(len(own), 1))
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"margin": 0.0}, {"scale": 5.0}, {"margin": 0.8, "scale": 5.0}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(CosFace, **arguments), oracle([[label] for label in labels], **arguments), labels, rows)


def test_several_classes_share_a_row_and_none_cost_nothing(classes, learned, agrees):
    labels, rows = classes
    several = [[label, 3] if index % 3 else [] for index, label in enumerate(labels)]
    multi_hot = np.array([[c in own for c in range(6)] for own in several], np.float32)
    agrees(learned(CosFace), oracle(several), multi_hot, rows)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(CosFace, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_by_hand(learned):
    loss = learned(CosFace, margin=0.1, scale=2.0)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0).
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    expected = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(1.6) + 3 + math.exp(-2)))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"margin": -0.1}, "margin must be at least 0; got -0.1"), ({"scale": 0}, "scale must be above 0; got 0")],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        CosFace(**arguments)

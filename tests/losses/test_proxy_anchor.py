"""Proxy-anchor against a loop over proxies and rows, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import ProxyAnchor


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def loss_of_the_paper(classes_of_rows, rows, proxies, margin=0.1, scale=32.0):
    """One number for the batch."""
    pull, push, with_positives = 0.0, 0.0, 0
    for c, proxy in enumerate(proxies):
        positives = [row for own, row in zip(classes_of_rows, rows, strict=True) if c in own]
        negatives = [row for own, row in zip(classes_of_rows, rows, strict=True) if c not in own]
        with_positives += bool(positives)
        pull += math.log(1 + sum(math.exp(-scale * (cosine(row, proxy) - margin)) for row in positives))
        push += math.log(1 + sum(math.exp(scale * (cosine(row, proxy) + margin)) for row in negatives))
    return pull / max(with_positives, 1) + push / len(proxies)


def oracle(classes_of_rows, margin=0.1, scale=32.0):
    """The same, each proxy's cost being shared equally among its rows."""

    def expected(rows, proxies):
        values = np.zeros(len(rows))
        present = {c for own in classes_of_rows for c in own}
        for c, proxy in enumerate(proxies):
            for sign, weight, members in (
                (-1, len(present), [i for i, own in enumerate(classes_of_rows) if c in own]),
                (1, len(proxies), [i for i, own in enumerate(classes_of_rows) if c not in own]),
            ):
                terms = [math.exp(sign * scale * (cosine(rows[i], proxy) + sign * margin)) for i in members]
                for i in members:
                    values[i] += len(rows) * math.log(1 + sum(terms)) / (len(members) * weight)
        return values

    return expected


ARGUMENTS = [{}, {"margin": 0.4}, {"scale": 8.0}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(ProxyAnchor, **arguments), oracle([[label] for label in labels], **arguments), labels, rows)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_the_mean_is_the_loss_of_the_paper(classes, learned, arguments):
    labels, rows = classes
    loss = learned(ProxyAnchor, **arguments)
    own = [[label] for label in labels]
    expected = loss_of_the_paper(own, rows, loss.layers[0].vectors.numpy().astype(float), **arguments)
    np.testing.assert_allclose(loss(labels, rows), expected, rtol=1e-5)


def test_a_row_of_several_classes_is_a_positive_of_each(classes, learned, agrees):
    labels, rows = classes
    several = [[label, 3] if index % 3 else [] for index, label in enumerate(labels)]
    multi_hot = np.array([[c in own for c in range(6)] for own in several], np.float32)
    loss = learned(ProxyAnchor)
    agrees(loss, oracle(several), multi_hot, rows)
    expected = loss_of_the_paper(several, rows, loss.layers[0].vectors.numpy().astype(float))
    np.testing.assert_allclose(loss(multi_hot, rows), expected, rtol=1e-5)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(ProxyAnchor, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_by_hand(learned):
    loss = learned(ProxyAnchor, margin=0.5, scale=2.0)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0).
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    push = math.log(1 + math.exp(2.6)) + 3 * math.log(1 + math.exp(1)) + math.log(1 + math.exp(-1))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), math.log(1 + math.exp(-0.2)) + push / 6, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"margin": -0.1}, "margin must be at least 0; got -0.1"), ({"scale": 0}, "scale must be above 0; got 0")],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        ProxyAnchor(**arguments)

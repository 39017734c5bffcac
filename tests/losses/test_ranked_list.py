"""The ranked list loss against loops over the violating pairs, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import RankedList


def weighted(pairs, temperature):
    """`pairs`: (violation, the same as a constant)."""
    pairs = [pair for pair in pairs if pair[0] > 0.0]
    weights = [math.exp(temperature * constant) for _, constant in pairs]
    return sum(w * v for w, (v, _) in zip(weights, pairs, strict=True)) / sum(weights) if pairs else 0.0


def oracle(
    rows,
    constant_rows,
    labels,
    refs=None,
    ref_labels=None,
    *,
    margin=0.4,
    alpha=1.2,
    positive_temperature=0.0,
    negative_temperature=10.0,
    balance=0.5,
):
    """`constant_rows`: the rows from which the weights come, which have no gradient."""
    own = refs is None
    values = np.zeros(len(rows))
    for a in range(len(rows)):
        sides = {True: [], False: []}
        for j in range(len(rows) if own else len(refs)):
            if own and j == a:
                continue
            to, constant = (
                np.linalg.norm(points[a] - (points if own else refs)[j]) for points in (rows, constant_rows)
            )
            if (labels if own else ref_labels)[j] == labels[a]:
                sides[True].append((to - alpha + margin, constant - alpha + margin))
            else:
                sides[False].append((alpha - to, alpha - constant))
        values[a] = (1 - balance) * weighted(sides[True], positive_temperature)
        values[a] += balance * weighted(sides[False], negative_temperature)
    return values


OPTIONS = {
    "paper": {},
    "margin": {"margin": 0.7},
    "alpha": {"alpha": 0.9},
    "positives weighed": {"positive_temperature": 3.0},
    "negatives less weighed": {"negative_temperature": 1.0},
    "balance": {"balance": 0.2},
}


@pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)
def test_equals_loops_with_their_gradient(batch, bank, agrees, arguments):
    labels, rows = batch
    loss = RankedList(**arguments)
    agrees(loss, lambda moved: oracle(moved, rows, labels, **arguments), labels, rows)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    expected = lambda moved: oracle(moved, rows, labels, bank.embeddings, bank.labels, **arguments)  # noqa: E731
    agrees(loss, expected, labels, rows, **references)


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, rows, labels, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    np.testing.assert_allclose(RankedList().call(labels, rows), oracle(rows, rows, labels), atol=2e-6)


def test_the_nearest_negative_weighs_most():
    # From 0: negatives at .5 and 1, violations .5 and 0.25 - but the second is weighed by exp(-2.5) of the first.
    loss = RankedList(alpha=1.0, margin=0.5, negative_temperature=10.0, balance=1.0)
    expected = (0.5 + 0.25 * math.exp(-2.5)) / (1.0 + math.exp(-2.5))
    assert abs(loss.call([0, 1, 2], [[0.0], [0.5], [-0.75]])[0] - expected) < 1e-6


def test_weights_of_long_rows_do_not_overflow():
    values = RankedList(positive_temperature=5.0, distance="squared_euclidean").call([0, 0], [[0.0], [1e4]])
    np.testing.assert_allclose(values, 0.5 * (1e8 - 0.8), rtol=1e-6)


@pytest.mark.parametrize("name", ["margin", "alpha", "positive_temperature", "negative_temperature"])
def test_negative_numbers_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0; got -1"):
        RankedList(**{name: -1})


def test_a_balance_above_one_is_refused():
    with pytest.raises(ValueError, match="balance must be in .*; got 2"):
        RankedList(balance=2)

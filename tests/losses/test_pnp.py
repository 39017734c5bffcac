"""PNP against loops over the negatives before each positive, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import PNP


def cosine(x, y):
    return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)


PENALTIES = {
    "O": lambda n, alpha, b: n,
    "Iu": lambda n, alpha, b: (1 + n) * math.log(1 + n),
    "Ib": lambda n, alpha, b: n / b - math.log(1 + b * n) / b**2,
    "Ds": lambda n, alpha, b: math.log(1 + n),
    "Dq": lambda n, alpha, b: 1 - (1 + n) ** -alpha,
}


def oracle(rows, labels, refs=None, ref_labels=None, *, variant="Dq", alpha=8.0, b=2.0, temperature=0.01):
    own = refs is None
    refs, ref_labels = (rows, labels) if own else (refs, ref_labels)
    values, valid = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        likeness = [cosine(row, ref) for ref in refs]
        positives = [j for j in range(len(refs)) if ref_labels[j] == labels[a] and not (own and j == a)]
        negatives = [j for j in range(len(refs)) if ref_labels[j] != labels[a]]
        for p in positives:
            before = sum(1 / (1 + math.exp((likeness[p] - likeness[n]) / temperature)) for n in negatives)
            values[a] += PENALTIES[variant](before, alpha, b) / len(positives)
        valid += bool(positives)
    return values * len(rows) / valid


OPTIONS = {
    "O": {"variant": "O"},
    "Iu": {"variant": "Iu"},
    "Ib": {"variant": "Ib"},
    "Ib, other b": {"variant": "Ib", "b": 0.5},
    "Ds": {"variant": "Ds"},
    "Dq": {"variant": "Dq"},
    "Dq, other alpha": {"variant": "Dq", "alpha": 0.7},
    "sharper": {"variant": "Ds", "temperature": 0.1},
}


@pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)
def test_equals_loops_with_their_gradient(batch, bank, agrees, arguments):
    labels, rows = batch
    arguments = {"temperature": 0.3} | arguments
    loss = PNP(**arguments)
    agrees(loss, lambda rows: oracle(rows, labels, **arguments), labels, rows)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(
        loss, lambda rows: oracle(rows, labels, bank.embeddings, bank.labels, **arguments), labels, rows, **references
    )


def test_the_defaults_are_those_of_the_paper(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    values = oracle(rows, labels)
    assert np.std(values) > 0.01
    np.testing.assert_allclose(PNP().call(labels, rows), values, atol=1e-4)


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, labels, **({"temperature": 0.3} | arguments)).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("O", 2.0), ("Iu", 3 * math.log(3)), ("Ib", 1 - math.log(5) / 4), ("Ds", math.log(3)), ("Dq", 1 - 1 / 9)],
)
def test_two_negatives_before_the_positive(variant, expected):
    # The only positive of 0 is at 3, behind the negatives at 1 and 2.
    labels, rows = [0, 1, 2, 0], [[0.0], [1.0], [2.0], [3.0]]
    loss = PNP(variant=variant, alpha=2.0, temperature=1e-3, distance="euclidean")
    assert abs(loss.call(labels, rows)[0] / 2 - expected) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "Dx"}, "variant must be one of Ds, Dq, Iu, Ib, O; got 'Dx'"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"b": 0.0}, "b must be above 0"),
        ({"temperature": -1.0}, "temperature must be above 0"),
    ],
    ids=["variant", "alpha", "b", "temperature"],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PNP(**arguments)

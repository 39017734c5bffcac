"""The recall@k surrogate against loops over the rank of each positive, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import RecallAtK


def step(x, temperature):
    return 0.5 * (1.0 + math.tanh(0.5 * x / temperature))


def cosine(x, y):
    return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)


def oracle(
    rows,
    labels,
    refs=None,
    ref_labels=None,
    *,
    k=(1, 2, 4, 8, 16),
    temperature=0.01,
    rank_temperature=1.0,
    reachable=False,
):
    own = refs is None
    refs, ref_labels = (rows, labels) if own else (refs, ref_labels)
    values, valid = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        database = [j for j in range(len(refs)) if not (own and j == a)]
        positives = [j for j in database if ref_labels[j] == labels[a]]
        if not positives or len(positives) == len(database):
            continue
        likeness = [cosine(row, ref) for ref in refs]
        valid += 1
        for number in k:
            found = 0.0
            for p in positives:
                rank = 1.0 + sum(step(likeness[j] - likeness[p], temperature) for j in database if j != p)
                found += step(number - rank, rank_temperature)
            most = min(number, len(positives)) if reachable else len(positives)
            values[a] += (1.0 - (min(found, number) if reachable else found) / most) / len(k)
    return values * len(rows) / valid


OPTIONS = {
    "several": {},
    "one": {"k": (1,)},
    "sharper": {"temperature": 0.1},
    "sharper cut": {"rank_temperature": 0.4},
    "reachable": {"reachable": True},
    "reachable one": {"k": (1,), "reachable": True, "rank_temperature": 3.0},
}


@pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)
def test_equals_loops_with_their_gradient(batch, bank, agrees, arguments):
    labels, rows = batch
    arguments = {"temperature": 0.3} | arguments
    loss = RecallAtK(**arguments)
    agrees(loss, lambda rows: oracle(rows, labels, **arguments), labels, rows)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(
        loss, lambda rows: oracle(rows, labels, bank.embeddings, bank.labels, **arguments), labels, rows, **references
    )


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, labels, **({"temperature": 0.3} | arguments)).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_the_defaults_are_those_of_the_paper(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    np.testing.assert_allclose(RecallAtK().call(labels, rows), oracle(rows, labels), atol=1e-4)


def test_sharp_sigmoids_count_the_recall():
    # From 0 the order is: negative, positive, positive, negative. Recall 0, 1/2, 1 at 1, 2, 3; half a rank off the cut.
    labels, rows = [0, 1, 0, 0, 1], [[0.0], [1.0], [2.0], [3.0], [4.0]]
    for k, recall, reachable in ((1.0, 0.0, 0.0), (2.0, 1 / 4, 1 / 4), (3.0, 3 / 4, 3 / 4)):
        for divide, expected in ((False, recall), (True, reachable)):
            loss = RecallAtK(k=[k], temperature=1e-3, rank_temperature=1e-2, reachable=divide, distance="euclidean")
            assert abs(loss.call(labels, rows)[0] - (1.0 - expected)) < 1e-5, (k, divide)


def test_more_positives_than_places_are_no_loss_where_reachable():
    labels, rows = [0, 0, 0, 1], [[0.0], [1.0], [2.0], [5.0]]
    arguments = {"k": [1], "temperature": 1e-3, "rank_temperature": 0.05, "distance": "euclidean"}
    # The first positive is at the cut, which counts half.
    assert abs(RecallAtK(**arguments).call(labels, rows)[0] * 3 / 4 - 3 / 4) < 1e-5
    assert abs(RecallAtK(reachable=True, **arguments).call(labels, rows)[0] * 3 / 4 - 1 / 2) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": []}, "k must name at least one number; got none"),
        ({"k": [0, 1]}, "k must be a whole number of at least 1; got 0"),
        ({"k": [1.5]}, "k must be a whole number of at least 1; got 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"rank_temperature": 0.0}, "rank_temperature must be above 0"),
    ],
    ids=["none", "zero", "half", "temperature", "rank_temperature"],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RecallAtK(**arguments)


def test_one_k_needs_no_list(batch):
    assert RecallAtK(k=2)(*batch) == RecallAtK(k=[2])(*batch)

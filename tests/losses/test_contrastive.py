"""The contrastive loss against loops over every pair, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Contrastive
from metric_learning.tuples import Pairs, Triplets


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[name]


def oracle(
    rows,
    positives,
    negatives,
    refs=None,
    *,
    positive_margin=0.0,
    negative_margin=1.0,
    squared=True,
    average="selected",
    distance="euclidean",
):
    """One value per anchor; their mean is the mean over positives plus the mean over negatives."""
    refs = rows if refs is None else refs
    values = np.zeros(len(rows))
    for pairs, sign, margin in ((positives, 1, positive_margin), (negatives, -1, negative_margin)):
        sums, count = np.zeros(len(rows)), 0.0
        for a, j, weight in pairs:
            violation = max(sign * (distance_of(rows[a], refs[j], distance) - margin), 0.0)
            sums[a] += weight * (0.5 * violation**2 if squared else violation)
            if average == "selected" or violation > 0.0:
                count += weight
        values += sums * len(rows) / count
    return values


OPTIONS = {
    "squared": {},
    "linear": {"squared": False},
    "positive margin": {"positive_margin": 0.6},
    "linear, both margins": {"squared": False, "positive_margin": 0.6, "negative_margin": 1.3},
    "active": {"average": "active", "positive_margin": 0.6},
    "linear active": {"average": "active", "squared": False, "positive_margin": 0.6},
    "squared distance": {"distance": "squared_euclidean", "positive_margin": 0.3},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, arguments, agrees, every_pair):
    labels, rows = batch

    def expected(rows):
        return oracle(rows, *every_pair(labels), **arguments)

    agrees(Contrastive(**arguments), expected, labels, rows)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    labels, rows = batch
    values = [oracle(rows, *every_pair(labels), **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_both_sides_have_active_and_inactive_pairs(batch, every_pair):
    labels, rows = batch
    positives, negatives = every_pair(labels)
    near = [distance_of(rows[a], rows[j], "euclidean") < 0.6 for a, j, _ in positives]
    far = [distance_of(rows[a], rows[j], "euclidean") > 1.0 for a, j, _ in negatives]
    assert 0 < sum(near) < len(near) and 0 < sum(far) < len(far)


@options
def test_a_pair_counts_as_often_as_its_weight_says(batch, arguments, agrees, every_pair):
    labels, rows = batch
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    positives, negatives = (
        [(a, j, float(count[a, j])) for a, j, _ in pairs]
        for count, pairs in zip(counts, every_pair(labels), strict=True)
    )
    pairs = np.zeros((2, 10, 10), np.float32)
    for weights, listed in zip(pairs, (positives, negatives), strict=True):
        for a, j, weight in listed:
            weights[a, j] = weight

    def expected(rows):
        return oracle(rows, positives, negatives, **arguments)

    loss = Contrastive(miner=lambda *_: Pairs(*map(tf.constant, pairs)), **arguments)
    agrees(loss, expected, labels, rows)


def test_a_pair_of_two_triplets_counts_twice(batch):
    labels, rows = batch
    assert labels[0] == labels[2] == labels[6] != labels[1] != labels[3]
    positive = np.zeros((10, 2), np.int32)
    negative = np.zeros((10, 2), np.int32)
    weights = np.zeros((10, 2), np.float32)
    positive[0], negative[0], weights[0] = [2, 6], [3, 3], [1, 1]
    positive[1], negative[1], weights[1] = [5, 8], [0, 2], [1, 0]
    selection = Triplets(*map(tf.constant, (positive, negative, weights)))
    listed = [(0, 2, 1.0), (0, 6, 1.0), (1, 5, 1.0)], [(0, 3, 2.0), (1, 0, 1.0)]
    values = Contrastive(miner=lambda *_: selection).call(labels, rows)
    np.testing.assert_allclose(values, oracle(rows, *listed), atol=2e-6)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair):
    labels, rows = batch_with_duplicates
    for arguments in OPTIONS.values():
        expected = oracle(rows, *every_pair(labels), **arguments)
        np.testing.assert_allclose(Contrastive(**arguments).call(labels, rows), expected, atol=2e-6)


def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, agrees, every_pair):
    labels, rows = batch
    pairs = every_pair(labels, bank.labels)

    def expected(rows):
        return oracle(rows, *pairs, bank.embeddings)

    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Contrastive(), expected, labels, rows, **references)


def test_one_side_alone_is_enough():
    rows = [[0.0], [0.5]]
    assert Contrastive(squared=False)([0, 0], rows) == 0.5
    assert Contrastive(squared=False)([0, 1], rows) == 0.5
    assert Contrastive(squared=True)([0, 1], rows) == 0.125


@pytest.mark.parametrize("name", ["positive_margin", "negative_margin"])
def test_negative_margins_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0; got -1"):
        Contrastive(**{name: -1})

"""Smooth-AP against loops over the ranking of each positive, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import SmoothAP


def sigmoid(x):
    return 0.5 * (1.0 + math.tanh(0.5 * x))


def cosine(x, y):
    return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)


def euclidean(x, y):
    return -np.linalg.norm(x - y)


def oracle(rows, labels, refs=None, ref_labels=None, *, temperature=0.01, likeness=cosine):
    """Brown et al., eq. 6, by similarities as in the paper; the mean over [B] is that over anchors with positives."""
    own = refs is None
    refs, ref_labels = (rows, labels) if own else (refs, ref_labels)
    values, valid = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        others = [j for j in range(len(refs)) if not (own and j == a)]
        positives = [j for j in others if ref_labels[j] == labels[a]]
        if not positives:
            continue
        precision = 0.0
        for p in positives:
            rank = rank_in_positives = 1.0
            for j in others:
                if j != p:
                    nearer = sigmoid((likeness(row, refs[j]) - likeness(row, refs[p])) / temperature)
                    rank += nearer
                    rank_in_positives += nearer if j in positives else 0.0
            precision += rank_in_positives / rank
        values[a] = 1.0 - precision / len(positives)
        valid += 1
    return values * len(rows) / valid


OPTIONS = {
    "softer": ({"temperature": 0.2}, {"temperature": 0.2}),
    "soft": ({"temperature": 1.0}, {"temperature": 1.0}),
    "euclidean": ({"temperature": 0.3, "distance": "euclidean"}, {"temperature": 0.3, "likeness": euclidean}),
}


@pytest.mark.parametrize(("arguments", "of_oracle"), OPTIONS.values(), ids=OPTIONS)
def test_equals_loops_with_their_gradient(batch, batch_with_duplicates, bank, agrees, arguments, of_oracle):
    labels, rows = batch
    loss = SmoothAP(**arguments)
    agrees(loss, lambda rows: oracle(rows, labels, **of_oracle), labels, rows)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(
        loss, lambda rows: oracle(rows, labels, bank.embeddings, bank.labels, **of_oracle), labels, rows, **references
    )
    twins = batch_with_duplicates.embeddings
    np.testing.assert_allclose(loss.call(labels, twins), oracle(twins, labels, **of_oracle), atol=1e-5)


def test_the_temperature_of_the_paper_gives_its_values(batch):
    labels, rows = batch
    values = oracle(rows, labels)
    assert np.std(values) > 0.1
    np.testing.assert_allclose(SmoothAP().call(labels, rows), values, atol=1e-4)


def test_a_sharp_temperature_gives_average_precision():
    # From 0: negative at 1, positives at 2 and 3: precisions 1/2 and 2/3.
    labels, rows = [0, 1, 0, 0], np.array([[0.0], [1.0], [2.0], [3.0]])
    value = SmoothAP(temperature=1e-3, distance="euclidean").call(labels, rows)[0]
    assert abs(value * 3 / 4 - (1.0 - (1 / 2 + 2 / 3) / 2)) < 1e-5


def test_classes_need_no_common_size_and_no_order(batch):
    labels, rows = batch
    order = np.argsort(labels, kind="stable")
    assert np.any(order != np.arange(10))
    values = SmoothAP(temperature=0.1).call(labels, rows).numpy()
    np.testing.assert_allclose(SmoothAP(temperature=0.1).call(labels[order], rows[order]), values[order], atol=1e-6)


def test_a_temperature_of_zero_is_refused_by_name():
    with pytest.raises(ValueError, match="temperature must be above 0; got 0"):
        SmoothAP(temperature=0.0)

"""The cosine loss against loops over every pair, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Cosine
from metric_learning.tuples import Pairs


def cosine_of(x, y):
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    return dot / (sum(a * a for a in x) * sum(b * b for b in y)) ** 0.5


def oracle(rows, labels, *, margin=0.0, average="selected", refs=None, ref_labels=None, kept=None):
    """One value per anchor; their mean is the mean over positives plus the mean over negatives."""
    own_batch = refs is None
    refs, ref_labels = (rows, labels) if own_batch else (refs, ref_labels)
    sums, counts = np.zeros((2, len(rows))), [0, 0]
    for a in range(len(rows)):
        for j in range(len(refs)):
            if own_batch and a == j or kept is not None and not kept[a, j]:
                continue
            is_negative = int(labels[a] != ref_labels[j])
            cosine = cosine_of(rows[a], refs[j])
            cost = max(cosine - margin, 0.0) if is_negative else 1.0 - cosine
            sums[is_negative, a] += cost
            counts[is_negative] += average == "selected" or cost > 0.0
    return len(rows) * (sums[0] / counts[0] + sums[1] / counts[1])


OPTIONS = {
    "no margin": {},
    "margin": {"margin": 0.4},
    "negative margin": {"margin": -0.5},
    "active": {"margin": 0.4, "average": "active"},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch

    def expected(rows):
        return oracle(rows, labels, **arguments)

    agrees(Cosine(**arguments), expected, labels, rows)


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, labels, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@options
def test_selected_pairs_equal_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch
    kept = np.random.default_rng(8).integers(0, 2, size=(10, 10))
    same = np.equal.outer(labels, labels)
    pairs = Pairs(
        tf.constant(kept * (same & ~np.eye(10, dtype=bool)), tf.float32),
        tf.constant(kept * ~same, tf.float32),
    )

    def expected(rows):
        return oracle(rows, labels, kept=kept, **arguments)

    loss = Cosine(miner=lambda *_: pairs, **arguments)
    agrees(loss, expected, labels, rows)


def test_the_length_of_a_row_does_not_matter(batch):
    labels, rows = batch
    scaled = rows * np.geomspace(1e-3, 1e3, 10)[:, None]
    np.testing.assert_allclose(Cosine().call(labels, scaled), Cosine().call(labels, rows), atol=2e-6)


def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, agrees):
    labels, rows = batch

    def expected(rows):
        return oracle(rows, labels, refs=bank.embeddings, ref_labels=bank.labels)

    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Cosine(), expected, labels, rows, **references)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    expected = oracle(rows, labels, margin=0.4)
    np.testing.assert_allclose(Cosine(margin=0.4).call(labels, rows), expected, atol=2e-6)


def test_a_zero_row_is_at_similarity_zero_without_gradient():
    rows = tf.Variable([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        value = Cosine(margin=-0.25)([0, 0, 1], rows)
    assert value == 1.25
    assert np.all(tape.gradient(value, rows)[1:] == 0.0)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"margin must be in \[-1, 1\].*; got 1.5"):
        Cosine(margin=1.5)
    with pytest.raises(ValueError, match="distance must be cosine .*; got 'euclidean'"):
        Cosine(distance="euclidean")

"""The supervised contrastive loss against loops over each anchor's positives, with graded labels too."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import SupCon
from metric_learning.tuples import Pairs


def similarity_of(x, y, distance):
    product = sum(a * b for a, b in zip(x, y, strict=True))
    if distance == "dot":
        return product
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(rows, positives, negatives, refs=None, *, temperature=0.1, distance="cosine", grade=lambda a, j: 1.0):
    """One value per anchor; their mean is the mean over the anchors with a positive and a negative."""
    refs = rows if refs is None else refs
    values, counted = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        mine, others = ([j for b, j, w in pairs if a == b and w] for pairs in (positives, negatives))
        if not mine or not others:
            continue
        powers = {j: math.exp(similarity_of(row, refs[j], distance) / temperature) for j in mine + others}
        total = sum(powers.values())
        costs = [-grade(a, j) * math.log(powers[j] / total) for j in mine]
        values[a] = sum(costs) / sum(grade(a, j) for j in mine)
        counted += 1
    return values * len(rows) / counted


OPTIONS = {"default": {}, "temperature": {"temperature": 0.4}, "dot": {"temperature": 0.4, "distance": "dot"}}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, arguments):
    agrees(SupCon(**arguments), lambda rows: oracle(rows, *every_pair(batch.labels), **arguments), *batch)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    values = [oracle(batch.embeddings, *every_pair(batch.labels), **a).mean() for a in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_a_selected_pair_counts_once_however_often_it_was_selected(batch, every_pair, agrees):
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    counts[1, 0] = 0.0  # an anchor without negatives
    pairs = [
        [(a, j, float(count[a, j])) for a, j, _ in cells]
        for count, cells in zip(counts, every_pair(batch.labels), strict=True)
    ]
    assert any(a == 0 and w for a, _, w in pairs[0])

    def miner(distances, positive_mask, negative_mask):
        masks = tf.cast(positive_mask, tf.float32), tf.cast(negative_mask, tf.float32)
        return Pairs(counts[0] * masks[0], counts[1] * masks[1])

    agrees(SupCon(miner=miner), lambda rows: oracle(rows, *pairs), *batch)


def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, every_pair, agrees):
    pairs = every_pair(batch.labels, bank.labels)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(SupCon(), lambda rows: oracle(rows, *pairs, bank.embeddings), *batch, **references)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair):
    labels, rows = batch_with_duplicates
    np.testing.assert_allclose(SupCon().call(labels, rows), oracle(rows, *every_pair(labels)), rtol=1e-5, atol=2e-6)


# Multi-hot: rows 0 and 1 share one class of three, 0 and 4 both of theirs, row 5 shares none.
TAGS = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])


def jaccard(a, j):
    return (TAGS[a] & TAGS[j]).sum() / (TAGS[a] | TAGS[j]).sum()


def test_a_positive_pulls_by_its_grade(batch, agrees):
    rows = batch.embeddings[: len(TAGS)]
    cells = [(a, j, 1.0) for a in range(len(TAGS)) for j in range(len(TAGS)) if a != j]
    positives = [cell for cell in cells if jaccard(*cell[:2]) > 0]
    negatives = [cell for cell in cells if jaccard(*cell[:2]) == 0]
    assert len({jaccard(*cell[:2]) for cell in positives}) >= 4

    def expected(rows):
        return oracle(rows, positives, negatives, grade=jaccard)

    agrees(SupCon(), expected, TAGS, rows)
    assert np.abs(expected(rows) - oracle(rows, positives, negatives)).max() > 0.1


def test_one_hot_labels_cost_what_class_numbers_cost(batch):
    _, numbers = np.unique(batch.labels, return_inverse=True)
    np.testing.assert_allclose(
        SupCon().call(np.eye(4)[numbers], batch.embeddings), SupCon().call(numbers, batch.embeddings), rtol=1e-5
    )


def test_by_hand():
    """Row 0: cosines 1 and 0.6 to the positives, 0 to the negative; T = 0.2, so exponents 5, 3 and 0."""
    rows = [[1.0, 0.0], [2.0, 0.0], [3.0, 4.0], [0.0, 1.0]]
    wanted = math.log(math.exp(5) + math.exp(3) + 1) - (5 + 3) / 2
    assert wanted == pytest.approx(1.1328, abs=1e-4)
    np.testing.assert_allclose(SupCon(temperature=0.2).call([0, 0, 0, 1], rows)[0], wanted * 4 / 3, rtol=1e-6)


def test_an_anchor_without_negatives_counts_nothing():
    assert SupCon()([0, 0, 0], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) == 0.0


def test_a_temperature_of_0_is_refused():
    with pytest.raises(ValueError, match="temperature must be above 0; got 0"):
        SupCon(temperature=0)

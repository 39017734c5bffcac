"""The instance loss against cross-entropies written row by row."""

import math

import numpy as np
import pytest

from metric_learning.losses import Instance


def cosine_of(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(rows, labels, refs=None, ref_labels=None, *, scale=64.0):
    """One value per anchor; their mean is the mean over the anchors whose label the references have."""
    refs, ref_labels = (rows, labels) if refs is None else (refs, ref_labels)
    values, counted = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        logits = [scale * cosine_of(row, ref) for ref in refs]
        total = math.log(sum(math.exp(logit) for logit in logits))
        own = [total - logit for logit, label in zip(logits, ref_labels, strict=True) if label == labels[a]]
        if own:
            values[a] = sum(own) / len(own)
            counted += 1
    return values * len(rows) / counted


scales = pytest.mark.parametrize("scale", [64.0, 5.0, 1.0])


@scales
def test_values_equal_loops_with_their_gradient(batch, agrees, scale):
    agrees(Instance(scale=scale), lambda rows: oracle(rows, batch.labels, scale=scale), *batch)


@scales
def test_without_labels_every_row_is_its_own_class(batch, agrees, scale):
    labels = np.arange(10)
    agrees(Instance(scale=scale), lambda rows: oracle(rows, labels, scale=scale), labels, 4.0 * batch.embeddings)


@scales
def test_views_are_recognized_among_views(batch, bank, agrees, scale):
    def expected(rows):
        return oracle(rows, batch.labels, bank.embeddings, bank.labels, scale=scale)

    assert set(batch.labels) - set(bank.labels), "an anchor without a view"
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Instance(scale=scale), expected, *batch, **references)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    np.testing.assert_allclose(Instance().call(labels, rows), oracle(rows, labels), rtol=1e-5, atol=1e-5)


def test_by_hand():
    """Row 0 is at cosine 1 to itself, 0.6 to its other view and 0 to the other item: exponents 5, 3 and 0."""
    rows = [[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]]
    wanted = math.log(math.exp(5) + math.exp(3) + 1) - (5 + 3) / 2
    assert wanted == pytest.approx(1.1328, abs=1e-4)
    np.testing.assert_allclose(Instance(scale=5.0).call([0, 0, 1], rows)[0], wanted, rtol=1e-6)


def test_the_least_cost_is_the_log_of_the_views():
    rows = [[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]
    np.testing.assert_allclose(Instance()([0, 0, 1, 1], rows), math.log(2), rtol=1e-5)


def test_values_that_make_no_sense_are_refused_by_name():
    with pytest.raises(ValueError, match="scale must be above 0; got 0"):
        Instance(scale=0)
    with pytest.raises(ValueError, match="distance must be one of cosine; got 'snr'"):
        Instance(distance="snr")

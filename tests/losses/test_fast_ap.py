"""FastAP against loops over the bins, in float64."""

import numpy as np
import pytest

from metric_learning.losses import FastAP


def squared_distance(x, y):
    """Of unit rows, in [0, 4], as in the paper."""
    return np.sum((x / np.linalg.norm(x) - y / np.linalg.norm(y)) ** 2)


def oracle(rows, labels, refs=None, ref_labels=None, *, num_bins=10):
    """Cakir et al., eq. 9, with triangular pulses around the nodes 0, 4 / L, ..., 4."""
    own = refs is None
    refs, ref_labels = (rows, labels) if own else (refs, ref_labels)
    width = 4.0 / num_bins
    values, valid = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        references = [j for j in range(len(refs)) if not (own and j == a)]
        num_positives = sum(ref_labels[j] == labels[a] for j in references)
        if not num_positives:
            continue
        valid += 1
        precision = up_to_here = positives_up_to_here = 0.0
        for node in range(num_bins + 1):
            positives_here = 0.0
            for j in references:
                pulse = max(0.0, 1.0 - abs(squared_distance(row, refs[j]) - node * width) / width)
                up_to_here += pulse
                positives_here += pulse if ref_labels[j] == labels[a] else 0.0
            positives_up_to_here += positives_here
            if positives_here:
                precision += positives_here * positives_up_to_here / up_to_here
        values[a] = 1.0 - precision / num_positives
    return values * len(rows) / valid


@pytest.mark.parametrize("num_bins", [1, 3, 10, 25])
def test_equals_loops_with_their_gradient(batch, bank, agrees, num_bins):
    labels, rows = batch
    loss = FastAP(num_bins=num_bins)
    agrees(loss, lambda rows: oracle(rows, labels, num_bins=num_bins), labels, rows)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    expected = lambda rows: oracle(rows, labels, bank.embeddings, bank.labels, num_bins=num_bins)  # noqa: E731
    agrees(loss, expected, labels, rows, **references)


def test_the_number_of_bins_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, labels, num_bins=num_bins).mean() for num_bins in (1, 3, 10, 25)]
    assert len(np.unique(np.round(values, 3))) == 4


def test_rows_at_both_ends_stay_in_their_bins(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    rows[3] = -rows[2]  # at distance 2 of rows 2 and 6
    rows[4] = rows[0]  # at distance 0
    values = oracle(rows, labels)
    np.testing.assert_allclose(FastAP().call(labels, rows), values, atol=1e-5)
    # Opposite rows, by rounding farther than 2, and equal ones: AP 0.5 of one positive behind one negative.
    axis = np.array([0.3, 0.1, 0.7])
    value = FastAP().call([0, 1, 0], [axis, axis, -axis])[0]
    assert abs(value * 2 / 3 - 0.5) < 1e-5


@pytest.mark.parametrize("num_bins", [0, 1.5])
def test_a_bad_number_of_bins_is_refused_by_name(num_bins):
    with pytest.raises(ValueError, match=f"num_bins must be a whole number of at least 1; got {num_bins}"):
        FastAP(num_bins=num_bins)


def test_distances_without_an_end_are_refused():
    with pytest.raises(ValueError, match="distance must be one of cosine; got 'euclidean'"):
        FastAP(distance="euclidean")

"""The histogram loss against loops over the nodes, in float64."""

import numpy as np
import pytest

from metric_learning.losses import Histogram


def cosine(x, y):
    return np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)


def density(pairs, num_bins):
    """Ustinova and Lempitsky, eq. 2 and 3: the estimate at each node from a list of similarities."""
    width = 2.0 / num_bins
    nodes = [-1.0 + width * r for r in range(num_bins + 1)]
    return [sum(max(0.0, 1.0 - abs(s - node) / width) for s in pairs) for node in nodes]


def oracle(rows, labels, refs=None, ref_labels=None, *, num_bins=100):
    """Eq. 4, split by the anchors of the negative pairs."""
    own = refs is None
    refs, ref_labels = (rows, labels) if own else (refs, ref_labels)
    positives, negatives = [], [[] for _ in rows]
    for a, row in enumerate(rows):
        for j, ref in enumerate(refs):
            if ref_labels[j] != labels[a]:
                negatives[a].append(cosine(row, ref))
            elif not (own and a == j):
                positives.append(cosine(row, ref))
    of_positives = np.array(density(positives, num_bins)) / len(positives)
    num_negatives = sum(map(len, negatives))
    values = np.zeros(len(rows))
    for a in range(len(rows)):
        for r, share in enumerate(density(negatives[a], num_bins)):
            values[a] += share / num_negatives * sum(of_positives[: r + 1])
    return values * len(rows)


@pytest.mark.parametrize("num_bins", [1, 4, 20, 100])
def test_equals_loops_with_their_gradient(batch, bank, agrees, num_bins):
    labels, rows = batch
    loss = Histogram(num_bins=num_bins)
    agrees(loss, lambda rows: oracle(rows, labels, num_bins=num_bins), labels, rows, step=1e-7)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    expected = lambda rows: oracle(rows, labels, bank.embeddings, bank.labels, num_bins=num_bins)  # noqa: E731
    agrees(loss, expected, labels, rows, step=1e-7, **references)


def test_the_number_of_bins_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, labels, num_bins=num_bins).mean() for num_bins in (1, 4, 20, 100)]
    assert len(np.unique(np.round(values, 4))) == 4


def test_the_mean_is_the_loss_of_the_whole_batch(batch):
    """Not a mean of anchors: every negative pair meets every positive pair."""
    labels, rows = batch
    same = np.equal.outer(labels, labels)
    cosines = np.array([[cosine(x, y) for y in rows] for x in rows])
    positives, negatives = cosines[same & ~np.eye(10, dtype=bool)], cosines[~same]
    of_negatives, of_positives = (np.array(density(s, 50)) / len(s) for s in (negatives, positives))
    expected = sum(of_negatives[r] * of_positives[: r + 1].sum() for r in range(51))
    assert abs(Histogram(num_bins=50)(labels, rows) - expected) < 1e-5
    # About the probability that a positive pair is less alike than a negative pair.
    assert abs(expected - np.mean(positives[:, None] < negatives)) < 0.05


def test_rows_at_both_ends_stay_in_their_bins(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    rows[3] = -rows[2]
    rows[4] = rows[0]
    np.testing.assert_allclose(Histogram().call(labels, rows), oracle(rows, labels), atol=2e-5)
    # Positives at -1 lie below all negatives, which by rounding may be beyond 1; and the other way round.
    axis = np.array([0.3, 0.1, 0.7])
    assert abs(Histogram()([0, 1, 0, 1], [axis, axis, -axis, -axis]) - 1.0) < 1e-5
    assert Histogram()([0, 0, 1, 1], [axis, axis, -axis, -axis]) < 1e-5


@pytest.mark.parametrize("num_bins", [0, 2.5])
def test_a_bad_number_of_bins_is_refused_by_name(num_bins):
    with pytest.raises(ValueError, match=f"num_bins must be a whole number of at least 1; got {num_bins}"):
        Histogram(num_bins=num_bins)


def test_distances_without_an_end_are_refused():
    with pytest.raises(ValueError, match="distance must be one of cosine; got 'dot'"):
        Histogram(distance="dot")

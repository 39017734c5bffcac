"""NT-Xent, decoupled contrastive and tuplet margin loss against loops over each positive and its anchor's negatives."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import DecoupledContrastive, NTXent, TupletMargin
from metric_learning.tuples import Pairs, Triplets


def cosine_of(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def similarity_of(x, y, distance):
    if distance == "cosine":
        return cosine_of(x, y)
    if distance == "dot":
        return sum(a * b for a, b in zip(x, y, strict=True))
    return -math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def nt_xent(similarities, p, others, negatives, pairs, *, temperature=0.1, other_positives=False):
    """-log of the share of positive p; `others` are the columns of the anchor's other positives."""
    own = math.exp(similarities[p] / temperature)
    total = own + sum(weight * math.exp(similarities[n] / temperature) for n, weight in negatives)
    if other_positives:
        total += sum(math.exp(similarities[j] / temperature) for j in others)
    return -math.log(own / total)


def decoupled_contrastive(similarities, p, others, negatives, pairs, *, temperature=0.1, sigma=None):
    total = sum(weight * math.exp(similarities[n] / temperature) for n, weight in negatives)
    weight = 1.0
    if sigma is not None:
        mean = sum(w * math.exp(s / sigma) for s, w in pairs) / sum(w for _, w in pairs)
        weight = 2.0 - math.exp(similarities[p] / sigma) / mean
    return -weight * similarities[p] / temperature + math.log(total)


def tuplet_margin(similarities, p, others, negatives, pairs, *, slack=0.1, scale=64.0):
    slackened = math.cos(math.acos(similarities[p]) - slack)
    return math.log(1.0 + sum(w * math.exp(scale * (similarities[n] - slackened)) for n, w in negatives))


def oracle(rows, positives, negatives, refs=None, *, cost, distance="cosine", **arguments):
    """One value per anchor; their mean is the mean over the positives of anchors with a negative."""
    refs = rows if refs is None else refs
    table = [[similarity_of(row, ref, distance) for ref in refs] for row in rows]
    counted = [(a, p, w) for a, p, w in positives if w and any(b == a and v for b, _, v in negatives)]
    pairs = [(table[a][p], w) for a, p, w in counted]
    sums = np.zeros(len(rows))
    for a, p, weight in counted:
        others = [q for b, q, w in positives if b == a and q != p and w]
        mine = [(n, w) for b, n, w in negatives if b == a]
        sums[a] += weight * cost(table[a], p, others, mine, pairs, **arguments)
    return sums * len(rows) / sum(weight for _, _, weight in counted)


LOSSES = {NTXent: nt_xent, DecoupledContrastive: decoupled_contrastive, TupletMargin: tuplet_margin}
OPTIONS = {
    "nt_xent": (NTXent, {}),
    "nt_xent temperature": (NTXent, {"temperature": 0.5}),
    "nt_xent other positives": (NTXent, {"temperature": 0.5, "other_positives": True}),
    "nt_xent dot": (NTXent, {"temperature": 0.5, "distance": "dot"}),
    "nt_xent euclidean": (NTXent, {"temperature": 0.5, "distance": "euclidean"}),
    "decoupled": (DecoupledContrastive, {}),
    "decoupled temperature": (DecoupledContrastive, {"temperature": 0.4}),
    "decoupled weighted": (DecoupledContrastive, {"temperature": 0.4, "sigma": 0.5}),
    "decoupled weighted more": (DecoupledContrastive, {"temperature": 0.4, "sigma": 0.2}),
    "decoupled euclidean": (DecoupledContrastive, {"temperature": 0.4, "distance": "euclidean"}),
    "tuplet": (TupletMargin, {}),
    "tuplet slack": (TupletMargin, {"slack": 0.5}),
    "tuplet scale": (TupletMargin, {"scale": 4.0}),
}
options = pytest.mark.parametrize(("loss", "arguments"), OPTIONS.values(), ids=OPTIONS)
every_loss = pytest.mark.parametrize("loss", LOSSES)


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, loss, arguments):
    def expected(rows):
        return oracle(rows, *every_pair(batch.labels), cost=LOSSES[loss], **arguments)

    agrees(loss(**arguments), expected, *batch)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    pairs = every_pair(batch.labels)
    values = [
        oracle(batch.embeddings, *pairs, cost=LOSSES[loss], **arguments).mean() for loss, arguments in OPTIONS.values()
    ]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@options
def test_a_pair_counts_as_often_as_its_weight_says(batch, every_pair, agrees, loss, arguments):
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    counts[1, 0] = 0.0  # an anchor without negatives
    positives, negatives = (
        [(a, j, float(count[a, j])) for a, j, _ in pairs]
        for count, pairs in zip(counts, every_pair(batch.labels), strict=True)
    )
    assert any(a == 0 and w for a, _, w in positives)

    def miner(distances, positive_mask, negative_mask):
        masks = tf.cast(positive_mask, tf.float32), tf.cast(negative_mask, tf.float32)
        return Pairs(counts[0] * masks[0], counts[1] * masks[1])

    def expected(rows):
        return oracle(rows, positives, negatives, cost=LOSSES[loss], **arguments)

    agrees(loss(**arguments, miner=miner), expected, *batch)


@every_loss
def test_a_pair_of_two_triplets_counts_twice(batch, loss):
    labels, rows = batch
    positive = np.zeros((10, 2), np.int32)
    negative = np.zeros((10, 2), np.int32)
    weights = np.zeros((10, 2), np.float32)
    positive[0], negative[0], weights[0] = [2, 6], [3, 3], [1, 1]
    positive[1], negative[1], weights[1] = [5, 5], [0, 2], [1, 1]
    selection = Triplets(*map(tf.constant, (positive, negative, weights)))
    listed = [(0, 2, 1.0), (0, 6, 1.0), (1, 5, 2.0)], [(0, 3, 2.0), (1, 0, 1.0), (1, 2, 1.0)]
    values = loss(miner=lambda *_: selection).call(labels, rows)
    np.testing.assert_allclose(values, oracle(rows, *listed, cost=LOSSES[loss]), atol=2e-6, rtol=1e-5)


@options
def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, every_pair, agrees, loss, arguments):
    pairs = every_pair(batch.labels, bank.labels)

    def expected(rows):
        return oracle(rows, *pairs, bank.embeddings, cost=LOSSES[loss], **arguments)

    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(loss(**arguments), expected, *batch, **references)


@pytest.mark.parametrize("loss", [NTXent, DecoupledContrastive])
def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair, loss):
    labels, rows = batch_with_duplicates
    expected = oracle(rows, *every_pair(labels), cost=LOSSES[loss])
    np.testing.assert_allclose(loss().call(labels, rows), expected, atol=2e-6, rtol=1e-5)


def test_the_slack_of_equal_and_opposite_rows_is_exact_enough_with_a_finite_gradient():
    loss = TupletMargin(slack=0.1, scale=2.0)
    rows = tf.Variable([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    with tf.GradientTape() as tape:
        values = loss.call([0, 0, 0, 1], rows)
    gradient = tf.convert_to_tensor(tape.gradient(values, rows))
    near, far = math.exp(-2.0 * math.cos(0.1)), math.exp(2.0 * math.cos(0.1))
    wanted = [math.log1p(near) + math.log1p(far)] * 2 + [2.0 * math.log1p(far), 0.0]
    np.testing.assert_allclose(values, np.array(wanted) * 4 / 6, rtol=2e-3)
    assert np.isfinite(gradient).all()


def test_nt_xent_of_two_views_is_that_of_simclr():
    """Golden: unit vectors at 0, 60 and 90 degrees; the cosines are 1/2, 0 and sqrt(3)/2, and T = 1."""
    rows = [[1.0, 0.0], [0.5, math.sqrt(3) / 2], [0.0, 2.0]]
    wanted = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(math.sqrt(3) / 2 - 0.5))) / 2
    assert wanted == pytest.approx(0.6835, abs=1e-4)
    for other_positives in (False, True):
        value = NTXent(temperature=1.0, other_positives=other_positives)([7, 7, 8], rows)
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_nt_xent_does_not_saturate():
    """A positive opposite to the anchor and an equal negative cost 2 / T, with a gradient, however small T is."""
    for temperature in (0.1, 0.01, 0.001):
        rows = tf.Variable([[1.0, 0.0], [-0.6, 0.8], [1.0, 0.0]])
        with tf.GradientTape() as tape:
            value = NTXent(temperature=temperature).call([0, 0, 1], rows)[0]
        np.testing.assert_allclose(value * 2 / 3, 1.6 / temperature, rtol=1e-3)
        assert tf.norm(tf.convert_to_tensor(tape.gradient(value, rows))) > 0.5 / temperature


def test_the_weights_of_decoupled_pairs_have_mean_one_and_favor_the_far():
    """Two pairs of cosine 1 and 0, sigma = 1, T = 1: w = 2 - 2 / (1 + 1/e), and 2 - 2 / (1 + e)."""
    rows = np.eye(4)[[0, 0, 1, 2]]
    values = DecoupledContrastive(temperature=1.0, sigma=1.0).call([0, 0, 1, 1], rows)
    weight = 2.0 - 2.0 * math.e / (math.e + 1.0)
    np.testing.assert_allclose(values, [math.log(2) - weight] * 2 + [math.log(2)] * 2, rtol=1e-6)


REFUSED = {
    "nt_xent temperature": (NTXent, {"temperature": 0.0}, "temperature must be above 0; got 0"),
    "decoupled temperature": (DecoupledContrastive, {"temperature": -1}, "temperature must be above 0; got -1"),
    "decoupled sigma": (DecoupledContrastive, {"sigma": 0}, "sigma must be above 0; got 0"),
    "tuplet slack": (TupletMargin, {"slack": 5.7}, r"slack must be in \[0.0, 1.57\d*\]; got 5.7"),
    "tuplet scale": (TupletMargin, {"scale": 0}, "scale must be above 0; got 0"),
    "tuplet distance": (TupletMargin, {"distance": "euclidean"}, "distance must be one of cosine; got 'euclidean'"),
}


@pytest.mark.parametrize(("loss", "arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_values_that_make_no_sense_are_refused_by_name(loss, arguments, message):
    with pytest.raises(ValueError, match=message):
        loss(**arguments)

"""Losses that judge each pair by itself, or by the mean of all, against loops over pairs: SNR contrastive, intra-pair
variance, threshold-consistent margin."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Contrastive, IntraPairVariance, SNRContrastive, ThresholdConsistentMargin
from metric_learning.tuples import Pairs, Triplets


def snr(x, y):
    def variance(values):
        middle = sum(values) / len(values)
        return sum((value - middle) ** 2 for value in values) / len(values)

    return variance([a - b for a, b in zip(x, y, strict=True)]) / variance(x)


def cosine(x, y):
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def share(violations, size, active):
    """Per anchor, so that the mean over anchors is the mean of the violations [(anchor, weight, violation)]."""
    values = np.zeros(size)
    total = sum(weight for _, weight, violation in violations if violation > 0.0 or not active)
    for anchor, weight, violation in violations:
        values[anchor] += weight * violation * size / (total or 1.0)
    return values


def snr_oracle(rows, positives, negatives, refs, *, pull=0.0, push=1.0, zero_mean=0.0, active=True):
    near = [(a, w, max(snr(rows[a], refs[j]) - pull, 0.0)) for a, j, w in positives]
    far = [(a, w, max(push - snr(rows[a], refs[j]), 0.0)) for a, j, w in negatives]
    values = share(near, len(rows), active) + share(far, len(rows), active)
    return values + [zero_mean * abs(sum(row)) for row in rows]


def variance_oracle(rows, positives, negatives, refs, *, low=0.01, high=0.01):
    values = np.zeros(len(rows))
    for pairs, sign, slack in ((positives, 1.0, -low), (negatives, -1.0, high)):
        similarities = [(a, w, cosine(rows[a], refs[j])) for a, j, w in pairs]
        mean = sum(w * s for _, w, s in similarities) / sum(w for _, w, _ in similarities)
        squares = [(a, w, max(sign * ((1.0 + slack) * mean - s), 0.0) ** 2) for a, w, s in similarities]
        values += share(squares, len(rows), False)
    return values


def threshold_oracle(rows, positives, negatives, refs, *, pull=0.9, push=0.5, weights=(1.0, 1.0), active=True):
    near = [(a, w, max(pull - cosine(rows[a], refs[j]), 0.0)) for a, j, w in positives]
    far = [(a, w, max(cosine(rows[a], refs[j]) - push, 0.0)) for a, j, w in negatives]
    size = len(rows)
    return weights[0] * share(near, size, active) + weights[1] * share(far, size, active)


# Per case: the loss, its oracle, and their arguments.
CASES = {
    "snr": (SNRContrastive, snr_oracle, {}, {}),
    "snr margins": (
        SNRContrastive,
        snr_oracle,
        {"positive_margin": 0.8, "negative_margin": 2.5},
        {"pull": 0.8, "push": 2.5},
    ),
    "snr selected": (SNRContrastive, snr_oracle, {"average": "selected"}, {"active": False}),
    "snr zero mean": (SNRContrastive, snr_oracle, {"zero_mean_weight": 0.3}, {"zero_mean": 0.3}),
    "variance": (IntraPairVariance, variance_oracle, {}, {}),
    "variance low": (IntraPairVariance, variance_oracle, {"positive_slack": 0.4}, {"low": 0.4}),
    "variance high": (IntraPairVariance, variance_oracle, {"negative_slack": 0.7}, {"high": 0.7}),
    "threshold": (ThresholdConsistentMargin, threshold_oracle, {}, {}),
    "threshold margins": (
        ThresholdConsistentMargin,
        threshold_oracle,
        {"positive_margin": 0.4, "negative_margin": -0.2},
        {"pull": 0.4, "push": -0.2},
    ),
    "threshold weights": (
        ThresholdConsistentMargin,
        threshold_oracle,
        {"positive_weight": 0.5, "negative_weight": 3.0},
        {"weights": (0.5, 3.0)},
    ),
    "threshold selected": (
        ThresholdConsistentMargin,
        threshold_oracle,
        {"average": "selected", "positive_margin": 0.4},
        {"active": False, "pull": 0.4},
    ),
}
cases = pytest.mark.parametrize(("kind", "oracle", "arguments", "known"), CASES.values(), ids=CASES)


@cases
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, kind, oracle, arguments, known):
    pairs = every_pair(batch.labels)
    agrees(kind(**arguments), lambda rows: oracle(rows, *pairs, rows, **known), *batch, atol=1e-5)


@cases
def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(
    batch, bank, every_pair, agrees, kind, oracle, arguments, known
):
    pairs = every_pair(batch.labels, bank.labels)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    loss = kind(**arguments)
    agrees(loss, lambda rows: oracle(rows, *pairs, bank.embeddings, **known), *batch, atol=1e-5, **references)


@cases
def test_a_pair_counts_as_often_as_its_weight_says(batch, every_pair, agrees, kind, oracle, arguments, known):
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    weights, listed = np.zeros((2, 10, 10), np.float32), []
    for side, pairs in enumerate(every_pair(batch.labels)):
        listed.append([(a, j, float(counts[side, a, j])) for a, j, _ in pairs if counts[side, a, j]])
        for a, j, weight in listed[side]:
            weights[side, a, j] = weight
    loss = kind(miner=lambda *_: Pairs(*map(tf.constant, weights)), **arguments)
    agrees(loss, lambda rows: oracle(rows, *listed, rows, **known), *batch, atol=1e-5)


@cases
def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair, kind, oracle, arguments, known):
    labels, rows = batch_with_duplicates
    expected = oracle(rows, *every_pair(labels), rows, **known)
    np.testing.assert_allclose(kind(**arguments).call(labels, rows), expected, atol=2e-5)


def test_a_pair_of_two_triplets_counts_twice(batch):
    labels, rows = batch
    positive, negative = np.array([[2, 6]] + [[0, 0]] * 9), np.array([[3, 3]] + [[1, 1]] * 9)
    weights = np.array([[1, 1]] + [[0, 0]] * 9)
    weights[8], positive[8], negative[8] = [1, 0], [1, 1], [0, 0]
    triplets = Triplets(
        tf.constant(positive, tf.int32), tf.constant(negative, tf.int32), tf.constant(weights, tf.float32)
    )
    listed = [(0, 2, 1.0), (0, 6, 1.0), (8, 1, 1.0)], [(0, 3, 2.0), (8, 0, 1.0)]
    for kind, oracle, arguments, known in CASES.values():
        values = kind(miner=lambda *_: triplets, **arguments).call(labels, rows)
        np.testing.assert_allclose(values, oracle(rows, *listed, rows, **known), atol=1e-5)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    labels, rows = batch
    values = [oracle(rows, *every_pair(labels), rows, **known).mean() for _, oracle, _, known in CASES.values()]
    assert len(np.unique(np.round(values, 4))) == len(CASES)


def test_there_are_active_and_inactive_pairs(batch, every_pair):
    labels, rows = batch
    for distance, near, far in ((snr, 0.8, 1.0), (lambda x, y: -cosine(x, y), -0.4, -0.5)):
        positives, negatives = ([distance(rows[a], rows[j]) for a, j, _ in pairs] for pairs in every_pair(labels))
        assert min(positives) < near < max(positives) and min(negatives) < far < max(negatives)


def test_numbers_by_hand():
    rows = [[1.0, -1.0], [2.0, -2.0], [-1.0, 1.0]]
    # Differences (1, -1), of variance 1, against signals of 1 and 4; to the negative (2, -2) and (3, -3).
    values = SNRContrastive(negative_margin=5.0).call([0, 0, 1], rows)
    np.testing.assert_allclose(values, [3 * (1 / 2 + 1 / 3), 3 * (1 / 8 + 2.75 / 3), 3 * 1 / 3], rtol=1e-6)
    rows = [[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]
    assert float(IntraPairVariance(positive_slack=0.0)([0, 0, 0], rows)) == pytest.approx(
        4 * (2 / 15) ** 2 / 6, rel=1e-5
    )
    # Two classes: one positive similarity, so no spread; negatives .6, of mean .6, beyond which lies 1.5 * .6.
    assert IntraPairVariance(negative_slack=0.5)([0, 0, 1], rows) == 0.0
    rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]]
    assert float(ThresholdConsistentMargin()([0, 0, 1], rows)) == pytest.approx(0.3 + (0.3 + 0.46) / 2, rel=1e-5)


def test_snr_contrastive_is_the_linear_contrastive_loss_of_the_snr_distance(batch):
    plain = Contrastive(distance="snr", squared=False, average="active", positive_margin=0.2)
    np.testing.assert_array_equal(SNRContrastive(positive_margin=0.2).call(*batch), plain.call(*batch))


def test_equal_similarities_have_no_variance_wherever_they_are():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    assert IntraPairVariance()([0, 0, 0], rows[[0, 0, 0]]) == 0.0
    assert IntraPairVariance()([0, 0], rows[[0, 2]]) == 0.0
    assert IntraPairVariance()([0, 1], rows[[0, 2]]) == 0.0


def test_it_can_be_added_to_another_loss(batch):
    """A regularizer is used in a sum, which is per anchor, and its gradient adds up."""
    labels, rows = batch
    first, second = Contrastive(), ThresholdConsistentMargin()

    def gradient(function):
        variable = tf.Variable(rows, dtype=tf.float32)
        with tf.GradientTape() as tape:
            value = function(variable)
        return tape.gradient(value, variable).numpy()

    both = gradient(lambda rows: tf.reduce_mean(first.call(labels, rows) + 0.5 * second.call(labels, rows)))
    apart = gradient(lambda rows: first(labels, rows)) + 0.5 * gradient(lambda rows: second(labels, rows))
    np.testing.assert_allclose(both, apart, atol=1e-6)


BAD = {
    "positive_margin of snr": (SNRContrastive, {"positive_margin": -1}, "positive_margin must be at least 0; got -1"),
    "negative_margin of snr": (SNRContrastive, {"negative_margin": -1}, "negative_margin must be at least 0; got -1"),
    "zero mean": (SNRContrastive, {"zero_mean_weight": -1}, "zero_mean_weight must be at least 0; got -1"),
    "distance of snr": (SNRContrastive, {"distance": "cosine"}, "distance must be snr .* got 'cosine'"),
    "average of snr": (SNRContrastive, {"average": "sum"}, "average must be one of"),
    "positive_slack": (IntraPairVariance, {"positive_slack": -1}, "positive_slack must be at least 0; got -1"),
    "negative_slack": (IntraPairVariance, {"negative_slack": -1}, "negative_slack must be at least 0; got -1"),
    "distance of variance": (IntraPairVariance, {"distance": "dot"}, "distance must be cosine .* got 'dot'"),
    "positive_margin": (ThresholdConsistentMargin, {"positive_margin": 2}, r"positive_margin must be in \[-1.0, 1.0\]"),
    "negative_margin": (ThresholdConsistentMargin, {"negative_margin": -2}, r"negative_margin must be in"),
    "positive_weight": (ThresholdConsistentMargin, {"positive_weight": -1}, "positive_weight must be at least 0"),
    "negative_weight": (ThresholdConsistentMargin, {"negative_weight": -1}, "negative_weight must be at least 0"),
    "distance of threshold": (ThresholdConsistentMargin, {"distance": "snr"}, "distance must be cosine .* got 'snr'"),
    "average of threshold": (ThresholdConsistentMargin, {"average": "sum"}, "average must be one of"),
}


@pytest.mark.parametrize(("kind", "arguments", "message"), BAD.values(), ids=BAD)
def test_wrong_arguments_are_refused_by_name(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)

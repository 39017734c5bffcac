"""Multi-similarity and circle loss against loops over each anchor's positives and negatives."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Circle, MultiSimilarity
from metric_learning.tuples import Pairs


def similarity_of(x, y, distance="cosine"):
    if distance == "euclidean":
        return -math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def by_anchor(rows, positives, negatives, refs, distance="cosine"):
    """The similarities of each anchor's selected positives, and of its negatives."""
    for a, row in enumerate(rows):
        yield [
            [similarity_of(row, refs[j], distance) for b, j, w in pairs if a == b and w]
            for pairs in (positives, negatives)
        ]


def multi_similarity(
    rows, positives, negatives, refs=None, *, positive_scale=2.0, negative_scale=50.0, base=1.0, distance="cosine"
):
    """One value per anchor; anchors without pairs are part of the mean."""
    return np.array(
        [
            math.log(1.0 + sum(math.exp(-positive_scale * (s - base)) for s in near)) / positive_scale
            + math.log(1.0 + sum(math.exp(negative_scale * (s - base)) for s in far)) / negative_scale
            for near, far in by_anchor(rows, positives, negatives, rows if refs is None else refs, distance)
        ]
    )


def circle(rows, positives, negatives, refs=None, *, margin=0.4, scale=80.0, weigh_by=None):
    """One value per anchor, scaled to the mean over those with both sides.

    The weights are constants to the gradient, so they come from the rows `weigh_by` when these are given.
    """
    refs = rows if refs is None else refs
    constant = rows if weigh_by is None else weigh_by
    constant_refs = constant if refs is rows else refs
    values, counted = np.zeros(len(rows)), 0
    sides = zip(
        by_anchor(rows, positives, negatives, refs),
        by_anchor(constant, positives, negatives, constant_refs),
        strict=True,
    )
    for a, ((near, far), (near_weights, far_weights)) in enumerate(sides):
        if not near or not far:
            continue
        pulls = [
            math.exp(-scale * max(1.0 + margin - w, 0.0) * (s - (1.0 - margin)))
            for s, w in zip(near, near_weights, strict=True)
        ]
        pushes = [math.exp(scale * max(w + margin, 0.0) * (s - margin)) for s, w in zip(far, far_weights, strict=True)]
        values[a] = math.log(1.0 + sum(pulls) * sum(pushes))
        counted += 1
    return values * len(rows) / counted


LOSSES = {MultiSimilarity: multi_similarity, Circle: circle}
OPTIONS = {
    "multi": (MultiSimilarity, {}),
    "multi base": (MultiSimilarity, {"base": 0.5}),
    "multi positive scale": (MultiSimilarity, {"base": 0.5, "positive_scale": 5.0}),
    "multi negative scale": (MultiSimilarity, {"base": 0.5, "negative_scale": 10.0}),
    "multi euclidean": (MultiSimilarity, {"base": -1.0, "negative_scale": 10.0, "distance": "euclidean"}),
    "circle": (Circle, {}),
    "circle margin": (Circle, {"margin": 0.1}),
    "circle scale": (Circle, {"scale": 3.0}),
}
options = pytest.mark.parametrize(("loss", "arguments"), OPTIONS.values(), ids=OPTIONS)


def oracle_of(loss, rows, arguments, *pairs):
    constants = {"weigh_by": rows} if loss is Circle else {}
    return lambda moved: LOSSES[loss](moved, *pairs, **arguments, **constants)


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, loss, arguments):
    agrees(loss(**arguments), oracle_of(loss, batch.embeddings, arguments, *every_pair(batch.labels)), *batch)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    pairs = every_pair(batch.labels)
    values = [LOSSES[loss](batch.embeddings, *pairs, **arguments).mean() for loss, arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


def test_negatives_beyond_the_margin_of_circle_weigh_nothing(batch, every_pair):
    """Some are, and some are not, so that the hinge of the weights is tested."""
    far = [s for _, side in by_anchor(batch.embeddings, *every_pair(batch.labels), batch.embeddings) for s in side]
    assert 0 < sum(s < -0.4 for s in far) < len(far)


@options
def test_a_selected_pair_counts_once_however_often_it_was_selected(batch, every_pair, agrees, loss, arguments):
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

    agrees(loss(**arguments, miner=miner), oracle_of(loss, batch.embeddings, arguments, *pairs), *batch)


@options
def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, every_pair, agrees, loss, arguments):
    pairs = every_pair(batch.labels, bank.labels)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(
        loss(**arguments), oracle_of(loss, batch.embeddings, arguments, *pairs, bank.embeddings), *batch, **references
    )


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair):
    labels, rows = batch_with_duplicates
    for loss, arguments in OPTIONS.values():
        if arguments.get("distance") != "euclidean":  # where float32 takes equal rows to be 1e-4 apart
            expected = LOSSES[loss](rows, *every_pair(labels), **arguments)
            np.testing.assert_allclose(loss(**arguments).call(labels, rows), expected, rtol=2e-5, atol=1e-5)


ROWS = [[1.0, 0.0], [3.0, 4.0], [4.0, 3.0], [0.0, 1.0]]  # cosines to the first: 0.6, 0.8, 0


def test_multi_similarity_by_hand():
    """Row 0: positive at 0.6, negatives at 0.8 and 0; base 0.5, scales 2 and 10."""
    loss = MultiSimilarity(positive_scale=2.0, negative_scale=10.0, base=0.5)
    wanted = math.log(1 + math.exp(-0.2)) / 2 + math.log(1 + math.exp(3) + math.exp(-5)) / 10
    assert wanted == pytest.approx(0.6040, abs=1e-4)
    np.testing.assert_allclose(loss.call([0, 0, 1, 2], ROWS)[0], wanted, rtol=1e-6)


def test_circle_by_hand():
    """Row 0: s_p = 0.6, w_p = 0.8; s_n = 0.8 and 0, w_n = 1.2 and 0.4; margin 0.4, scale 5."""
    wanted = math.log(1 + math.exp(-5 * 0.8 * 0) * (math.exp(5 * 1.2 * 0.4) + math.exp(5 * 0.4 * -0.4)))
    assert wanted == pytest.approx(2.5235, abs=1e-4)
    value = Circle(margin=0.4, scale=5.0).call([0, 0, 1, 2], ROWS)[0]
    np.testing.assert_allclose(value, wanted * 4 / 2, rtol=1e-6)


def test_circle_does_not_overflow():
    rows = tf.Variable([[1.0, 0.0], [-1.0, 0.1], [1.0, 0.1]])
    with tf.GradientTape() as tape:
        value = Circle(margin=0.4, scale=1e4)([0, 0, 1], rows)
    assert 1e4 < value < 1e5
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(value, rows))).all()


REFUSED = {
    "positive_scale": (MultiSimilarity, {"positive_scale": 0}, "positive_scale must be above 0; got 0"),
    "negative_scale": (MultiSimilarity, {"negative_scale": -1}, "negative_scale must be above 0; got -1"),
    "circle scale": (Circle, {"scale": 0}, "scale must be above 0; got 0"),
    "circle distance": (Circle, {"distance": "dot"}, "distance must be one of cosine; got 'dot'"),
}


@pytest.mark.parametrize(("loss", "arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_values_that_make_no_sense_are_refused_by_name(loss, arguments, message):
    with pytest.raises(ValueError, match=message):
        loss(**arguments)

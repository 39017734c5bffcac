"""NCA and the soft nearest neighbor loss against loops over the neighbors that an anchor may draw."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import NCA, SoftNearestNeighbor
from metric_learning.tuples import Pairs


def distance_of(x, y, distance):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    if distance == "cosine":
        lengths = math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))
        return 1.0 - sum(a * b for a, b in zip(x, y, strict=True)) / lengths
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[distance]


def oracle(rows, positives, negatives, refs=None, *, scale=1.0, logarithm=False, distance="squared_euclidean"):
    """One value per anchor, from the chance that it draws a neighbor of its class; the mean over those that can."""
    refs = rows if refs is None else refs
    values, counted = np.zeros(len(rows)), 0
    for a, row in enumerate(rows):
        odds = [
            [math.exp(-scale * distance_of(row, refs[j], distance)) for b, j, w in pairs if a == b and w]
            for pairs in (positives, negatives)
        ]
        if odds[0] and odds[1]:
            chance = sum(odds[0]) / (sum(odds[0]) + sum(odds[1]))
            values[a] = -math.log(chance) if logarithm else 1.0 - chance
            counted += 1
    return values * len(rows) / counted


OPTIONS = {
    "nca": (NCA, {}),
    "nca scale": (NCA, {"scale": 3.0}),
    "nca logarithm": (NCA, {"logarithm": True}),
    "nca cosine": (NCA, {"scale": 3.0, "logarithm": True, "distance": "cosine"}),
    "soft": (SoftNearestNeighbor, {}),
    "soft temperature": (SoftNearestNeighbor, {"temperature": 0.2}),
    "soft euclidean": (SoftNearestNeighbor, {"temperature": 0.3, "distance": "euclidean"}),
    "soft learnable": (SoftNearestNeighbor, {"temperature": 0.4, "learnable": True}),
}
options = pytest.mark.parametrize(("loss", "arguments"), OPTIONS.values(), ids=OPTIONS)


def oracle_of(loss, arguments, positives, negatives, refs=None):
    def expected(rows, *learned):
        if loss is NCA:
            return oracle(rows, positives, negatives, refs, **arguments)
        temperature = math.exp(learned[0][0]) if learned else arguments.get("temperature", 1.0)
        distance = arguments.get("distance", "squared_euclidean")
        return oracle(rows, positives, negatives, refs, scale=1.0 / temperature, logarithm=True, distance=distance)

    return expected


@options
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, loss, arguments):
    agrees(loss(**arguments), oracle_of(loss, arguments, *every_pair(batch.labels)), *batch)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    pairs = every_pair(batch.labels)
    values = {
        name: oracle_of(loss, arguments, *pairs)(batch.embeddings).mean() for name, (loss, arguments) in OPTIONS.items()
    }
    assert values["nca logarithm"] == values.pop("soft")  # the same at scale 1
    assert len(np.unique(np.round(list(values.values()), 4))) == len(values)


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

    agrees(loss(**arguments, miner=miner), oracle_of(loss, arguments, *pairs), *batch)


@options
def test_a_memory_bank_gives_the_neighbors(batch, bank, every_pair, agrees, loss, arguments):
    expected = oracle_of(loss, arguments, *every_pair(batch.labels, bank.labels), bank.embeddings)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(loss(**arguments), expected, *batch, **references)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair):
    labels, rows = batch_with_duplicates
    for loss, arguments in OPTIONS.values():
        values = oracle_of(loss, arguments, *every_pair(labels))(rows)
        np.testing.assert_allclose(loss(**arguments).call(labels, rows), values, atol=1e-5)


def test_one_near_positive_is_enough():
    """Golden: squared distances 0 and 4 to the positives, 1 to the negative: p = (1 + e^-4) / (1 + e^-4 + e^-1)."""
    rows = [[0.0], [0.0], [2.0], [-1.0]]
    chance = (1 + math.exp(-4)) / (1 + math.exp(-4) + math.exp(-1))
    assert chance == pytest.approx(0.7346, abs=1e-4)
    values = NCA().call([0, 0, 0, 1], rows)
    np.testing.assert_allclose(values[0], (1 - chance) * 4 / 3, rtol=1e-6)
    assert values[3] == 0.0


def test_the_temperature_learns_to_fit_what_is_near():
    """Where the nearest neighbor is right and the far ones are wrong, a lower temperature is better."""
    loss = SoftNearestNeighbor(temperature=1.0, learnable=True)
    (number,) = loss.layers[0].trainable_variables
    with tf.GradientTape() as tape:
        value = loss([0, 0, 1, 1], [[0.0], [0.1], [1.0], [1.1]])
    assert tape.gradient(value, number.value) > 0.01
    assert not SoftNearestNeighbor(temperature=1.0).layers


@pytest.mark.parametrize(("loss", "name"), [(NCA, "scale"), (SoftNearestNeighbor, "temperature")])
def test_values_that_make_no_sense_are_refused_by_name(loss, name):
    with pytest.raises(ValueError, match=f"{name} must be above 0; got 0"):
        loss(**{name: 0})

"""The sigmoid loss against a logistic regression written pair by pair."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Sigmoid
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.tuples import Pairs


def similarity_of(x, y, distance):
    if distance == "euclidean":
        return -math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def oracle(rows, cells, refs=None, *, scale, bias, balanced=False, distance="cosine"):
    """One value per anchor, of cells (anchor, reference, weight, target in [0, 1], is positive)."""
    refs = rows if refs is None else refs
    sums = np.zeros((2, len(rows)))
    for a, j, weight, target, positive in cells:
        chance = 1.0 / (1.0 + math.exp(-scale * similarity_of(rows[a], refs[j], distance) - bias))
        cost = -target * math.log(chance) - (1.0 - target) * math.log(1.0 - chance)
        sums[int(positive), a] += weight * cost
    if not balanced:
        return sums.sum(axis=0)
    counts = [sum(cell[2] for cell in cells if cell[4] == positive) for positive in (False, True)]
    return sum(side * len(rows) / count for side, count in zip(sums, counts, strict=True))


def cells_of(positives, negatives):
    return [(*cell, 1.0, True) for cell in positives] + [(*cell, 0.0, False) for cell in negatives]


OPTIONS = {
    "scale": {"scale": 3.0, "bias": -1.0},
    "bias": {"scale": 3.0, "bias": -2.0},
    "steep": {"scale": 8.0, "bias": -1.0},
    "balanced": {"scale": 3.0, "bias": -1.0, "balanced": True},
    "euclidean": {"scale": 3.0, "bias": 2.0, "distance": "euclidean"},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)
learnable = pytest.mark.parametrize("learnable", [True, False], ids=["learnable", "fixed"])


def oracle_of(cells, arguments, refs=None):
    def expected(rows, log_scale=None, bias=None):
        if log_scale is None:
            return oracle(rows, cells, refs, **arguments)
        return oracle(rows, cells, refs, **arguments | {"scale": math.exp(log_scale[0]), "bias": bias[0]})

    return expected


@learnable
@options
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, arguments, learnable):
    expected = oracle_of(cells_of(*every_pair(batch.labels)), arguments)
    loss = Sigmoid(**arguments, learnable=learnable)
    assert len(loss.layers) == (2 if learnable else 0)
    agrees(loss, expected, *batch)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    cells = cells_of(*every_pair(batch.labels))
    values = [oracle(batch.embeddings, cells, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@options
def test_a_pair_counts_as_often_as_its_weight_says(batch, every_pair, agrees, arguments):
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    pairs = [
        [(a, j, float(count[a, j])) for a, j, _ in cells]
        for count, cells in zip(counts, every_pair(batch.labels), strict=True)
    ]

    def miner(distances, positive_mask, negative_mask):
        masks = tf.cast(positive_mask, tf.float32), tf.cast(negative_mask, tf.float32)
        return Pairs(counts[0] * masks[0], counts[1] * masks[1])

    agrees(Sigmoid(**arguments, miner=miner), oracle_of(cells_of(*pairs), arguments), *batch)


def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, every_pair, agrees):
    arguments = OPTIONS["scale"]
    expected = oracle_of(cells_of(*every_pair(batch.labels, bank.labels)), arguments, bank.embeddings)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Sigmoid(**arguments), expected, *batch, **references)


TAGS = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])


@pytest.mark.parametrize("balanced", [False, True])
def test_the_target_of_a_pair_is_its_grade(batch, agrees, balanced):
    def jaccard(a, j):
        return (TAGS[a] & TAGS[j]).sum() / (TAGS[a] | TAGS[j]).sum()

    arguments = {"scale": 3.0, "bias": -1.0, "balanced": balanced}
    cells = [(a, j, 1.0, jaccard(a, j), jaccard(a, j) > 0) for a in range(7) for j in range(7) if a != j]
    assert len({cell[3] for cell in cells}) >= 5
    agrees(Sigmoid(**arguments), oracle_of(cells, arguments), TAGS, batch.embeddings[:7])


def test_images_against_texts_by_hand():
    """Two images and their texts, cosines 0.6 of the pairs and 0.8 across, scale 10, bias -7: the paper's sum / 2."""
    images, texts = [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [4.0, 3.0]]
    value = Sigmoid(scale=10.0, bias=-7.0)([0, 1], images, ref_labels=[0, 1], ref_embeddings=texts)
    wanted = math.log(1 + math.e) + math.log(1 + math.e)
    assert wanted == pytest.approx(2.6265, abs=1e-4)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_wrong_pairs_keep_their_gradient_however_steep():
    rows = tf.Variable([[1.0, 0.0], [-0.6, 0.8], [0.8, -0.6]])
    with tf.GradientTape() as tape:
        value = Sigmoid(scale=1e4, bias=0.0, learnable=False)([0, 0, 1], rows)
    np.testing.assert_allclose(value, 2 * (0.6 + 0.8) * 1e4 / 3, rtol=1e-5)
    assert tf.norm(tf.convert_to_tensor(tape.gradient(value, rows))) > 1e3


def test_what_is_learned_is_made_where_a_strategy_can_own_it():
    loss = Sigmoid(scale=5.0, bias=-3.0)
    kept = loss.layers
    loss.build(6, 3)
    assert loss.layers is kept
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        loss.build(6, 3)
    assert loss.layers is not kept
    assert [layer.name for layer in loss.layers] == ["log_scale", "bias"]
    np.testing.assert_allclose([layer.number.numpy()[0] for layer in loss.layers], [math.log(5), -3], rtol=1e-6)


def test_a_learned_number_is_rebuilt_from_its_config():
    layer = LearnedNumber(0.25, name="bias")
    again = LearnedNumber.from_config(layer.get_config())
    assert again.name == "bias" and again.number.numpy() == [0.25] and again.number.trainable


def test_a_scale_of_0_is_refused():
    with pytest.raises(ValueError, match="scale must be above 0; got 0"):
        Sigmoid(scale=0)

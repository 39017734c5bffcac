"""The dynamic soft margin loss against loops over triplets and bins, in float64, over several batches."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.losses import DynamicSoftMargin
from metric_learning.tuples import Triplets


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[name]


def hardest_triplets(positives, negatives, rows, refs, name):
    """Each positive pair with the anchor's nearest negative."""
    found = []
    for a, p, weight in positives:
        nearest = [(distance_of(rows[a], refs[n], name), n) for b, n, w in negatives if b == a and w]
        if nearest:
            found.append((a, p, min(nearest)[1], weight))
    return found


class Oracle:
    """The loss as the paper tells it, with what it remembers."""

    def __init__(self, *, span=2.0, num_bins=512, momentum=0.01, distance="euclidean"):
        self.span, self.num_bins, self.momentum, self.distance = span, num_bins, momentum, distance
        self.shares = None

    def difference(self, rows, refs, a, p, n):
        return distance_of(rows[a], refs[p], self.distance) - distance_of(rows[a], refs[n], self.distance)

    def place(self, difference):
        width = 2 * self.span / (self.num_bins - 1)
        return (min(max(difference, -self.span), self.span) + self.span) / width

    def see(self, rows, triplets, refs=None):
        """Moves the histogram, and keeps the weight of each triplet."""
        counts, total = [0.0] * self.num_bins, 0.0
        for a, p, n, times in triplets:
            place = self.place(self.difference(rows, rows if refs is None else refs, a, p, n))
            counts[int(place)] += times * (1.0 - place % 1.0)
            counts[min(int(place) + 1, self.num_bins - 1)] += times * (place % 1.0)
            total += times
        new = [count / total for count in counts]
        if self.shares is None:
            self.shares = new
        else:
            self.shares = [(1 - self.momentum) * x + self.momentum * y for x, y in zip(self.shares, new, strict=True)]
        self.weights = []
        for a, p, n, _ in triplets:
            place = self.place(self.difference(rows, rows if refs is None else refs, a, p, n))
            self.weights.append(sum(self.shares[: int(place) + 1]))

    def values(self, rows, triplets, refs=None):
        values = np.zeros(len(rows))
        for (a, p, n, times), weight in zip(triplets, self.weights, strict=True):
            values[a] += times * weight * self.difference(rows, rows if refs is None else refs, a, p, n)
        return values * len(rows) / sum(times for *_, times in triplets)


CASES = {
    "usual": {},
    "bins": {"num_bins": 7},
    "span": {"span": 0.75, "num_bins": 9},
    "momentum": {"momentum": 0.4},
    "forgetful": {"momentum": 1.0, "num_bins": 11},
    "squared": {"distance": "squared_euclidean"},
}
cases = pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)


@cases
def test_batches_one_after_another_equal_loops_with_their_gradient(batch, every_pair, agrees, arguments):
    labels, rows = batch
    loss, oracle = DynamicSoftMargin(**arguments), Oracle(**arguments)
    for factor in (0.6, 1.0, 0.8):
        moved = factor * rows
        triplets = hardest_triplets(*every_pair(labels), moved, moved, oracle.distance)
        oracle.see(moved, triplets)
        np.testing.assert_allclose(loss.call(labels, moved), oracle.values(moved, triplets), atol=2e-5)
        np.testing.assert_allclose(loss.layers[0].shares, oracle.shares, atol=1e-5)

    # The weights of a step pass no gradient. Twice the same batch: `agrees` calls the loss two times.
    forgetful = DynamicSoftMargin(**arguments | {"momentum": 1.0})
    oracle.shares = None
    oracle.see(rows, triplets := hardest_triplets(*every_pair(labels), rows, rows, oracle.distance))
    agrees(forgetful, lambda rows: oracle.values(rows, triplets), labels, rows, atol=2e-5)


def test_a_memory_bank_gives_triplets_of_anchor_and_bank(batch, bank, every_pair, agrees):
    labels, rows = batch
    oracle = Oracle(momentum=1.0)
    triplets = hardest_triplets(*every_pair(labels, bank.labels), rows, bank.embeddings, "euclidean")
    oracle.see(rows, triplets, bank.embeddings)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    loss = DynamicSoftMargin(momentum=1.0)
    agrees(loss, lambda rows: oracle.values(rows, triplets, bank.embeddings), labels, rows, atol=2e-5, **references)


def test_chosen_triplets_count_as_their_weights_say(batch, agrees):
    labels, rows = batch
    random = np.random.default_rng(3)
    positive, negative, weights = (np.zeros((10, 3), kind) for kind in (np.int32, np.int32, np.float32))
    for a, slot in np.ndindex(10, 3):
        others = [p for p in range(10) if p != a and labels[p] == labels[a]]
        if others:
            positive[a, slot] = random.choice(others)
            negative[a, slot] = random.choice([n for n in range(10) if labels[n] != labels[a]])
            weights[a, slot] = random.integers(0, 3)
    triplets = [
        (a, positive[a, s], negative[a, s], float(weights[a, s])) for a, s in np.ndindex(10, 3) if weights[a, s]
    ]
    chosen = Triplets(*map(tf.constant, (positive, negative, weights)))
    oracle = Oracle(momentum=1.0, num_bins=21)
    oracle.see(rows, triplets)
    loss = DynamicSoftMargin(momentum=1.0, num_bins=21, miner=lambda *_: chosen)
    agrees(loss, lambda rows: oracle.values(rows, triplets), labels, rows, atol=2e-5)


def test_every_hyperparameter_changes_the_value(batch):
    values = []
    for arguments in CASES.values():
        loss = DynamicSoftMargin(**arguments)
        loss(batch.labels, 0.5 * batch.embeddings)
        values.append(float(loss(*batch)))
    assert len(np.unique(np.round(values, 4))) == len(CASES)


def test_by_hand():
    # Bins at -2, -1, 0, 1, 2. The differences 1 - 3 and 1 - 2 fall on the first two, each half of all.
    loss = DynamicSoftMargin(num_bins=5)
    np.testing.assert_allclose(loss.call([0, 0, 1], [[0.0], [1.0], [3.0]]), [-1.5, -1.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(loss.layers[0].shares, [0.5, 0.5, 0, 0, 0])
    # 1 - 1.5 is halfway between two bins, and 1 - .5 as well; a hundredth of the new replaces the old.
    values = loss.call([0, 0, 1], [[0.0], [1.0], [1.5]])
    shares = np.array([0.495, 0.495 + 0.0025, 0.005, 0.0025, 0.0])
    np.testing.assert_allclose(loss.layers[0].shares, shares, rtol=1e-5)
    np.testing.assert_allclose(values, [-0.75 * (0.4975 + 0.495), 0.75 * (1.0 - 0.0025), 0.0], rtol=1e-5)


@pytest.mark.parametrize("difference", [2.0, -2.0, 50.0, -50.0])
def test_differences_at_the_ends_and_beyond_are_in_the_last_bins(difference):
    rows = [[0.0], [50.0], [50.0 - difference]]  # d(0, 1) - d(0, 2)
    triplets = Triplets(tf.constant([[1], [0], [0]]), tf.constant([[2], [0], [0]]), tf.constant([[1.0], [0.0], [0.0]]))
    loss = DynamicSoftMargin(num_bins=5, miner=lambda *_: triplets)
    np.testing.assert_allclose(loss([0, 0, 1], rows), difference, rtol=1e-5)
    np.testing.assert_allclose(loss.layers[0].shares, [0, 0, 0, 0, 1] if difference > 0 else [1, 0, 0, 0, 0], atol=1e-6)


def test_batches_that_say_nothing_leave_the_histogram_as_it_is(batch):
    loss = DynamicSoftMargin(momentum=0.5)
    loss(*batch)
    before = loss.layers[0].shares.numpy()
    assert before.sum() == pytest.approx(1.0, abs=1e-5)
    assert loss([0, 1, 2], batch.embeddings[:3]) == 0.0
    assert np.isnan(loss(batch.labels, np.full((10, 3), np.nan)))
    np.testing.assert_array_equal(loss.layers[0].shares, before)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
@pytest.mark.parametrize("miner", [None, miners.SemiHard()], ids=["none", "semi_hard"])
def test_a_graph_moves_the_histogram_at_each_step(batch, jit_compile, miner):
    plain, loss = DynamicSoftMargin(momentum=0.3, miner=miner), DynamicSoftMargin(momentum=0.3, miner=miner)
    graph = tf.function(loss.call, jit_compile=jit_compile)
    for factor in (0.5, 1.0, 0.7):
        rows = tf.constant(factor * batch.embeddings, tf.float32)
        np.testing.assert_allclose(graph(batch.labels, rows), plain.call(batch.labels, rows), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(loss.layers[0].shares, plain.layers[0].shares, atol=1e-5)


def test_the_histogram_is_saved_and_restored(batch):
    loss = DynamicSoftMargin(momentum=0.1, span=1.5, num_bins=33)
    loss(batch.labels, 0.5 * batch.embeddings)
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert rebuilt.get_config() == loss.get_config()
    assert loss.layers[0].trainable_variables == [] and len(loss.layers[0].weights) == 1
    rebuilt.layers[0].set_weights(loss.layers[0].get_weights())
    np.testing.assert_array_equal(rebuilt.call(*batch), loss.call(*batch))


def test_replicas_keep_one_histogram(batch):
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([devices[0].name])
    with strategy.scope():
        loss = DynamicSoftMargin()
        loss.build(4, 3)
    rows = tf.constant(batch.embeddings, tf.float32)
    strategy.run(tf.function(lambda: loss(batch.labels, rows)))
    alone = DynamicSoftMargin()
    alone(batch.labels, rows)
    np.testing.assert_allclose(loss.layers[0].shares, alone.layers[0].shares, atol=1e-6)


BAD = {
    "span": ({"span": 0}, "span must be above 0; got 0"),
    "bins": ({"num_bins": 1}, "num_bins must be a whole number of at least 2; got 1"),
    "half a bin": ({"num_bins": 10.5}, "num_bins must be a whole number of at least 2; got 10.5"),
    "no momentum": ({"momentum": 0.0}, "momentum must be above 0 and at most 1; got 0.0"),
    "momentum": ({"momentum": 1.1}, "momentum must be above 0 and at most 1; got 1.1"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        DynamicSoftMargin(**arguments)

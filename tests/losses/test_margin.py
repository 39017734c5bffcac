"""The margin loss against loops over triplets, in float64, with the gradient to its boundaries."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.losses import Margin
from metric_learning.losses.distance_loss import compare
from metric_learning.tuples import Pairs, Triplets


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[name]


def every_triplet(positives, negatives):
    return [(a, p, n, w * v) for a, p, w in positives for b, n, v in negatives if a == b]


def oracle(
    rows, triplets, boundaries, refs=None, *, margin=0.2, weight=0.0, active=True, distance="euclidean"
):  # fmt: skip
    """Both hinges of every triplet over their number; `boundaries` holds one of each anchor."""
    refs = rows if refs is None else refs
    values, count = np.zeros(len(rows)), 0.0
    for a, p, n, times in triplets:
        for violation in (
            distance_of(rows[a], refs[p], distance) - boundaries[a] + margin,
            boundaries[a] - distance_of(rows[a], refs[n], distance) + margin,
        ):
            values[a] += times * max(violation, 0.0)
            count += times if violation > 0.0 or not active else 0.0
    values *= len(rows) / count
    anchors = {a for a, *_ in triplets}
    for a in anchors:
        values[a] += weight * boundaries[a] * len(rows) / len(anchors)
    return values


@pytest.fixture
def small(batch):
    """The batch with labels from 0 on."""
    return np.unique(batch.labels, return_inverse=True)[1], batch.embeddings


def of_anchors(loss, labels, learned):
    """The boundary of each anchor, from what the loss has learned."""
    if loss.learned == "none":
        return [loss.boundary] * len(labels)
    table = learned[0][:, 0]
    return [table[label] if loss.learned == "per_class" else table[0] for label in labels]


def built(**arguments):
    """A loss of five classes, whose boundaries differ if there are several."""
    loss = Margin(num_classes=5, **arguments)
    if loss.learned == "per_class":
        loss.layers[0].vectors.assign(np.array([[0.7], [1.0], [0.8], [1.3], [0.9]]))
    return loss


# Arguments of the loss, and those of the oracle.
CASES = {
    "fixed": ({"learned": "none", "boundary": 0.9}, {}),
    "one": ({"boundary": 0.8}, {}),
    "per class": ({"learned": "per_class"}, {}),
    "margin": ({"boundary": 0.8, "margin": 0.05}, {"margin": 0.05}),
    "selected": ({"boundary": 0.8, "average": "selected"}, {"active": False}),
    "weighed": ({"boundary": 0.8, "boundary_weight": 0.5}, {"weight": 0.5}),
    "per class, weighed": ({"learned": "per_class", "boundary_weight": 0.5}, {"weight": 0.5}),
    "squared distance": ({"boundary": 0.8, "distance": "squared_euclidean"}, {"distance": "squared_euclidean"}),
}
cases = pytest.mark.parametrize(("arguments", "known"), CASES.values(), ids=CASES)


@cases
def test_all_triplets_equal_loops_with_their_gradient(small, every_pair, agrees, arguments, known):
    labels = small[0]
    loss, triplets = built(**arguments), every_triplet(*every_pair(labels))
    agrees(loss, lambda rows, *learned: oracle(rows, triplets, of_anchors(loss, labels, learned), **known), *small)


@cases
def test_a_memory_bank_gives_triplets_of_anchor_and_bank(batch, bank, small, every_pair, agrees, arguments, known):
    triplets = every_triplet(*every_pair(batch.labels, bank.labels))
    loss = built(**arguments)

    def expected(rows, *learned):
        return oracle(rows, triplets, of_anchors(loss, small[0], learned), bank.embeddings, **known)

    bank_labels = np.searchsorted(np.unique(batch.labels), bank.labels)
    agrees(loss, expected, *small, ref_labels=bank_labels, ref_embeddings=bank.embeddings)


@cases
def test_chosen_triplets_count_as_their_weights_say(small, agrees, arguments, known):
    labels, rows = small
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
    loss = built(miner=lambda *_: Triplets(*map(tf.constant, (positive, negative, weights))), **arguments)
    agrees(loss, lambda rows, *learned: oracle(rows, triplets, of_anchors(loss, labels, learned), **known), *small)


def test_chosen_pairs_stand_for_all_their_triplets(small, every_pair, agrees):
    labels, _ = small
    counts = np.random.default_rng(7).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    weights, listed = np.zeros((2, 10, 10), np.float32), []
    for side, pairs in enumerate(every_pair(labels)):
        listed.append([(a, j, float(counts[side, a, j])) for a, j, _ in pairs if counts[side, a, j]])
        for a, j, weight in listed[side]:
            weights[side, a, j] = weight
    triplets = every_triplet(*listed)
    loss = built(learned="per_class", miner=lambda *_: Pairs(*map(tf.constant, weights)))
    agrees(loss, lambda rows, *learned: oracle(rows, triplets, of_anchors(loss, labels, learned)), *small)


def test_every_hyperparameter_changes_the_value(small):
    values = [float(built(**arguments)(*small)) for arguments, _ in CASES.values()]
    assert len(np.unique(np.round(values, 4))) == len(CASES)


def test_by_hand():
    rows = [[0.0], [1.0], [1.5]]
    # 1 - 1 + .25 and 1 - 1.5 + .25 < 0 of the first row; .25 and 1 - .5 + .25 of the second: three of four terms.
    loss = Margin(margin=0.25, boundary=1.0, learned="none")
    np.testing.assert_allclose(loss.call([0, 0, 1], rows), [0.25, 1.0, 0.0], rtol=1e-6)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, every_pair):
    labels, rows = batch_with_duplicates
    expected = oracle(rows, every_triplet(*every_pair(labels)), [0.8] * 10)
    np.testing.assert_allclose(Margin(boundary=0.8).call(labels, rows), expected, atol=1e-5)


def test_the_boundary_is_learned_and_its_weight_pulls_it_down(small):
    loss = Margin(boundary=0.1)
    weighed = Margin(boundary=0.1, boundary_weight=0.5)

    def gradient(loss):
        with tf.GradientTape() as tape:
            value = loss(*small)
        return float(tf.squeeze(tape.gradient(value, loss.layers[0].vectors.value)))

    assert gradient(loss) < 0.0  # nearly all positives are beyond 0.1, so it rises
    assert gradient(weighed) == pytest.approx(gradient(loss) + 0.5, rel=1e-5)


def test_an_anchor_of_several_classes_has_the_mean_of_their_boundaries(small):
    labels, rows = small
    shared = np.eye(5)[labels]
    shared[0, 4] = 1.0
    loss = built(learned="per_class", boundary_weight=1.0)
    boundaries = loss.layers[0].vectors.numpy()[:, 0]
    values, fixed = (kind.call(shared, rows) for kind in (loss, built(learned="none", boundary=0.0)))
    assert values.shape == fixed.shape and np.isfinite(values).all()
    said = loss.context(compare(shared, rows, distance=loss.distance))["boundaries"][:, 0]
    np.testing.assert_allclose(said[0], (boundaries[labels[0]] + boundaries[4]) / 2, rtol=1e-6)
    np.testing.assert_allclose(said[1:], boundaries[labels[1:]], rtol=1e-6)


def test_it_is_built_for_the_classes_of_the_data_and_no_others():
    loss = Margin(learned="per_class")
    assert not loss.layers
    with pytest.raises(ValueError, match="num_classes must be known before the loss is used"):
        loss([0, 1], np.ones((2, 3)))
    loss.build(4, 3)
    assert loss.layers[0].vectors.shape == (4, 1)
    vectors = loss.layers[0].vectors
    loss.build(4, 3)
    assert loss.layers[0].vectors is vectors
    with pytest.raises(ValueError, match="has been built with num_classes=4; got 5"):
        loss.build(5, 3)
    for labels in ([0, 4], [-1, 0]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            loss(labels, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"multi-hot labels must be \[batch, 4\]"):
        loss(np.eye(5), np.ones((5, 3)))
    with pytest.raises(ValueError, match="labels must be integers from 0 to 3"):
        loss(np.array(["a", "b"]), np.ones((2, 3)))


def test_a_fixed_or_common_boundary_takes_any_labels(batch):
    fixed, common = (Margin(boundary=0.8, learned=learned).call(*batch) for learned in ("none", "one"))
    np.testing.assert_array_equal(fixed, common)


def test_a_saved_loss_is_rebuilt_with_its_boundaries(small):
    loss = built(learned="per_class", miner=miners.SemiHard())
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert rebuilt.get_config() == loss.get_config()
    rebuilt.layers[0].set_weights(loss.layers[0].get_weights())
    np.testing.assert_array_equal(rebuilt.call(*small), loss.call(*small))


BAD = {
    "margin": ({"margin": -1}, "margin must be at least 0; got -1"),
    "weight": ({"boundary_weight": -1}, "boundary_weight must be at least 0; got -1"),
    "learned": ({"learned": "some"}, "learned must be one of none, one, per_class; got 'some'"),
    "average": ({"average": "sum"}, "average must be one of"),
    "classes": ({"num_classes": 1}, "num_classes must be at least 2; got 1"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Margin(**arguments)

"""The adaptive triplet loss against loops over triplets, in float64, and the vectors that it makes of names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.losses import AdaptiveTriplet, Triplet
from metric_learning.losses.name_vectors import vectors_of_names
from metric_learning.tuples import Triplets

VECTORS = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 1.0], [0.0, -0.5]])
NAMES = ["ant", "red ant", "red deer", "deer", "emu"]


def square(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def every_triplet(positives, negatives):
    return [(a, p, n, w * v) for a, p, w in positives for b, n, v in negatives if a == b]


def oracle(rows, triplets, labels, refs=None, ref_labels=None, *, margin=0.2, normalizer=None, active=False):
    refs, ref_labels = rows if refs is None else refs, labels if ref_labels is None else ref_labels
    means = [[value / np.sqrt(sum(x * x for x in vector)) for value in vector] for vector in VECTORS]
    normalizer = 4.0 - margin if normalizer is None else normalizer
    values, count = np.zeros(len(rows)), 0.0
    for a, p, n, times in triplets:
        wide = margin + square(means[labels[a]], means[ref_labels[n]]) / normalizer
        violation = square(rows[a], refs[p]) - square(rows[a], refs[n]) + wide
        values[a] += times * max(violation, 0.0)
        count += times if violation > 0.0 or not active else 0.0
    return values * len(rows) / count


@pytest.fixture
def small(batch):
    """The batch with labels from 0 on."""
    return np.unique(batch.labels, return_inverse=True)[1], batch.embeddings


CASES = {
    "usual": ({}, {}),
    "margin": ({"margin": 0.7}, {"margin": 0.7}),
    "normalizer": ({"normalizer": 1.5}, {"normalizer": 1.5}),
    "active": ({"average": "active"}, {"active": True}),
}
cases = pytest.mark.parametrize(("arguments", "known"), CASES.values(), ids=CASES)


@cases
def test_all_triplets_equal_loops_with_their_gradient(small, every_pair, agrees, arguments, known):
    triplets = every_triplet(*every_pair(small[0]))
    loss = AdaptiveTriplet(class_vectors=VECTORS, **arguments)
    agrees(loss, lambda rows: oracle(rows, triplets, small[0], **known), *small)


@cases
def test_a_memory_bank_gives_triplets_of_anchor_and_bank(batch, bank, small, every_pair, agrees, arguments, known):
    bank_labels = np.searchsorted(np.unique(batch.labels), bank.labels)
    triplets = every_triplet(*every_pair(small[0], bank_labels))
    loss = AdaptiveTriplet(class_vectors=VECTORS, **arguments)

    def expected(rows):
        return oracle(rows, triplets, small[0], bank.embeddings, bank_labels, **known)

    agrees(loss, expected, *small, ref_labels=bank_labels, ref_embeddings=bank.embeddings)


@cases
def test_chosen_triplets_count_as_their_weights_say(small, agrees, arguments, known):
    labels, _ = small
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
    loss = AdaptiveTriplet(class_vectors=VECTORS, miner=lambda *_: chosen, **arguments)
    agrees(loss, lambda rows: oracle(rows, triplets, labels, **known), *small)


def test_every_hyperparameter_changes_the_value(small):
    values = [float(AdaptiveTriplet(class_vectors=VECTORS, **arguments)(*small)) for arguments, _ in CASES.values()]
    values.append(float(AdaptiveTriplet(class_names=NAMES)(*small)))
    values.append(float(AdaptiveTriplet(class_names=NAMES, name_dim=16)(*small)))
    assert len(np.unique(np.round(values, 4))) == len(CASES) + 2


def test_by_hand():
    loss = AdaptiveTriplet(margin=0.5, normalizer=4.0, class_vectors=[[1.0, 0.0], [0.0, 2.0]])
    # |g - g|^2 = 2: 1 - 4 + .5 + .5 < 0 and 1 - 1 + .5 + .5, of two triplets.
    np.testing.assert_allclose(loss.call([0, 0, 1], [[0.0], [1.0], [2.0]]), [0.0, 1.5, 0.0], rtol=1e-6)


def test_classes_of_one_meaning_give_the_triplet_loss(small):
    same = AdaptiveTriplet(margin=0.4, class_vectors=np.ones((5, 3)))
    np.testing.assert_allclose(same.call(*small), Triplet(margin=0.4).call(*small), rtol=1e-5, atol=1e-6)
    assert float(AdaptiveTriplet(margin=0.4, class_vectors=np.eye(5))(*small)) > float(same(*small)) + 0.1


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates, small, every_pair):
    rows, triplets = batch_with_duplicates.embeddings, every_triplet(*every_pair(small[0]))
    values = AdaptiveTriplet(class_vectors=VECTORS).call(small[0], rows)
    np.testing.assert_allclose(values, oracle(rows, triplets, small[0]), atol=1e-5)


def test_names_that_share_words_or_parts_of_words_are_near():
    vectors = vectors_of_names(["red ant", "red deer", "ant", "ants", "whale", "Ant", "ant red"], 1024)
    assert vectors.dtype == np.float32 and vectors.shape == (7, 1024)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    red_ant, red_deer, ant, ants, whale, capital, turned = vectors
    assert red_ant @ red_deer > 0.4 and red_ant @ ant > 0.6
    assert 0.3 < ant @ ants < 0.95
    assert abs(ant @ whale) < 0.1 and abs(red_ant @ whale) < 0.1
    np.testing.assert_array_equal(capital, ant)
    np.testing.assert_allclose(turned, red_ant, atol=1e-6)


def test_a_name_of_no_letters_has_a_vector_of_its_own():
    vectors = vectors_of_names(["!", "?", "", "_"], 512)
    products = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(products), 1.0, rtol=1e-6)
    assert np.abs(products - np.eye(4)).max() < 0.9


def test_names_have_the_same_vectors_in_every_process():
    # The word itself and "<a>", its only part: crc32 gives 293866383 and 1874297515, of which the
    # last bit is the sign and the rest, modulo 8, the place.
    expected = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]) / np.sqrt(2.0)
    np.testing.assert_allclose(vectors_of_names(["A"], 8)[0], expected, rtol=1e-6)


def test_the_names_of_the_data_make_the_table(small):
    loss = AdaptiveTriplet()
    assert not loss.layers
    with pytest.raises(ValueError, match="class_names or class_vectors must be known before the loss is used"):
        loss(*small)
    loss.build(5, 3, NAMES)
    assert loss.layers[0].trainable_variables == []
    np.testing.assert_array_equal(loss.layers[0].vectors, vectors_of_names(NAMES, 256))
    np.testing.assert_array_equal(loss.call(*small), AdaptiveTriplet(class_names=NAMES).call(*small))


def test_given_vectors_are_used_whatever_the_names(small):
    loss = AdaptiveTriplet(class_vectors=VECTORS)
    before = loss.call(*small)
    loss.build(5, 3, NAMES)
    np.testing.assert_array_equal(loss.call(*small), before)


def test_a_saved_loss_is_rebuilt_with_its_table(small):
    for given in ({"class_vectors": VECTORS}, {"class_names": NAMES, "miner": miners.SemiHard()}):
        loss = AdaptiveTriplet(**given)
        rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert rebuilt.get_config() == loss.get_config()
        np.testing.assert_array_equal(rebuilt.call(*small), loss.call(*small))


BAD = {
    "margin": ({"margin": -1}, "margin must be at least 0; got -1"),
    "normalizer": ({"normalizer": 0}, "normalizer must be above 0; got 0"),
    "no normalizer": ({"margin": 4.0}, "normalizer must be given with a margin of 4 or more; got margin=4.0"),
    "name_dim": ({"name_dim": 0}, "name_dim must be above 0; got 0"),
    "average": ({"average": "sum"}, "average must be one of"),
    "vectors": ({"class_vectors": [1.0, 2.0]}, r"class_vectors must be \[classes, dim\]; got shape \(2,\)"),
    "classes": ({"class_names": NAMES, "num_classes": 4}, "class_names must be one for each of 4 classes; got 5"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveTriplet(**arguments)


def test_other_classes_than_the_loss_knows_are_refused(small):
    with pytest.raises(ValueError, match="class_names must be given, or class_vectors"):
        AdaptiveTriplet().build(5, 3)
    with pytest.raises(ValueError, match="class_vectors must be one for each of 6 classes; got 5"):
        AdaptiveTriplet(class_vectors=VECTORS).build(6, 3)
    with pytest.raises(ValueError, match="has been built with other class_names"):
        AdaptiveTriplet(class_names=NAMES).build(5, 3, NAMES[::-1])
    with pytest.raises(tf.errors.InvalidArgumentError):
        AdaptiveTriplet(class_vectors=VECTORS)(small[0] + 2, small[1])

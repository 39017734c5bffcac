"""Matryoshka against loops over prefixes and triplets, and what each prefix learns for itself."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.losses import ArcFace, BarlowTwins, Contrastive, Matryoshka, Triplet


def triplet_by_hand(rows, labels, margin):
    """Mean hinge of an anchor's triplets, over all triplets as the loss counts them, by squared Euclidean distance."""
    costs, counts = np.zeros(len(rows)), np.zeros(len(rows))
    for a in range(len(rows)):
        for p in range(len(rows)):
            for n in range(len(rows)):
                if a != p and labels[a] == labels[p] and labels[a] != labels[n]:
                    near, far = (sum((rows[a] - rows[j]) ** 2) for j in (p, n))
                    costs[a] += max(near - far + margin, 0.0)
                    counts[a] += 1
    return len(rows) * costs / counts.sum()


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("prefixes, weights", [([2, 3], None), ([0.5, 1.0], [0.5, 2.0]), ([3, 2, 2], [1, 0.0, 3])])
def test_equals_loops_over_the_prefixes(batch, agrees, normalize, prefixes, weights):
    def oracle(rows):
        total = 0.0
        for prefix, weight in zip(prefixes, weights or [1] * len(prefixes), strict=True):
            width = {0.5: 2, 1.0: 3}.get(prefix, prefix)
            cut = np.stack([[row[j] for j in range(width)] for row in rows])
            if normalize:
                cut = np.stack([row / sum(x * x for x in row) ** 0.5 for row in cut])
            total = total + weight * triplet_by_hand(cut, batch.labels, 0.7)
        return total

    inner = Triplet(margin=0.7, distance="squared_euclidean", average="selected")
    agrees(Matryoshka(inner, prefixes=prefixes, weights=weights, normalize=normalize), oracle, *batch)


def test_references_are_cut_too(batch, bank):
    loss, inner = Matryoshka(Contrastive(), prefixes=[2, 3]), Contrastive()
    labels = np.arange(10) % 3
    ref_labels = [0, 1, 2, 0, 1, 2, 2]
    expected = 0.0
    for width in (2, 3):
        rows, refs = (
            each[:, :width] / np.linalg.norm(each[:, :width], axis=1, keepdims=True)
            for each in (np.asarray(batch.embeddings, np.float32), np.asarray(bank.embeddings, np.float32))
        )
        expected += inner.call(labels, rows, ref_labels=ref_labels, ref_embeddings=refs)
    found = loss.call(labels, batch.embeddings, ref_labels=ref_labels, ref_embeddings=bank.embeddings)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_each_prefix_learns_class_vectors_of_its_own(batch):
    loss = Matryoshka(ArcFace(), prefixes=[1, 0.5, 1.0])
    loss.build(4, 3)
    variables = [variable for layer in loss.layers for variable in layer.trainable_variables]
    assert [3, 2, 1] == sorted((max(set(variable.shape) - {4}, default=4) for variable in variables), reverse=True)
    with tf.GradientTape() as tape:
        value = loss(np.arange(10) % 4, tf.constant(batch.embeddings, tf.float32))
    for gradient in tape.gradient(value, [variable.value for variable in variables])[1:]:
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 1e-3


def test_is_saved_with_what_it_holds(batch):
    loss = Matryoshka(Triplet(miner=miners.BatchHard()), prefixes=[1, 0.9], weights=[1, 2], normalize=False)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert rebuilt.loss.miner == miners.BatchHard() and rebuilt.prefixes == [1, 0.9] and rebuilt.weights == [1, 2]
    np.testing.assert_array_equal(rebuilt.call(*batch), loss.call(*batch))
    assert (loss.distance, loss.takes_references) == ("squared_euclidean", True)
    assert (Matryoshka(BarlowTwins()).distance, Matryoshka(BarlowTwins()).takes_references) == (None, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "triplet"}, "loss must be one of metric_learning.losses; got 'triplet'"),
        ({"prefixes": []}, "prefixes must name at least one"),
        ({"prefixes": [0]}, r"prefixes must be numbers of dimensions, from 1, or shares in \(0, 1.0\]; got 0"),
        ({"prefixes": [1.5]}, "prefixes must be numbers of dimensions.*got 1.5"),
        ({"prefixes": [True]}, "prefixes must be numbers of dimensions.*got True"),
        ({"prefixes": [1, 2], "weights": [1.0]}, "weights must be one for each of 2 prefixes; got 1"),
        ({"prefixes": [1], "weights": [-1.0]}, "weights must be at least 0; got -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Matryoshka(**({"loss": Triplet()} | options))


def test_a_prefix_longer_than_the_embeddings_is_refused(batch):
    for use in (lambda loss: loss.call(*batch), lambda loss: loss.build(4, 3)):
        with pytest.raises(ValueError, match="prefixes must be at most the 3 dimensions of the embeddings; got 4"):
            use(Matryoshka(Triplet(), prefixes=[4]))

"""The hybrid against the weighted sum of its parts, each computed alone."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning.distances import pairwise, shared_distances
from metric_learning.losses import (
    BarlowTwins,
    BinaryCrossentropy,
    Contrastive,
    Cosine,
    Hybrid,
    NormalizedSoftmax,
    Quadruplet,
    Triplet,
    VICReg,
)
from metric_learning.losses.embedding_loss import EmbeddingLoss
from metric_learning.steps import at_step

SCHEDULE = keras.optimizers.schedules.PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0)


def triplet():
    return Triplet(margin=0.3, distance="cosine", miner=miners.SemiHard())


def contrastive():
    return Contrastive(negative_margin=0.9, distance="euclidean")


class Plain(EmbeddingLoss):
    """Each row costs its length squared: a loss that needs nobody."""

    def call(self, labels, embeddings):
        return tf.reduce_sum(embeddings**2, axis=1)


def value_and_gradient(loss, labels, rows, **arguments):
    variable = tf.Variable(rows, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = loss(labels, variable, **arguments)
    return value, tf.convert_to_tensor(tape.gradient(value, variable))


def test_numbers_by_hand():
    # Lengths squared 1, 4, 9; contrastive: the one positive pair is 1 apart, the negative ones 2 and 1, beyond .5.
    parts = [{"loss": Plain(), "weight": 2.0}, {"loss": Contrastive(negative_margin=0.5, squared=False)}]
    np.testing.assert_allclose(Hybrid(parts).call([0, 0, 1], [[1.0], [2.0], [3.0]]), [3.5, 9.5, 18.0], rtol=1e-6)


@pytest.mark.parametrize("weights", [(1.0, 0.5), (0.0, 2), (3, 0.0)])
def test_is_the_weighted_sum_of_its_parts_with_its_gradient(batch, weights):
    labels, rows = batch
    losses = [triplet(), contrastive()]
    hybrid = Hybrid([{"loss": loss, "weight": weight} for loss, weight in zip(losses, weights, strict=True)])
    apart = [value_and_gradient(loss, labels, rows) for loss in losses]
    value, gradient = value_and_gradient(hybrid, labels, rows)
    assert 0.01 < apart[0][0] != apart[1][0] > 0.01
    np.testing.assert_allclose(value, sum(w * part for w, (part, _) in zip(weights, apart, strict=True)), rtol=1e-5)
    expected = sum(w * part.numpy() for w, (_, part) in zip(weights, apart, strict=True))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    values = sum(w * loss.call(labels, rows) for w, loss in zip(weights, losses, strict=True))
    np.testing.assert_allclose(hybrid.call(labels, rows), values, rtol=1e-5)


def test_the_default_configuration_is_its_two_losses(batch, build):
    hybrid = build("loss", "loss=hybrid", "miner=batch_hard")
    parts = [part["loss"] for part in hybrid.parts]
    assert [type(loss.miner) for loss in parts] == [miners.BatchHard, miners.HardPairs]
    expected = Triplet(margin=0.3, average="active", distance="cosine", miner=miners.BatchHard()).call(*batch)
    linear = Contrastive(negative_margin=0.5, squared=False, average="active", distance="cosine")
    linear.miner = miners.HardPairs(fraction=0.5)
    np.testing.assert_allclose(hybrid.call(*batch), expected + 0.5 * linear.call(*batch), rtol=1e-5)


def test_weights_follow_their_schedule(batch):
    hybrid = Hybrid([{"loss": triplet(), "weight": SCHEDULE}, {"loss": contrastive()}])
    first, second = triplet()(*batch), contrastive()(*batch)
    step = tf.Variable(0, dtype=tf.int64)
    with at_step(step):
        graph = tf.function(lambda: hybrid(*batch))
        for now, weight in ((0, 1.0), (4, 0.6), (10, 0.0)):
            step.assign(now)
            np.testing.assert_allclose(hybrid(*batch), weight * first + second, rtol=1e-5)
            np.testing.assert_allclose(graph(), weight * first + second, rtol=1e-5)


def test_distance_is_the_common_one():
    same = [{"loss": triplet()}, {"loss": Cosine()}]
    assert Hybrid(same).distance == "cosine"
    assert Hybrid([*same, {"loss": BarlowTwins()}]).distance == "cosine"
    assert Hybrid([*same, {"loss": contrastive()}]).distance is None
    assert Hybrid([{"loss": BarlowTwins()}]).distance is None


def test_references_go_to_the_parts_that_compare_rows(batch, bank):
    classes = NormalizedSoftmax()
    hybrid = Hybrid(
        [{"loss": triplet()}, {"loss": classes}, {"loss": Hybrid([{"loss": contrastive(), "weight": 0.5}])}]
    )
    hybrid.build(3, 3)
    labels = np.arange(10) % 3
    references = {"ref_labels": [0, 1, 2, 0, 1, 2, 2], "ref_embeddings": bank.embeddings}
    expected = triplet().call(labels, batch.embeddings, **references)
    expected += classes.call(labels, batch.embeddings)
    expected += 0.5 * contrastive().call(labels, batch.embeddings, **references)
    np.testing.assert_allclose(hybrid.call(labels, batch.embeddings, **references), expected, rtol=1e-5)


def test_references_go_to_pairs_of_predictions_and_not_to_views(batch, bank):
    pairs, views = BinaryCrossentropy(over="pairs"), VICReg()
    hybrid = Hybrid([{"loss": pairs}, {"loss": views}])
    assert hybrid.takes_references and not Hybrid([{"loss": views}]).takes_references
    references = {"ref_labels": [0, 1, 2, 0, 1, 2, 2], "ref_embeddings": bank.embeddings}
    labels = np.arange(10) % 5
    expected = pairs.call(labels, batch.embeddings, **references) + views.call(labels, batch.embeddings)
    np.testing.assert_allclose(hybrid.call(labels, batch.embeddings, **references), expected, rtol=1e-5)


def test_what_the_parts_learn_is_what_it_learns(batch):
    classes = [NormalizedSoftmax(), NormalizedSoftmax()]
    hybrid = Hybrid([{"loss": classes[0]}, {"loss": triplet()}, {"loss": classes[1]}, {"loss": classes[0]}])
    assert hybrid.layers == []
    hybrid.build(4, 3)
    assert len(hybrid.layers) == 2 and hybrid.layers[1] is classes[1].layers[0]
    assert Hybrid([{"loss": classes[0]}]).layers == classes[0].layers  # built before
    vectors = [layer.trainable_variables[0].value for layer in hybrid.layers]
    with tf.GradientTape() as tape:
        value = hybrid(np.arange(10) % 4, tf.constant(batch.embeddings, tf.float32))
    for gradient in tape.gradient(value, vectors):
        assert np.abs(gradient).max() > 1e-3


def test_parts_of_one_distance_share_one_matrix(batch):
    def products(loss):
        signature = [tf.TensorSpec([64], tf.int64), tf.TensorSpec([64, 8], tf.float32)]

        def step(labels, rows):
            with tf.GradientTape() as tape:
                tape.watch(rows)
                value = loss(labels, rows)
            return tape.gradient(value, rows)

        operations = tf.function(step, input_signature=signature).get_concrete_function().graph.get_operations()
        return sum(operation.type == "MatMul" for operation in operations)

    alone = products(Contrastive(distance="cosine"))
    four = [Contrastive(distance="cosine"), Contrastive(distance="cosine", squared=False), Cosine(), Cosine(margin=0.2)]
    assert products(Hybrid([{"loss": loss} for loss in four])) == alone
    assert products(Hybrid([{"loss": Cosine()}, {"loss": contrastive()}])) == 2 * alone


def test_matrices_are_shared_between_the_same_rows_only(batch, bank):
    rows, refs = tf.constant(batch.embeddings, tf.float32), tf.constant(bank.embeddings, tf.float32)
    with shared_distances():
        first = pairwise(rows)
        assert pairwise(rows) is first
        for other in (pairwise(rows, refs), pairwise(rows, distance="dot"), pairwise(rows + 0.0)):
            assert other is not first
        in_a_graph = tf.function(lambda: pairwise(rows) + pairwise(rows))()
        np.testing.assert_allclose(in_a_graph, 2 * first, rtol=1e-6)
    assert pairwise(rows) is not pairwise(rows)


def test_a_saved_hybrid_is_rebuilt_with_all_that_it_holds(batch):
    inner = Hybrid([{"loss": Quadruplet(miner=miners.EasyPositive(negative="hard")), "weight": SCHEDULE}])
    hybrid = Hybrid([{"loss": triplet(), "weight": 0.5}, {"loss": inner}], reduction="sum", name="mine")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(hybrid)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert (rebuilt.reduction, rebuilt.name) == ("sum", "mine")
    assert rebuilt.parts[0]["loss"].get_config() == hybrid.parts[0]["loss"].get_config()
    assert rebuilt.parts[0]["weight"] == 0.5
    deep = rebuilt.parts[1]["loss"].parts[0]
    assert deep["loss"].miner == miners.EasyPositive(negative="hard")
    assert deep["weight"].get_config() == SCHEDULE.get_config()
    np.testing.assert_array_equal(rebuilt.call(*batch), hybrid.call(*batch))


def test_xla_and_unknown_batch_sizes_cost_the_same(batch):
    hybrid = Hybrid([{"loss": triplet(), "weight": 0.5}, {"loss": contrastive()}, {"loss": Cosine()}])
    rows = batch.embeddings.astype(np.float32)
    compiled = tf.function(hybrid, jit_compile=True)
    np.testing.assert_allclose(compiled(batch.labels, rows), hybrid(*batch), rtol=1e-5)
    graph = tf.function(hybrid, input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)])
    for size in (10, 7):
        expected = hybrid(batch.labels[:size], rows[:size])
        np.testing.assert_allclose(graph(batch.labels[:size], rows[:size]), expected, rtol=1e-5)


REFUSED = {
    "no parts": ([], "parts must name at least one loss"),
    "another key": ([{"loss": Cosine(), "wieght": 1.0}], "a part must be a mapping of loss and weight; got"),
    "no mapping": ([Cosine()], "a part must be a mapping of loss and weight; got <metric"),
    "no loss": ([{"weight": 1.0}], "a part must be a mapping of loss and weight; got"),
    "another loss": ([{"loss": "mse"}], "the loss of a part must be one of metric_learning.losses; got 'mse'"),
    "weight below 0": ([{"loss": Cosine(), "weight": -1.0}], "weight must be at least 0; got -1.0"),
    "weight of words": ([{"loss": Cosine(), "weight": "1"}], "weight must be a number or a Keras Learn.*; got '1'"),
}


@pytest.mark.parametrize(("parts", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Hybrid(parts)

"""What the losses with class vectors share: labels, sizes, and what no class and no length do."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.losses.class_loss import ClassVectors

KINDS = {
    kind.__name__: kind
    for kind in (
        losses.ArcFace,
        losses.CosFace,
        losses.LargeMarginSoftmax,
        losses.Manifold,
        losses.NormalizedSoftmax,
        losses.P2SGrad,
        losses.ProxyAnchor,
        losses.ProxyNCA,
        losses.SoftTriple,
        losses.SphereFace,
        losses.SubCenterArcFace,
    )
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
NOT_ALONE = {losses.ProxyAnchor, losses.SoftTriple, losses.P2SGrad}


def value_and_gradients(loss, labels, rows):
    rows = tf.convert_to_tensor(rows, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        values = loss.call(labels, rows)
    return values, *map(tf.convert_to_tensor, tape.gradient(values, [rows, loss.layers[0].vectors.value]))


@every_kind
def test_one_hot_labels_are_integer_labels(classes, learned, kind):
    labels, rows = classes
    loss = learned(kind)
    np.testing.assert_allclose(loss.call(np.eye(6)[labels], rows), loss.call(labels, rows), rtol=1e-6)
    np.testing.assert_allclose(loss.call(labels.astype(np.uint8)[:, None], rows), loss.call(labels, rows), rtol=1e-6)


@every_kind
def test_a_row_without_class_costs_nothing(classes, learned, kind):
    if kind in NOT_ALONE:
        pytest.skip("it is a negative of every proxy, or carries a penalty, or has a target of 0")
    labels, rows = classes
    targets = np.eye(6)[labels] * (np.arange(10) % 3 > 0)[:, None]
    values, gradient, _ = value_and_gradients(learned(kind), targets, rows)
    np.testing.assert_array_equal(values.numpy()[::3], 0.0)
    if kind is not losses.Manifold:  # the walks of the others pass by it
        np.testing.assert_array_equal(gradient.numpy()[::3], 0.0)


@every_kind
@pytest.mark.parametrize("wrong", [-1, 6])
def test_labels_outside_the_classes_are_refused(classes, learned, kind, wrong):
    labels, rows = classes
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be (at least 0|below num_classes=6)"):
        learned(kind)(np.where(np.arange(10) == 4, wrong, labels), rows)


@pytest.mark.slow
@every_kind
def test_a_graph_of_unknown_size_and_xla_cost_the_same(classes, learned, kind):
    labels, rows = classes[0], classes[1].astype(np.float32)
    loss = learned(kind)
    shapes = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)]
    graph = tf.function(lambda labels, rows: value_and_gradients(loss, labels, rows), input_signature=shapes)
    compiled = tf.function(lambda labels, rows: value_and_gradients(loss, labels, rows), jit_compile=True)
    for function, size in ((graph, 10), (graph, 7), (compiled, 10)):
        parts = tf.constant(labels[:size].astype(np.int64)), tf.constant(rows[:size])
        for got, wanted in zip(function(*parts), value_and_gradients(loss, *parts), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * max(1.0, np.abs(wanted).max()))


@every_kind
@pytest.mark.parametrize("length", [0.0, 1e-12, 1e4])
def test_rows_and_vectors_on_each_other_of_any_length_stay_finite(classes, learned, kind, length):
    labels, _ = classes
    loss = learned(kind)
    vectors = loss.layers[0].vectors.numpy()
    turned = np.where(np.arange(10) % 2, 1.0, -1.0)[:, None] * vectors[labels * (len(vectors) // 6)]
    for result in value_and_gradients(loss, labels, length * turned):
        assert np.isfinite(result).all()
    loss.layers[0].vectors.assign(np.where(np.arange(len(vectors))[:, None] % 2, 0.0, length * vectors))
    for result in value_and_gradients(loss, labels, turned):
        assert np.isfinite(result).all()


@every_kind
def test_only_its_own_table_is_learned_from_rows_of_about_unit_length(kind):
    loss = kind()
    with pytest.raises(ValueError, match="num_classes and embedding_dim must be known"):
        loss([0], [[1.0]])
    loss.build(400, 64)
    (layer,) = loss.layers
    assert isinstance(layer, ClassVectors) and [layer.vectors] == layer.trainable_variables
    np.testing.assert_allclose(np.linalg.norm(layer.vectors.numpy(), axis=1).mean(), 1.0, atol=0.02)
    loss.build(400, 64)
    assert loss.layers == [layer]
    with pytest.raises(ValueError, match="has been built with num_classes=400, embedding_dim=64; got num_classes=401"):
        loss.build(401, 64)


def test_labels_of_a_small_type_may_have_more_classes_than_it_holds():
    loss = losses.CosFace(num_classes=300, embedding_dim=2)
    assert np.isfinite(loss(np.array([255, 0], np.uint8), np.eye(2)))


@pytest.mark.parametrize(
    ("labels", "embeddings", "message"),
    [
        (["a"], [[1.0, 2.0, 3.0]], "labels must be integers from 0 to 5; got string"),
        ([1], [[1.0, 2.0, 3.0]] * 4, "labels must be one for each of 4 rows; got 1"),
        ([[1.0, 0.0]], [[1.0, 2.0, 3.0]], r"multi-hot labels must be \[batch, 6\]; got shape \(1, 2\)"),
        ([1], [[1.0, 2.0]], r"embeddings must be \[batch, 3\]; got shape \(1, 2\)"),
        ([1], [1.0, 2.0, 3.0], r"embeddings must be \[batch, dim\]"),
    ],
)
def test_calls_that_make_no_sense_are_refused(learned, labels, embeddings, message):
    with pytest.raises(ValueError, match=message):
        learned(losses.CosFace)(labels, embeddings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 3}, "num_classes and embedding_dim must be given together"),
        ({"num_classes": 1, "embedding_dim": 3}, "num_classes must be at least 2"),
        ({"num_classes": 3, "embedding_dim": 0}, "embedding_dim at least 1"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        losses.CosFace(**arguments)

"""How losses are held against their oracles, and the loops over pairs and triplets that the oracles share."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture
def every_pair():
    """`every_pair(labels, ref_labels=None)`: (anchor, reference, weight 1) of the positives, and of the negatives."""

    def pairs(labels, ref_labels=None):
        refs = labels if ref_labels is None else ref_labels
        cells = [(a, j, 1.0) for a in range(len(labels)) for j in range(len(refs)) if ref_labels is not None or a != j]
        positives = [cell for cell in cells if labels[cell[0]] == refs[cell[1]]]
        return positives, [cell for cell in cells if labels[cell[0]] != refs[cell[1]]]

    return pairs


@pytest.fixture
def agrees(central_differences):
    """Holds a loss against its oracle: the values per anchor, and the gradient to the rows and to what it learns.

    `agrees(loss, expected, labels, rows, **references)`, with `expected(rows, *learned)` -> [B] in float64, `learned`
    being the values of the loss' trainable variables in their order. The gradient is that of a sum in which every
    anchor counts differently, so that anchors cannot stand in for each other.
    """

    def check(loss, expected, labels, rows, *, atol=2e-6, rtol=1e-5, gradient_tolerance=1e-4, step=1e-6, **references):
        variables = [variable for layer in loss.layers for variable in layer.trainable_variables]
        learned = [variable.numpy().astype(np.float64) for variable in variables]
        values = expected(rows, *learned)
        assert np.std(values) > 1e-3, "an oracle that is the same for every anchor shows little"
        np.testing.assert_allclose(
            loss.call(labels, rows.astype(np.float32), **references), values, atol=atol, rtol=rtol
        )

        upstream = np.linspace(0.5, 2.0, len(rows))
        with tf.GradientTape() as tape:
            watched = tf.Variable(rows, dtype=tf.float32)
            total = tf.reduce_sum(loss.call(labels, watched, **references) * upstream.astype("float32"))
        sources = [watched, *(variable.value for variable in variables)]
        gradients = tape.gradient(total, sources)

        parts = [rows, *learned]
        for index, (part, gradient) in enumerate(zip(parts, gradients, strict=True)):

            def total_of(moved, index=index):
                return np.dot(upstream, expected(*parts[:index], moved, *parts[index + 1 :]))

            wanted = central_differences(total_of, part.copy(), step)
            assert np.abs(wanted).max() > 1e-2
            scale = max(np.abs(wanted).max(), 1.0)
            np.testing.assert_allclose(
                tf.convert_to_tensor(gradient), wanted, atol=gradient_tolerance * scale, rtol=gradient_tolerance
            )

    return check


@pytest.fixture
def classes(batch):
    """Labels below 6 of the batch, [10], of which 1 and 3 do not occur; and the rows."""
    names = {label: name for label, name in zip(np.unique(batch.labels), (4, 0, 2, 5), strict=True)}
    return np.array([names[label] for label in batch.labels]), batch.embeddings


@pytest.fixture
def learned(classes):
    """`learned(losses.ArcFace, margin=0.5)`: that loss of six classes and three dimensions, its vectors being known.

    The first vectors of classes 4 and 5 point along their first rows and against them, so that angles of all sizes
    occur; the lengths of the vectors differ.
    """
    labels, rows = classes

    def make(kind, **arguments):
        loss = kind(num_classes=6, embedding_dim=3, **arguments)
        shape = loss.layers[0].vectors.shape
        vectors = np.random.default_rng(9).normal(scale=0.7, size=shape)
        if shape[0] % 6 == 0:
            per_class = shape[0] // 6
            vectors[4 * per_class] = 1.2 * rows[labels == 4][0] + 0.02
            vectors[5 * per_class : 6 * per_class] = -0.8 * rows[labels == 5][0] + 0.02 * vectors[5 * per_class :]
        loss.layers[0].vectors.assign(vectors)
        return loss

    return make

"""Categorical columns and attention pooling against loops over rows and ids, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders
from metric_learning.encoders.embedding import AttentionPooling, ColumnIds

SIZES = (3, 5, 2)
ROWS = np.array([[1, 4, 1], [2, 0, 1], [0, 0, 0], [1, 1, 0], [2, 4, 1]], np.int32)
IDS = np.array([[1, 4, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0], [2, 5, 1, 1]], np.int32)


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(4, 4, 6)).astype(np.float32)


def attended(vectors, ids, query):
    out = np.zeros((len(ids), vectors.shape[-1]))
    for row, own in enumerate(ids):
        weights = {i: np.exp(vectors[row, i].astype(float) @ query / np.sqrt(len(query))) for i in np.flatnonzero(own)}
        for i, weight in weights.items():
            out[row] += weight / sum(weights.values()) * vectors[row, i]
    return out


@pytest.mark.parametrize("jit_compile", [None, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
def test_attention_is_that_of_loops_with_its_gradient(vectors, scale, jit_compile):
    layer = AttentionPooling()
    layer.build(vectors.shape)
    query = scale * np.random.default_rng(1).normal(size=6)
    layer.query.assign(query.astype(np.float32))
    query = layer.query.numpy().astype(float)

    @tf.function(jit_compile=jit_compile)
    def both(vectors, ids):
        with tf.GradientTape() as tape:
            found = layer(vectors, ids)
            total = tf.reduce_sum(found * tf.cast(tf.range(6), tf.float32))
        return found, tape.gradient(total, layer.query.value)

    found, gradient = both(vectors, IDS)
    np.testing.assert_allclose(found, attended(vectors, IDS, query), atol=1e-5)
    step = 1e-5
    for i in range(6):
        ahead, behind = (attended(vectors, IDS, query + sign * step * np.eye(6)[i]) for sign in (1, -1))
        slope = ((ahead - behind) @ np.arange(6)).sum() / (2 * step)
        np.testing.assert_allclose(gradient[i], slope, atol=1e-3)


def test_attention_begins_as_the_mean_and_learns_another(vectors):
    keras.utils.set_random_seed(0)
    mean = encoders.embedding((4,), vocabulary_size=6, embedding_dim=5)
    keras.utils.set_random_seed(0)
    attention = encoders.embedding((4,), vocabulary_size=6, embedding_dim=5, pooling="attention")
    np.testing.assert_allclose(attention(IDS), mean(IDS), atol=1e-6)
    attention.get_layer("attention").query.assign(100.0 * np.ones(5, np.float32))
    assert np.abs(attention(IDS) - mean(IDS)).max() > 0.01
    # Neither padding nor order matters.
    np.testing.assert_allclose(attention(IDS[:1, [3, 2, 0, 1]]), attention(IDS[:1]), atol=1e-6)


def test_columns_have_vectors_of_their_own_and_missing_values_none():
    keras.utils.set_random_seed(0)
    encoder = encoders.embedding((3,), vocabulary_size=None, column_sizes=SIZES, embedding_dim=4, normalize=False)
    table = encoder.get_layer("tokens").embeddings.numpy().astype(float)
    assert len(table) == 1 + 2 + 4 + 1
    place, places = 1, {}
    for column, size in enumerate(SIZES):
        for value in range(1, size):
            places[column, value] = place
            place += 1
    expected = np.zeros((len(ROWS), 4))
    for row, values in enumerate(ROWS):
        known = [table[places[column, value]] for column, value in enumerate(values) if value]
        expected[row] = np.mean(known, axis=0) if known else 0.0
    np.testing.assert_allclose(encoder(ROWS), expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [[[3, 0, 0]], [[0, 5, 0]], [[0, 0, 2]], [[-1, 1, 1]]])
def test_an_id_that_its_column_does_not_have_is_not_taken_for_one_of_the_next(wrong):
    encoder = encoders.embedding((3,), vocabulary_size=None, column_sizes=SIZES, embedding_dim=4)
    wrong = np.array(wrong, np.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        encoder(wrong)
    found = tf.function(encoder, jit_compile=True)(np.concatenate([wrong, ROWS[:1]])).numpy()
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()


@pytest.mark.parametrize("options", [{"column_sizes": SIZES}, {"pooling": "attention", "vocabulary_size": 6}])
def test_saved_encoders_are_the_same(options, tmp_path):
    encoder = encoders.embedding((3,), **{"vocabulary_size": None, "embedding_dim": 4} | options)
    encoder.save(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "encoder.keras")(ROWS), encoder(ROWS))


@pytest.mark.parametrize("sizes", [(3, 5), (3, 5, 0), ()])
def test_sizes_that_are_not_those_of_the_columns_are_refused(sizes):
    with pytest.raises(
        ValueError, match="column_sizes must be a size of at least 1 for each column of inputs of shape"
    ):
        encoders.embedding((3,), vocabulary_size=None, column_sizes=sizes)
    with pytest.raises(ValueError, match="pooling must be"):
        encoders.embedding((3,), vocabulary_size=9, pooling="median")


def test_ids_of_columns_are_different_in_different_columns():
    found = ColumnIds(SIZES)(ROWS).numpy()
    assert [set(found[:, column]) - {0} for column in range(3)] == [{1, 2}, {3, 6}, {7}]

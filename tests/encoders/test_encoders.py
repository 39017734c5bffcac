"""Encoders map inputs to embeddings of the promised shape, length and dtype, and survive saving."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
IDS = np.array([[1, 4, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0]], np.int32)


@pytest.fixture
def build(request):
    keras.utils.set_random_seed(0)
    return {
        "cnn": lambda **options: encoders.cnn((16, 16, 3), **{"widths": (4, 8), "embedding_dim": 5} | options),
        "embedding": lambda **options: encoders.embedding((4,), vocabulary_size=6, **{"embedding_dim": 5} | options),
    }


@pytest.mark.parametrize(("name", "inputs"), [("cnn", IMAGES), ("embedding", IDS[:2])])
def test_embeddings_are_float32_rows_of_unit_length(build, name, inputs):
    embeddings = build[name]()(inputs).numpy()
    assert embeddings.shape == (len(inputs), 5) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-6)
    assert np.abs(np.linalg.norm(build[name](normalize=False)(inputs), axis=1) - 1.0).min() > 1e-3


@pytest.mark.parametrize(("name", "inputs"), [("cnn", IMAGES), ("embedding", IDS[:2])])
def test_half_precision_still_gives_float32_of_unit_length(build, name, inputs):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        embeddings = build[name]()(inputs).numpy()
    finally:
        keras.config.set_dtype_policy("float32")
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-6)


def test_cnn_sees_images_of_any_dtype_alike(build):
    encoder = build["cnn"]()
    np.testing.assert_allclose(encoder(IMAGES), encoder(IMAGES.astype(np.float32)), atol=1e-6)


def test_cnn_turns_the_background_into_zero(build):
    encoder = build["cnn"](background=255.0)
    np.testing.assert_allclose(encoder.layers[1](np.full((1, 16, 16, 3), 255, np.uint8)), 0.0, atol=1e-6)


def test_pooling_first_or_last_differs_in_the_statistics_alone(build):
    """At inference, with fresh statistics and a positive scale, max pooling commutes with norm and ReLU."""
    first, last = build["cnn"](pool_first=True), build["cnn"](pool_first=False)
    last.set_weights(first.get_weights())
    np.testing.assert_allclose(first(IMAGES), last(IMAGES), atol=1e-5)


def test_cnn_of_large_images_says_where_its_weights_are():
    with pytest.warns(UserWarning, match="224x224 flatten to 100,352 features, .* has 12,845,056 weights.*widths"):
        encoders.cnn((224, 224, 3), widths=(2, 4, 128), pooling="flatten")
    encoders.cnn((224, 224, 3), widths=(2, 4, 8, 16, 32))  # warnings are errors in the tests


@pytest.mark.parametrize(
    ("size", "pooling", "features"),
    [(64, "auto", 16 * 16 * 8), (65, "auto", 8), (32, "flatten", 8 * 8 * 8), (32, "gem", 8), (32, "avg+max", 8)],
)
def test_cnn_pools_over_places_if_asked_for_and_where_there_are_many(size, pooling, features):
    encoder = encoders.cnn((size, size, 3), widths=(4, 8), pooling=pooling, embedding_dim=5)
    assert encoder.get_layer("embedding").kernel.shape == (features, 5)


def test_mean_of_tokens_ignores_padding_and_order(build):
    encoder = build["embedding"]()
    np.testing.assert_allclose(encoder(IDS[:1]), encoder(IDS[:1, [3, 2, 0, 1]]), atol=1e-6)
    mean = keras.Model(encoder.input, encoder.get_layer("mean").output)
    table = encoder.get_layer("tokens").embeddings.numpy()
    np.testing.assert_allclose(mean(IDS), [table[[1, 4, 2]].mean(0), table[3], np.zeros(5)], atol=1e-6)


def test_single_category_ids_need_no_pooling():
    encoder = encoders.embedding((), vocabulary_size=6, embedding_dim=5)
    assert encoder(np.array([0, 5, 5])).shape == (3, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encoders.cnn((24,), vocabulary_size=9), "encoder=cnn takes images.*use encoder=embedding"),
        (lambda: encoders.embedding((8, 8, 3), vocabulary_size=None), "encoder=embedding takes ids.*use encoder=cnn"),
        (lambda: encoders.cnn((16, 16, 3), embedding_dim=0), "embedding_dim must be at least 1; got 0"),
        (lambda: encoders.cnn((16, 16, 3), widths=(4, 0)), r"widths must be at least 1; got \[4, 0\]"),
        (lambda: encoders.cnn((16, 16, 3), pooling="mean"), "pooling must be one of auto, flatten, avg, max, avg"),
        (lambda: encoders.cnn((4, 16, 3), widths=(4, 4, 4)), "images must be at least 8 pixels"),
        (lambda: encoders.embedding((4,), vocabulary_size=9, token_dim=64), "embedding_dim must be 64; got 128"),
        (lambda: encoders.embedding((4,), vocabulary_size=9, embedding_dim=0), "embedding_dim must be at least 1"),
    ],
)
def test_impossible_encoder_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inputs"), [("cnn", IMAGES), ("embedding", IDS)])
def test_saved_encoder_gives_the_same_embeddings_in_a_fresh_process(build, tmp_path, name, inputs):
    encoder = build[name]()
    encoder.save(tmp_path / "encoder.keras")
    np.save(tmp_path / "inputs.npy", inputs)
    program = (
        "import sys, keras, numpy as np, metric_learning.encoders\n"
        "encoder = keras.models.load_model(sys.argv[1] + '/encoder.keras')\n"
        "np.save(sys.argv[1] + '/embeddings.npy', encoder(np.load(sys.argv[1] + '/inputs.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), encoder(inputs))


def test_text_without_a_token_passes_no_gradient(build):
    encoder = build["embedding"]()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder(IDS) * tf.constant([[1.0, 2.0, 3.0, 4.0, 5.0]]))
    gradient = tf.convert_to_tensor(tape.gradient(total, encoder.trainable_variables)[0]).numpy()
    assert np.isfinite(gradient).all() and (gradient[0] == 0).all() and gradient[3].any()

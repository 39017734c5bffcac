"""Max pooling by hand is TensorFlow's, value for value and gradient for gradient, ties and odd sizes included."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.encoders.max_pooling import MaxPooling2x2, max_pool_2x2

RNG = np.random.default_rng(0)
ALL_DIFFERENT = (RNG.permutation(2 * 5 * 7 * 3) / 16.0).reshape(2, 5, 7, 3)
MANY_TIES = RNG.integers(0, 3, (2, 6, 8, 3)).astype(np.float64)


def pooled(function, images, dtype="float32", jit_compile=None):
    """The values, and the gradient for upstream gradients that all differ."""

    @tf.function(jit_compile=jit_compile, autograph=False)
    def both(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            values = function(images)
        upstream = tf.reshape(tf.range(1.0, tf.size(values, tf.int32) + 1), values.shape)
        return values, tape.gradient(values, images, tf.cast(upstream, values.dtype))

    return both(tf.constant(images, dtype))


@pytest.mark.parametrize("jit_compile", [None, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("images", [ALL_DIFFERENT, MANY_TIES], ids=["all different, odd sizes", "many ties"])
def test_equals_tensorflow(images, dtype, jit_compile):
    expected = pooled(keras.layers.MaxPooling2D(dtype=dtype), images, dtype)
    for found, wanted in zip(pooled(max_pool_2x2, images, dtype, jit_compile), expected, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(tf.cast(found, "float32"), tf.cast(wanted, "float32"))


def test_of_equal_elements_the_first_gets_the_gradient():
    images = np.array([[2, 2, 5, 6], [2, 2, 6, 6], [0, 1, 3, 3], [1, 1, 0, 3]], np.float32)[None, :, :, None]
    expected = [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(pooled(max_pool_2x2, images, jit_compile=True)[1][0, :, :, 0], expected)


def test_gradient_is_the_slope_where_nothing_ties(central_differences):
    def total(rows):
        images = rows.reshape(ALL_DIFFERENT.shape)
        batch, height, width, channels = images.shape
        places = itertools.product(range(batch), range(height // 2), range(width // 2), range(channels))
        windows = (images[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c] for b, i, j, c in places)
        return sum(weight * window.max() for weight, window in enumerate(windows, 1))

    slope = central_differences(total, ALL_DIFFERENT.reshape(2, -1)).reshape(ALL_DIFFERENT.shape)
    np.testing.assert_allclose(pooled(max_pool_2x2, ALL_DIFFERENT, jit_compile=True)[1], slope, rtol=1e-6, atol=1e-6)


def test_layer_leaves_the_fast_kernels_in_place_without_xla():
    def operations(jit_compile):
        function = tf.function(MaxPooling2x2(), jit_compile=jit_compile, autograph=False)
        graph = function.get_concrete_function(tf.TensorSpec([2, 4, 4, 1])).graph
        return {operation.type for operation in graph.get_operations()}

    assert "MaxPool" in operations(None)
    assert "MaxPool" not in operations(True)

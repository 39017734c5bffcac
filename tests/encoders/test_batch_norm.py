"""The fused batch norm is Keras' batch norm: the same outputs, gradients and moving statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.encoders.batch_norm import FusedBatchNormalization

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 4, 3, 6)).astype(np.float32)
UPSTREAM = np.random.default_rng(1).normal(size=IMAGES.shape).astype(np.float32)


def lives(layer, dtype="float32", steps=3):
    """What a layer gives in training and then in inference, its gradients, and what it remembers."""
    layer.build(IMAGES.shape)
    layer.gamma.assign(np.linspace(0.5, 2.0, 6))
    layer.beta.assign(np.linspace(-1.0, 1.0, 6))
    images = tf.constant(IMAGES.astype(dtype))
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) * UPSTREAM)
        gradients = tape.gradient(total, [images, *layer.trainable_variables])
    return [outputs, *gradients, layer.moving_mean, layer.moving_variance, layer(images, training=False)]


def test_equals_keras_in_outputs_gradients_and_moving_statistics():
    expected = lives(keras.layers.BatchNormalization(momentum=0.7))
    for found, wanted in zip(lives(FusedBatchNormalization(momentum=0.7)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_its_statistics_in_float32(policy):
    layer = FusedBatchNormalization(momentum=0.7, dtype=policy)
    *_, mean, variance, outputs = lives(layer, policy.removeprefix("mixed_"))
    reference = lives(keras.layers.BatchNormalization(momentum=0.7))
    assert outputs.dtype == policy.removeprefix("mixed_") and mean.dtype == "float32"
    np.testing.assert_allclose(mean, reference[-3], rtol=2e-2)
    np.testing.assert_allclose(variance, reference[-2], rtol=2e-2)


def test_frozen_layer_neither_moves_nor_uses_the_batch():
    layer = FusedBatchNormalization()
    layer.build(IMAGES.shape)
    layer.trainable = False
    np.testing.assert_allclose(layer(IMAGES, training=True), IMAGES / np.sqrt(1.001), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(6))

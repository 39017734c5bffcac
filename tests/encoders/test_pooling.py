"""The poolings against slow sums, also where logarithms and powers leave the range of numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.encoders.pooling import GeneralizedMean, pool

MAPS = np.random.default_rng(0).uniform(0.1, 3.0, (2, 3, 4, 5)).astype(np.float32)


def slow_generalized_mean(maps, power, floor=1e-6):
    """Float64, value by value."""
    maps = maps.astype(np.float64)
    pooled = np.zeros((maps.shape[0], maps.shape[-1]))
    for b, f in np.ndindex(*pooled.shape):
        values = maps[b, ..., f].ravel()
        pooled[b, f] = (sum(max(value, floor) ** power for value in values) / len(values)) ** (1 / power)
    return pooled


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("avg", lambda x: x.mean((1, 2))),
        ("max", lambda x: x.max((1, 2))),
        ("avg+max", lambda x: x.mean((1, 2)) + x.max((1, 2))),
        ("gem", lambda x: slow_generalized_mean(x, 3.0)),
    ],
)
def test_maps_and_tokens_are_pooled_alike(pooling, expected):
    for maps in (MAPS, MAPS.reshape(2, 12, 5)):
        inputs = keras.Input(maps.shape[1:])
        model = keras.Model(inputs, pool(inputs, pooling))
        assert model.output_shape == (None, 5)
        np.testing.assert_allclose(model(maps), expected(MAPS), rtol=1e-5)


def test_features_are_left_alone():
    features = keras.Input((5,))
    assert pool(features, "max") is features


@pytest.mark.parametrize("power", [1.5, 3.0, 7.0, 20.0])
def test_generalized_mean_of_any_power_stays_in_range(power):
    maps = MAPS * np.array([1e-5, 1e-3, 1.0, 1e3, 1e5], np.float32)
    layer = GeneralizedMean(power)
    np.testing.assert_allclose(layer(maps), slow_generalized_mean(maps, power), rtol=1e-4)


def test_gradients_are_those_of_the_formula(central_differences):
    layer = GeneralizedMean(2.5)
    layer(MAPS)
    upstream = np.random.default_rng(1).normal(size=(2, 5))
    with tf.GradientTape() as tape:
        maps = tf.constant(MAPS)
        tape.watch(maps)
        total = tf.reduce_sum(layer(maps) * upstream)
    found, found_raw = tape.gradient(total, [maps, layer.raw_power.value])
    slow = central_differences(
        lambda flat: (slow_generalized_mean(flat.reshape(MAPS.shape), 2.5) * upstream).sum(),
        MAPS.astype(np.float64).reshape(1, -1),
    )
    np.testing.assert_allclose(tf.reshape(found, [1, -1]), slow, rtol=1e-3, atol=1e-5)
    raw = np.array([[float(layer.raw_power)]])
    slow_raw = central_differences(
        lambda raw: (slow_generalized_mean(MAPS, 1 + np.log1p(np.exp(raw[0, 0]))) * upstream).sum(), raw
    )
    np.testing.assert_allclose(found_raw, slow_raw[0, 0], rtol=1e-3)


@pytest.mark.parametrize("maps", [np.zeros((2, 3, 4, 5), np.float32), -MAPS])
def test_gradient_is_finite_where_nothing_is_above_zero(maps):
    layer = GeneralizedMean()
    layer(maps)
    with tf.GradientTape() as tape:
        watched = tf.constant(maps)
        tape.watch(watched)
        total = tf.reduce_sum(layer(watched))
    for gradient in tape.gradient(total, [watched, layer.raw_power.value]):
        assert np.isfinite(gradient).all()


def test_half_precision_pools_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = GeneralizedMean(7.0)
        found = layer(tf.cast(MAPS * 100, tf.float16))
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, slow_generalized_mean(MAPS * 100, 7.0), rtol=2e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pool(keras.Input((2, 2, 3)), "mean"), "pooling must be one of avg, max, avg[+]max, gem; got 'mean'"),
        (lambda: pool(keras.Input((2, 2, 2, 3)), "avg"), r"features must be \[B, h, w, F\]"),
        (lambda: GeneralizedMean(1.0), "power must be above 1"),
    ],
)
def test_impossible_pooling_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Keras' layers as an augmentation: each image by its own random numbers, and layers that cannot do that refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.data import KerasAugmentation

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 12, 14, 3), np.uint8)
RANDOMS = np.random.default_rng(1).random((5, KerasAugmentation.num_randoms), np.float32)
LAYERS = {
    "brightness": lambda: keras.layers.RandomBrightness(0.5),
    "contrast": lambda: keras.layers.RandomContrast(0.5),
    "erasing": lambda: keras.layers.RandomErasing((1.0, 1.0)),
    "blur": lambda: keras.layers.RandomGaussianBlur((1.0, 1.0)),
    "rotation": lambda: keras.layers.RandomRotation(0.2),
    "translation": lambda: keras.layers.RandomTranslation(0.2, 0.2),
    "zoom": lambda: keras.layers.RandomZoom(0.3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_image_is_changed_by_its_own_random_numbers_alone(name):
    layer = LAYERS[name]()
    augment = KerasAugmentation([layer])
    found = augment(IMAGES, RANDOMS).numpy()
    assert np.abs(found - IMAGES).max() > 1 and found.min() >= 0 and found.max() <= 255
    layer(IMAGES.astype(np.float32))  # moves the layer's own state, which must not matter
    np.testing.assert_array_equal(augment(IMAGES[2:], RANDOMS[2:]), found[2:])
    np.testing.assert_array_equal(KerasAugmentation([LAYERS[name]()])(IMAGES, RANDOMS), found)
    np.testing.assert_allclose(tf.function(augment, autograph=False)(IMAGES, RANDOMS), found, atol=1e-2)


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_of_a_run_does_not_touch_them(name):
    found = KerasAugmentation([LAYERS[name]()])(IMAGES, RANDOMS)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = KerasAugmentation([LAYERS[name]()])(IMAGES, RANDOMS)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(half, found)


@pytest.mark.parametrize("name", LAYERS)
def test_equal_images_are_changed_in_different_ways(name):
    found = KerasAugmentation([LAYERS[name]()])(np.repeat(IMAGES[:1], 5, axis=0), RANDOMS).numpy()
    assert min(np.abs(found[i] - found[j]).max() for i in range(5) for j in range(i)) > 0.01


def test_each_draw_has_a_seed_of_its_own():
    """Of two equal layers one after the other the second draws anew, else all images would be turned twice or not."""
    flip = keras.layers.RandomFlip("horizontal")
    randoms = np.random.default_rng(2).random((64, 2), np.float32)
    images = np.repeat(IMAGES[:1], 64, axis=0)

    def share_flipped(*layers):
        return np.mean([not np.array_equal(one, IMAGES[0]) for one in KerasAugmentation(layers)(images, randoms)])

    assert 0.25 < share_flipped(flip) < 0.75
    assert 0.25 < share_flipped(flip, keras.layers.RandomFlip("horizontal")) < 0.75


def test_layers_work_one_after_the_other_and_may_change_the_size():
    found = KerasAugmentation([keras.layers.RandomCrop(8, 6), keras.layers.RandomInvert((1.0, 1.0))])(IMAGES, RANDOMS)
    assert found.shape == (5, 8, 6, 3)
    for one, image in zip(found.numpy(), IMAGES, strict=True):
        crops = [image[i : i + 8, j : j + 6] for i in range(5) for j in range(9)]
        assert sum(np.abs(255.0 - crop - one).max() < 1e-3 for crop in crops) == 1


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda: [], "layers must name at least one layer"),
        (lambda: [keras.layers.Dense(3)], r"layers\.0 must be a preprocessing layer for images, .*; got Dense"),
        (
            lambda: [keras.layers.RandomFlip(), keras.layers.RandAugment()],
            r"layers\.1 \(RandAugment\) draws from",
        ),
        (lambda: [keras.layers.MixUp()], r"layers\.0 \(MixUp\) mixes the images of a batch"),
        (
            lambda: [keras.layers.RandomColorJitter(hue_factor=0.2)],
            r"layers\.0 \(RandomColorJitter\) draws from",
        ),
        (lambda: [keras.layers.AugMix()], r"layers\.0 \(AugMix\) draws from a state of its own"),
    ],
)
def test_layers_that_cannot_be_made_stateless_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        KerasAugmentation(layers())

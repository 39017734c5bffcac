"""Augmentation changes images by their random numbers alone, and by nothing when it is turned off."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.data import DrawingAugmentation, TokenSampling
from metric_learning.data.augmentation import sample_by_gathers, sample_by_kernel

OFF = dict.fromkeys((field.name for field in dataclasses.fields(DrawingAugmentation)), 0.0)


@pytest.fixture
def images():
    """A colored square, off the center, on white; twice."""
    image = np.full((2, 16, 16, 3), 255, np.uint8)
    image[:, 4:10, 6:12] = (200, 30, 90)
    return image


@pytest.fixture
def randoms():
    return np.random.default_rng(1).random((2, DrawingAugmentation.num_randoms), np.float32)


def test_nothing_changes_when_everything_is_off(images, randoms):
    np.testing.assert_allclose(DrawingAugmentation(**OFF)(images, randoms), images, atol=1e-2)


@pytest.mark.parametrize("name", OFF)
def test_each_setting_changes_the_images(images, randoms, name):
    changed = DrawingAugmentation(**OFF | {name: 1.0})(images, randoms)
    assert np.abs(changed - images).max() > 1


def test_images_are_changed_by_their_own_random_numbers_alone(images, randoms):
    augment = DrawingAugmentation()
    both = augment(images, randoms).numpy()
    np.testing.assert_allclose(augment(images[1:], randoms[1:]), both[1:], atol=1e-3)
    assert np.abs(both[0] - both[1]).max() > 1


def test_white_stays_white_and_values_stay_in_range(randoms):
    white = np.full((2, 16, 16, 3), 255, np.uint8)
    np.testing.assert_allclose(DrawingAugmentation(outline=0, silhouette=0)(white, randoms), white, atol=1e-3)
    noise = np.random.default_rng(2).integers(0, 256, (2, 16, 16, 3), np.uint8)
    changed = DrawingAugmentation(color=2.0, contrast=1.0)(noise, randoms).numpy()
    assert changed.min() >= 0 and changed.max() <= 255.001


def test_shift_moves_the_square_by_whole_pixels(images):
    randoms = np.full((2, DrawingAugmentation.num_randoms), 0.5, np.float32)
    randoms[:, 18] = 1.0  # shift of +3 columns in the source: the square goes left
    moved = DrawingAugmentation(**OFF | {"shift": 3.0})(images, randoms).numpy()
    np.testing.assert_allclose(moved[:, :, :13], images[:, :, 3:], atol=1e-2)


@pytest.fixture
def maps():
    """Affine maps [9, 6]: the identity, whole and half pixels, and seven at random, some of which leave the image."""
    rng = np.random.default_rng(3)
    linear = np.eye(2)[None] + rng.normal(scale=0.5, size=(9, 2, 2))
    offset = rng.normal(scale=6.0, size=(9, 2, 1))
    linear[:2], offset[0], offset[1] = np.eye(2), 0.0, [[3.0], [-0.5]]
    return np.concatenate([linear, offset], axis=2).reshape(9, 6).astype(np.float32)


@pytest.fixture
def noise():
    """[9, 7, 5, 2] random values, higher than wide."""
    return np.random.default_rng(4).random((9, 7, 5, 2), np.float32)


def sampled_one_by_one(images, maps):
    """Bilinear sampling in float64, a value at a time."""
    _, height, width, _ = images.shape
    out = np.zeros(images.shape)
    for n, row, column in np.ndindex(images.shape[:3]):
        a, b, x, c, d, y = maps[n].astype(np.float64)
        x, y = a * column + b * row + x, c * column + d * row + y
        for i in (int(np.floor(y)), int(np.floor(y)) + 1):
            for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= i < height and 0 <= j < width:
                    out[n, row, column] += (1 - abs(y - i)) * (1 - abs(x - j)) * images[n, i, j]
    return out


@pytest.mark.parametrize("sample", [sample_by_kernel, sample_by_gathers])
@pytest.mark.parametrize("jit_compile", [None, True])
def test_sampling_is_bilinear_and_zero_beyond_the_border(noise, maps, sample, jit_compile):
    if sample is sample_by_gathers:
        sample = tf.function(sample, jit_compile=jit_compile)
    np.testing.assert_allclose(sample(noise, maps), sampled_one_by_one(noise, maps), atol=1e-5)


@pytest.mark.parametrize("reflect", [False, True])
def test_sampling_by_gathers_is_the_kernel_bit_for_bit_or_nearly_in_a_mirror(noise, maps, reflect):
    found = [sample(noise, maps, reflect=reflect).numpy() for sample in (sample_by_gathers, sample_by_kernel)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-6 if reflect else 0)  # mirrored in another order of sums


def test_compiled_by_xla_the_images_are_the_same(images):
    randoms = np.random.default_rng(5).random((64, DrawingAugmentation.num_randoms), np.float32)
    augment, images = DrawingAugmentation(), np.repeat(images, 32, axis=0)
    compiled = tf.function(augment, jit_compile=True)(images, randoms)
    np.testing.assert_allclose(compiled, augment(images, randoms), atol=0.02)


def test_compiled_by_xla_the_tokens_are_the_same():
    rng = np.random.default_rng(6)
    ids = rng.integers(1, 9, (64, 20)) * (np.arange(20) < rng.integers(0, 21, (64, 1)))
    augment = TokenSampling(window=8)
    randoms = rng.random((64, augment.num_randoms), np.float32)
    np.testing.assert_array_equal(tf.function(augment, jit_compile=True)(ids, randoms), augment(ids, randoms))


def test_gray_images_of_one_channel_work(randoms):
    gray = np.full((2, 8, 8, 1), 100, np.uint8)
    assert tf.function(DrawingAugmentation())(gray, randoms).shape == gray.shape


@pytest.mark.parametrize("wrong", [{"shift": -1.0}, {"outline": 0.6, "silhouette": 0.6}, {"gray": 1.5}])
def test_impossible_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=f"augmentation.{next(iter(wrong))}"):
        DrawingAugmentation(**wrong)

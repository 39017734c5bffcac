"""Crops, flips and light against slow pixels, by the random numbers of each image alone."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.data import PhotoAugmentation

AMOUNTS = ("aspect", "flip", "brightness", "contrast", "saturation", "erase", "rotation", "gray", "blur")
OFF = {"area": 1.0, **dict.fromkeys(AMOUNTS, 0.0)}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 3), np.uint8)


@pytest.fixture
def randoms():
    return np.random.default_rng(1).random((3, 17), np.float32)


def slow_line(values, start, length, out_size):
    """Float64, pixel by pixel: values [n, ...] of a line, resampled bilinearly, or over the width of a pixel."""
    step = length / out_size
    reach = max(step, 1.0)
    out = []
    for i in range(out_size):
        center = start + (i + 0.5) * step
        weights = [max(1 - abs(center - (k + 0.5)) / reach, 0.0) for k in range(len(values))]
        out.append(sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights))
    return np.stack(out)


def slow_crop(image, randoms, size, area, aspect, flip):
    height, width, _ = image.shape
    share, stretch = area + (1 - area) * randoms[0], np.exp(aspect * (randoms[1] - 0.5))
    high, wide = min(np.sqrt(share) / stretch, 1.0) * height, min(np.sqrt(share) * stretch, 1.0) * width
    cropped = slow_line(image.astype(np.float64), randoms[2] * (height - high), high, size[0])
    cropped = slow_line(cropped.swapaxes(0, 1), randoms[3] * (width - wide), wide, size[1]).swapaxes(0, 1)
    return cropped[:, ::-1] if randoms[4] < flip else cropped


def test_nothing_changes_when_everything_is_off(randoms):
    np.testing.assert_allclose(PhotoAugmentation(**OFF)(IMAGES, randoms), IMAGES, atol=1e-3)


@pytest.mark.parametrize("size", [(10, 12), (7, 5), (20, 30)])
def test_crops_are_those_of_slow_pixels(randoms, size):
    options = {"area": 0.3, "aspect": 0.5, "flip": 0.5}
    found = PhotoAugmentation(**OFF | options, size=size)(IMAGES, randoms)
    assert found.shape == (3, *size, 3)
    for one, image, own in zip(found, IMAGES, randoms.astype(np.float64), strict=True):
        np.testing.assert_allclose(one, slow_crop(image, own, size, **options), atol=0.05)


def test_light_is_that_of_slow_pixels(randoms):
    found = PhotoAugmentation(**OFF | {"brightness": 0.5, "contrast": 0.4, "saturation": 0.8})(IMAGES, randoms)
    for one, image, own in zip(found, IMAGES.astype(np.float64), randoms.astype(np.float64), strict=True):
        b, c, s = (1 + amount * (2 * own[5 + i] - 1) for i, amount in enumerate((0.5, 0.4, 0.8)))
        gray = image.mean(-1, keepdims=True)
        colored = gray + s * (image - gray)
        expected = b * (image.mean() + c * (colored - image.mean()))
        np.testing.assert_allclose(one, expected.clip(0, 255), atol=0.05)


def test_flip_mirrors_and_erasing_grays_a_rectangle(randoms):
    np.testing.assert_allclose(PhotoAugmentation(**OFF | {"flip": 1.0})(IMAGES, randoms), IMAGES[:, :, ::-1], atol=1e-3)
    erased = PhotoAugmentation(**OFF | {"erase": 1.0})(IMAGES, randoms).numpy()
    for one, image in zip(erased, IMAGES, strict=True):
        changed = np.abs(one - image).max(-1) > 0.01
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert 1 <= len(rows) <= 4 and 1 <= len(columns) <= 5
        assert (one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 127.5).all()


def slow_rotation(image, degrees):
    """Float64, pixel by pixel: each taken from where it was before the turn about the center, beyond it a mirror."""
    height, width, _ = image.shape
    angle, (y0, x0) = np.deg2rad(degrees), ((height - 1) / 2, (width - 1) / 2)

    def inside(place, size):  # d c b a | a b c d | d c b a
        while not -0.5 <= place <= size - 0.5:
            place = -1 - place if place < 0 else 2 * size - 1 - place
        return min(max(place, 0), size - 1)

    out = np.zeros(image.shape)
    for row, column in np.ndindex(height, width):
        x, y = column - x0, row - y0
        x, y = np.cos(angle) * x - np.sin(angle) * y + x0, np.sin(angle) * x + np.cos(angle) * y + y0
        x, y = inside(x, width), inside(y, height)
        for i, j in np.ndindex(height, width):
            out[row, column] += max(1 - abs(y - i), 0) * max(1 - abs(x - j), 0) * image[i, j]
    return out


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("degrees", [10.0, 180.0])
def test_rotation_is_that_of_slow_pixels(randoms, degrees, compiled):
    augment = PhotoAugmentation(**OFF | {"rotation": degrees})
    found = tf.function(augment, jit_compile=compiled)(IMAGES, randoms)
    for one, image, own in zip(found, IMAGES.astype(np.float64), randoms.astype(np.float64), strict=True):
        np.testing.assert_allclose(one, slow_rotation(image, degrees * (2 * own[13] - 1)), atol=0.05)


def test_blur_is_that_of_slow_pixels(randoms):
    found = PhotoAugmentation(**OFF | {"blur": 0.7})(IMAGES, randoms)
    places = np.arange(12.0)
    for one, image, own in zip(found, IMAGES.astype(np.float64), randoms.astype(np.float64), strict=True):
        deviation = own[16] if own[15] < 0.7 else 1e-3
        expected = np.zeros(image.shape)
        for row, column in np.ndindex(image.shape[:2]):
            down, across = (np.exp(-0.5 * ((places - at) / deviation) ** 2) for at in (row, column))
            weights = np.outer(down[:10], across)
            expected[row, column] = np.einsum("hw,hwc->c", weights / weights.sum(), image)
        np.testing.assert_allclose(one, expected, atol=0.05)
    assert {own < 0.7 for own in randoms[:, 15]} == {True, False}


def test_gray_images_have_no_color_left(randoms):
    found = PhotoAugmentation(**OFF | {"gray": 0.5})(IMAGES, randoms).numpy()
    gray = IMAGES.mean(-1, keepdims=True) + np.zeros(3)
    expected = np.where((randoms[:, 14] < 0.5)[:, None, None, None], gray, IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert {own < 0.5 for own in randoms[:, 14]} == {True, False}


def test_what_is_not_asked_for_takes_no_random_numbers():
    assert PhotoAugmentation().num_randoms == 13  # those that earlier runs drew, so that they are the same again
    assert all(PhotoAugmentation(**{name: 0.5}).num_randoms == 17 for name in ("rotation", "gray", "blur"))


def test_images_are_changed_by_their_own_random_numbers_alone(randoms):
    augment = PhotoAugmentation(erase=0.5, rotation=20.0, gray=0.5, blur=0.5)
    both = augment(IMAGES, randoms).numpy()
    np.testing.assert_allclose(augment(IMAGES[1:], randoms[1:]), both[1:], atol=1e-3)
    assert both.min() >= 0 and both.max() <= 255


def test_xla_makes_the_same_of_it(randoms):
    augment = PhotoAugmentation(size=(8, 8), erase=0.5, rotation=20.0, gray=0.5, blur=0.5)
    compiled = tf.function(augment, jit_compile=True)
    np.testing.assert_allclose(compiled(IMAGES, randoms), augment(IMAGES, randoms), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (8,)}, r"augmentation.size must be \(height, width\), or null"),
        ({"area": 0.0}, "augmentation.area must be above 0"),
        ({"aspect": -1.0}, "augmentation.aspect must be at least 0"),
        ({"flip": 2.0}, "augmentation.flip is a share"),
        ({"blur": 2.0}, "augmentation.blur is a share"),
        ({"rotation": -1.0}, "augmentation.rotation must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PhotoAugmentation(**options)

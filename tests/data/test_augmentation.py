"""Augmentation changes images by their random numbers alone, and by nothing when it is turned off."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.data import DrawingAugmentation

OFF = dict.fromkeys((field.name for field in dataclasses.fields(DrawingAugmentation)), 0.0)


@pytest.fixture
def images():
    """A coloured square, off the centre, on white; twice."""
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
    changed = DrawingAugmentation(colour=2.0, contrast=1.0)(noise, randoms).numpy()
    assert changed.min() >= 0 and changed.max() <= 255.001


def test_shift_moves_the_square_by_whole_pixels(images):
    randoms = np.full((2, DrawingAugmentation.num_randoms), 0.5, np.float32)
    randoms[:, 18] = 1.0  # shift of +3 columns in the source: the square goes left
    moved = DrawingAugmentation(**OFF | {"shift": 3.0})(images, randoms).numpy()
    np.testing.assert_allclose(moved[:, :, :13], images[:, :, 3:], atol=1e-2)


def test_grey_images_of_one_channel_work(randoms):
    grey = np.full((2, 8, 8, 1), 100, np.uint8)
    assert tf.function(DrawingAugmentation())(grey, randoms).shape == grey.shape


@pytest.mark.parametrize("wrong", [{"shift": -1.0}, {"outline": 0.6, "silhouette": 0.6}, {"grey": 1.5}])
def test_impossible_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=f"augmentation.{next(iter(wrong))}"):
        DrawingAugmentation(**wrong)

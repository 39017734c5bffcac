"""An encoder that is judged on the middle of images that are larger than the crops it learns from."""

import pathlib

import hydra
import keras
import numpy as np
import pytest
import tensorflow as tf

import train
from metric_learning import encoders
from metric_learning.encoders.center_crop import CenterCrop

CONF = pathlib.Path(__file__).parents[2] / "conf"


def backbone(path):
    keras.utils.set_random_seed(0)
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255.0)(images)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    keras.Model(images, x).save(path)
    return str(path)


@pytest.mark.parametrize(("height", "width", "size"), [(7, 9, 4), (8, 8, 5), (5, 6, 5)])
def test_takes_the_middle_pixels(height, width, size):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    top, left = (height - size) // 2, (width - size) // 2
    expected = images[:, top : top + size, left : left + size]
    layer = CenterCrop(size)
    np.testing.assert_array_equal(layer(images), expected)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    np.testing.assert_array_equal(unknown(images), expected)


def test_an_encoder_gives_of_an_image_what_it_gives_of_its_middle_also_when_saved(tmp_path):
    path = backbone(tmp_path / "b.keras")
    encoder = encoders.pretrained((10, 12, 3), backbone=path, crop=8, embedding_dim=3)
    images = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 3)).astype(np.uint8)
    found = encoder(images).numpy()
    np.testing.assert_array_equal(found, encoder(images[:, 1:9, 2:10]))
    images[:, 0], images[:, :, :2] = 0, 0
    np.testing.assert_array_equal(found, encoder(images))
    encoder.save(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(found, keras.models.load_model(tmp_path / "encoder.keras")(images))
    whole = encoders.pretrained((10, 12, 3), backbone=path, embedding_dim=3)
    assert [layer.name for layer in whole.layers].count("center_crop") == 0
    with pytest.raises(ValueError, match="encoder.crop must be at most the images, 10 pixels; got 11"):
        encoders.pretrained((10, 12, 3), backbone=path, crop=11)


def test_training_sees_crops_and_judging_the_middle(small_run, without_report, tmp_path, monkeypatch):
    path = backbone(tmp_path / "b.keras")
    seen = set()
    call = CenterCrop.call

    def watch(self, images):
        seen.add(tuple(images.shape[1:3]))
        return call(self, images)

    monkeypatch.setattr(CenterCrop, "call", watch)
    words = ["encoder=pretrained", f"encoder.backbone={path}", "encoder.crop=6", "encoder.train=all", "steps=4"]
    words += ["augmentation=photo", "augmentation.size=[6,6]"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("config", [word for word in small_run if not word.startswith("encoder.widths")] + words)
    train.experiment(cfg, tmp_path / "run", resume=False)
    assert seen == {(6, 6), (8, 8)}  # in training, in judging


def test_images_smaller_than_the_crop_are_refused():
    with pytest.raises(ValueError, match="images must be at least as large as encoder.crop=8, .* got 8 x 6"):
        CenterCrop(8)(np.zeros((1, 8, 6, 3), np.uint8))

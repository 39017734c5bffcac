"""The encoder that a run has left is taken up as it was, or refused in one line."""

import keras
import numpy as np
import pytest

from metric_learning import encoders
from metric_learning.encoders.backbone import backbone_of
from metric_learning.penalties import ZeroMean, penalized

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


@pytest.fixture
def run(tmp_path):
    """`run(encoder)`: the folder of a run that left it."""

    def save(encoder):
        encoder.save(tmp_path / "encoder.keras")
        return tmp_path

    return save


def small_cnn():
    return encoders.cnn((16, 16, 3), widths=(4,), embedding_dim=5)


def on_a_backbone(folder, **options):
    images = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(images))
    keras.Model(images, keras.layers.Conv2D(6, 3, strides=2)(x)).save(folder / "backbone.keras")
    return encoders.pretrained((16, 16, 3), backbone=folder / "backbone.keras", embedding_dim=5, **options)


def test_it_gives_the_same_embeddings_from_the_folder_or_the_file(run):
    encoder = small_cnn()
    folder = run(encoder)
    for path in (folder, folder / "encoder.keras"):
        np.testing.assert_array_equal(encoders.saved((16, 16, 3), path=path)(IMAGES), encoder(IMAGES))


def test_what_was_frozen_trains_again_unless_told_otherwise(run, tmp_path):
    folder = run(on_a_backbone(tmp_path, train="head"))
    assert len(encoders.saved((16, 16, 3), path=folder, train_norms=True).trainable_variables) == 2 + 4 + 2
    for train, expected in (("head", 2), ("top:1", 4), ("all", 6)):
        again = encoders.saved((16, 16, 3), path=folder, train=train)
        assert len(again.trainable_variables) == expected
        assert backbone_of(again).trainable == (train != "head")


def test_a_penalty_stays_with_its_run(run):
    encoder = penalized(small_cnn(), ZeroMean())
    again = encoders.saved((16, 16, 3), path=run(encoder))
    np.testing.assert_array_equal(again(IMAGES), encoder(IMAGES))
    encoder(IMAGES), again(IMAGES)
    assert len(encoder.losses) == 1 and not again.losses


def no_encoder():
    images = keras.Input((16, 16, 3))
    return keras.Model(images, keras.layers.Conv2D(4, 3)(images))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (small_cnn, {"input_shape": (8, 8, 3)}, r"takes inputs of shape \(16, 16, 3\); the data has \(8, 8, 3\)"),
        (small_cnn, {"input_shape": (16,)}, r"takes inputs of shape \(16, 16, 3\); the data has \(16,\)"),
        (small_cnn, {"train": "head"}, "train must be all, as .* has no backbone; got 'head'"),
        (small_cnn, {"vocabulary_size": 9}, "texts have another vocabulary in each run"),
        (small_cnn, {"column_sizes": (9, 4)}, "the cells of columns have other ids in each run"),
        (no_encoder, {}, "is no encoder, from inputs to embeddings"),
    ],
)
def test_what_does_not_fit_is_refused(run, make, options, message):
    with pytest.raises(ValueError, match=message):
        encoders.saved(**{"input_shape": (16, 16, 3), "path": run(make())} | options)


def test_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="encoder.path must be a .keras file; there is none at .*encoder.keras"):
        encoders.saved((16, 16, 3), path=tmp_path)

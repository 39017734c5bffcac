"""Image backbones of KerasHub in encoder=pretrained: a tiny ResNet of random weights, made here."""

import keras
import numpy as np
import pytest

from metric_learning import encoders

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def preset(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    keras.utils.set_random_seed(0)
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 72],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone.save_to_preset(str(folder))
    scaling = {"scale": [0.01, 0.02, 0.03], "offset": [-1.0, 0.0, 0.5]}
    hub.layers.ResNetImageConverter(**scaling, image_size=(64, 64)).save_to_preset(str(folder))
    return folder


@pytest.mark.parametrize("any_size", [False, True])
def test_embeddings_are_the_pooled_features_of_scaled_images(hub, preset, any_size):
    options = {"backbone": str(preset), "embedding_dim": None, "normalize": False, "any_size": any_size}
    encoder = encoders.pretrained((32, 32, 3), **options)
    scaled = IMAGES.astype(np.float32) * [0.01, 0.02, 0.03] + [-1.0, 0.0, 0.5]
    features = hub.models.Backbone.from_preset(str(preset))(scaled).numpy()
    np.testing.assert_allclose(encoder(IMAGES), features.mean(axis=(1, 2)), atol=1e-5)


def test_its_last_stage_trains_alone_and_it_is_saved_whole(preset, tmp_path):
    encoder = encoders.pretrained((32, 32, 3), backbone=str(preset), train="top:1", embedding_dim=5)
    assert 0 < len(encoder.trainable_variables) < len(encoder.variables)
    encoder.save(tmp_path / "encoder.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "encoder.keras")(IMAGES), encoder(IMAGES), atol=1e-6)
    with pytest.raises(ValueError, match="train=top:N must have N from 1 to"):
        encoders.pretrained((32, 32, 3), backbone=str(preset), train="top:9")


def test_fresh_weights_and_wrong_ones(preset):
    fresh = encoders.pretrained((32, 32, 3), backbone=str(preset), weights=None, embedding_dim=None)
    own = encoders.pretrained((32, 32, 3), backbone=str(preset), embedding_dim=None)
    assert np.abs(fresh(IMAGES) - own(IMAGES)).max() > 1e-3
    with pytest.raises(ValueError, match="encoder.weights of a preset must be imagenet, for its own, or null"):
        encoders.pretrained((32, 32, 3), backbone=str(preset), weights="other.h5")


def test_a_folder_without_a_preset_is_refused(hub, tmp_path):
    with pytest.raises(ValueError, match=r"encoder\.backbone=.* cannot be loaded by KerasHub"):
        encoders.pretrained((32, 32, 3), backbone=str(tmp_path))

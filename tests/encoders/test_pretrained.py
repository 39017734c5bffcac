"""Pretrained encoders scale pixels as their backbone was taught to, train what they are told to, and say what fails."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from metric_learning import encoders
from metric_learning.encoders.backbone import Backbone, backbone_of, stages
from metric_learning.encoders.pretrained import families

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SCALINGS = {
    "none": lambda x: x,
    "minus one to one": lambda x: x / 127.5 - 1.0,
    "standard": lambda x: (x / 255.0 - MEAN) / DEVIATION,
    "bgr": lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68]),
}
SCALING_OF_FAMILY = {
    "convnext": "none",
    "densenet": "standard",
    "efficientnet": "none",
    "efficientnet_v2": "none",
    "inception_resnet_v2": "minus one to one",
    "inception_v3": "minus one to one",
    "mobilenet": "minus one to one",
    "mobilenet_v2": "minus one to one",
    "mobilenet_v3": "none",
    "nasnet": "minus one to one",
    "resnet": "bgr",
    "resnet50": "bgr",
    "resnet_v2": "minus one to one",
    "vgg16": "bgr",
    "vgg19": "bgr",
    "xception": "minus one to one",
}


def small_backbone(size=None, channels=3):
    """Three stages, at a half, a quarter and an eighth, with a norm and a dropout."""
    x = images = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 255.0)(x)
    for width in (4, 6, 8):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", name=f"conv{width}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{width}")(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(images, keras.layers.Dropout(0.5)(x))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small backbone on disk, whose norms have seen data."""
    keras.utils.set_random_seed(0)
    model = small_backbone()
    for _ in range(5):
        model(IMAGES.astype(np.float32), training=True)
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    model.save(path)
    return path


def build(file, **options):
    return encoders.pretrained((16, 16, 3), **{"backbone": str(file), "embedding_dim": 5} | options)


@pytest.mark.parametrize("family", SCALING_OF_FAMILY)
def test_pixels_are_scaled_as_the_family_was_taught(family):
    plain = keras.Input((16, 16, 3))
    layer = Backbone(keras.Model(plain, keras.layers.Identity()(plain)), family)
    pixels = IMAGES.astype(np.float64)
    np.testing.assert_allclose(layer(IMAGES), SCALINGS[SCALING_OF_FAMILY[family]](pixels), atol=1e-4)
    theirs = getattr(keras.applications, family).preprocess_input(IMAGES.astype(np.float32))
    np.testing.assert_allclose(layer(IMAGES), theirs, atol=1e-4)


def test_every_model_of_keras_applications_has_its_family():
    found = families()
    # ResNet50 is in two modules.
    assert set(found.values()) == set(SCALING_OF_FAMILY) - {"resnet50"} and len(found) >= 38
    expected = {"ResNet50": "resnet", "ResNet50V2": "resnet_v2", "EfficientNetV2B0": "efficientnet_v2"}
    expected |= {"MobileNetV2": "mobilenet_v2", "MobileNetV3Small": "mobilenet_v3", "NASNetMobile": "nasnet"}
    assert {name: found[name] for name in expected} == expected


def test_half_precision_scales_pixels_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        plain = keras.Input((16, 16, 3), dtype="float32")
        layer = Backbone(keras.Model(plain, keras.layers.Identity(dtype="float32")(plain)), "densenet")
        np.testing.assert_allclose(layer(IMAGES), SCALINGS["standard"](IMAGES.astype(np.float64)), atol=1e-5)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_name_gives_the_model_without_its_top(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    encoder = encoders.pretrained((32, 32, 3), backbone="mobilenet_v2", weights=None, embedding_dim=None)
    theirs = backbone_of(encoder).model
    assert theirs.output_shape == (None, 1, 1, 1280)
    features = theirs(images / 127.5 - 1.0).numpy().mean((1, 2))
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(images), expected, atol=1e-5)

    theirs.save_weights(tmp_path / "mobile.weights.h5")
    again = encoders.pretrained(
        (32, 32, 3), backbone="MobileNetV2", weights=str(tmp_path / "mobile.weights.h5"), embedding_dim=None
    )
    np.testing.assert_allclose(again(images), expected, atol=1e-5)

    def get_file(*arguments, **options):
        raise Exception("URL fetch failure on https://example.org/m.h5: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(ValueError, match=r"cannot be fetched .*example.org/m.h5.* encoder.weights=PATH$"):
        encoders.pretrained((32, 32, 3), backbone="MobileNetV2")


def test_images_of_any_dtype_are_seen_alike(file):
    encoder = build(file)
    np.testing.assert_allclose(encoder(IMAGES), encoder(IMAGES.astype(np.float32)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(encoder(IMAGES), axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max", "gem"])
def test_without_a_dense_layer_the_pooled_features_are_the_embeddings(file, pooling):
    encoder = build(file, embedding_dim=None, pooling=pooling, normalize=False)
    assert encoder.output_shape == (None, 8)
    maps = keras.models.load_model(file)(IMAGES.astype(np.float32)).numpy()
    expected = {
        "avg": maps.mean((1, 2)),
        "max": maps.max((1, 2)),
        "avg+max": maps.mean((1, 2)) + maps.max((1, 2)),
        "gem": np.cbrt((np.maximum(maps, 1e-6) ** 3).mean((1, 2))),
    }
    np.testing.assert_allclose(encoder(IMAGES), expected[pooling], rtol=1e-4, atol=1e-6)


def test_head_begins_without_changing_distances(file):
    bare, same = (build(file, embedding_dim=dim, normalize=False)(IMAGES).numpy() for dim in (None, 8))
    np.testing.assert_allclose(same @ same.T, bare @ bare.T, rtol=1e-4)
    assert np.abs(same - bare).max() > 1e-3


def test_images_of_any_size_are_taken_if_asked_for(file):
    fixed, free = build(file), build(file, any_size=True, train="top:1")
    free.set_weights(fixed.get_weights())
    np.testing.assert_allclose(free(IMAGES), fixed(IMAGES), atol=1e-6)
    assert free(np.zeros((2, 24, 40, 3))).shape == (2, 5) and len(free.trainable_variables) == 4
    with pytest.raises(ValueError, match="shape"):
        fixed(np.zeros((2, 24, 40, 3)))


def test_stages_are_the_resolutions(file):
    names = [[layer.name for layer in stage] for stage in stages(keras.models.load_model(file), (16, 16, 3))]
    assert names == [["conv4", "norm4"], ["conv6", "norm6"], ["conv8", "norm8"]]


def test_where_all_is_of_one_resolution_each_layer_is_a_stage_with_its_norm():
    x = images = keras.Input((8, 8, 3))
    for name in ("one", "two"):
        x = keras.layers.Conv2D(4, 3, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    names = [[layer.name for layer in stage] for stage in stages(keras.Model(images, x), (8, 8, 3))]
    assert names == [["one", "one_norm"], ["two", "two_norm"]]


@pytest.mark.parametrize("train_norms", [True, False])
@pytest.mark.parametrize(
    ("train", "trained"),
    [
        ("head", set()),
        ("top:1", {"conv8", "norm8"}),
        ("top:2", {"conv8", "norm8", "conv6", "norm6"}),
        ("top:3", {"conv8", "norm8", "conv6", "norm6", "conv4", "norm4"}),
        ("all", {"conv8", "norm8", "conv6", "norm6", "conv4", "norm4"}),
    ],
)
def test_only_what_is_to_train_moves_and_frozen_norms_stand_still(file, train, trained, train_norms):
    encoder = build(file, train=train, train_norms=train_norms, dropout=0.1)
    if not train_norms:
        trained = {name for name in trained if name.startswith("conv")}
    model = backbone_of(encoder).model
    before = {layer.name: [np.array(weight) for weight in layer.weights] for layer in model.layers}
    encoder.compile(keras.optimizers.SGD(0.1), loss="mse")
    encoder.fit(IMAGES, np.ones((3, 5)), verbose=0)
    for layer in model.layers:
        for weight, old in zip(layer.weights, before[layer.name], strict=True):
            assert (np.array(weight) != old).any() == (layer.name in trained), weight.path
    # The dense layer's kernel and bias, and of each convolution and norm two.
    assert len(encoder.trainable_variables) == 2 + 2 * len(trained)


def test_frozen_backbone_runs_as_in_inference(file):
    frozen, live = build(file, train="head"), build(file, train="all", train_norms=True)
    live.set_weights(frozen.get_weights())
    np.testing.assert_array_equal(frozen(IMAGES, training=True), frozen(IMAGES, training=False))
    assert np.abs(live(IMAGES, training=True) - live(IMAGES, training=False)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["gem", "avg+max"])
def test_saved_encoder_is_whole_in_a_fresh_process(file, tmp_path, pooling):
    encoder = build(file, train="top:1", pooling=pooling, batch_norm=True)
    encoder.save(tmp_path / "encoder.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    program = (
        "import sys, metric_learning, keras, numpy as np\n"
        "encoder = keras.models.load_model(sys.argv[1] + '/encoder.keras')\n"
        "np.save(sys.argv[1] + '/embeddings.npy', encoder(np.load(sys.argv[1] + '/images.npy')))\n"
        "print(len(encoder.trainable_variables))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), encoder(IMAGES))
    assert int(done.stdout) == len(encoder.trainable_variables)


def test_file_that_would_run_code_is_not_loaded(tmp_path):
    images = keras.Input((16, 16, 3))
    keras.Model(images, keras.layers.Lambda(lambda x: x * 2.0)(images)).save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="cannot be loaded as a Keras model, safely: .*[Ll]ambda"):
        build(tmp_path / "code.keras")


def saved(folder, model):
    model.save(folder / "model.keras")
    return folder / "model.keras"


def two_inputs():
    one, other = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    return keras.Model([one, other], keras.layers.Add()([one, other]))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (None, {"backbone": "resnet51"}, "encoder.backbone must be .* one of ConvNeXtBase, .*; got 'resnet51'"),
        (None, {"backbone": "none.keras"}, "encoder.backbone must be a .keras file; there is none at none.keras"),
        (None, {"backbone": "VGG16", "weights": "none.h5"}, "encoder.weights must be imagenet, null or the path"),
        (None, {"backbone": "MobileNetV2", "weights": None}, "MobileNetV2 needs images of at least 32x32 pixels"),
        (None, {"weights": None}, "encoder.weights=null is for names"),
        (None, {"weights": "none.weights.h5"}, "cannot take weights=none.weights.h5"),
        (None, {"train": "top:4"}, "train=top:N must have N from 1 to 3"),
        (None, {"train": "tail"}, "train must be head, all, or top:N .*; got 'tail'"),
        (None, {"pooling": "mean"}, "encoder.pooling must be one of avg, max, avg[+]max, gem; got 'mean'"),
        (None, {"dropout": 1.0}, r"dropout must be in \[0, 1\); got 1.0"),
        (None, {"vocabulary_size": 9}, "encoder=pretrained takes images"),
        (lambda: small_backbone(size=32), {}, r"takes images of .* = \(32, 32, 3\); got \(16, 16, 3\)"),
        (lambda: small_backbone(channels=1), {}, r"takes images of .* = \(any, any, 1\); got \(16, 16, 3\)"),
        (lambda: small_backbone(size=16), {"any_size": True}, r"= \(16, 16, 3\); got \(any, any, 3\)"),
        (two_inputs, {}, "must take images .* and nothing else"),
    ],
)
def test_impossible_encoder_is_refused_in_one_line(file, tmp_path, make, options, message):
    with pytest.raises(ValueError, match=message) as refused:
        build(saved(tmp_path, make()) if make else file, **options)
    assert "\n" not in str(refused.value)


def test_damaged_file_is_refused_in_one_line(file, tmp_path):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ValueError, match="broken.keras cannot be loaded as a Keras model") as refused:
        build(broken)
    assert "\n" not in str(refused.value)

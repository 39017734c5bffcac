"""Encoders on a backbone that others have trained: of keras.applications, of KerasHub, or in a `.keras` file."""

import contextlib
import pathlib
import socket
import warnings
from collections.abc import Sequence

import keras

from metric_learning.encoders.backbone import BACKBONE, Backbone, set_trained_part
from metric_learning.encoders.center_crop import CenterCrop
from metric_learning.encoders.embedding_head import embedding_head
from metric_learning.encoders.keras_hub import is_preset, keras_hub, load_backbone, part_for, where
from metric_learning.encoders.pooling import POOLINGS, pool
from metric_learning.encoders.saved import load_safely, one_line


def pretrained(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None = None,
    backbone: str | pathlib.Path,
    weights: str | None = "imagenet",
    train: str = "head",
    train_norms: bool = False,
    any_size: bool = False,
    crop: int | None = None,
    pooling: str = "avg",
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    embedding_dim: int | None = 128,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """A backbone with the preprocessing it was trained with, pooling, and the embedding head, orthogonal at the start.

    The encoder takes images of 0 to 255 as they come, and does by itself what the backbone's `preprocess_input` does:
    x / 127.5 - 1 for MobileNet, MobileNetV2, Inception, InceptionResNet, NASNet, ResNetV2 and Xception; x / 255 less
    ImageNet's mean, over its standard deviation, for DenseNet; BGR less ImageNet's mean for ResNet and VGG. ConvNeXt,
    EfficientNet and MobileNetV3 scale inside, and so must the model of a file. A preset of KerasHub says its own.

    Files of others are data, not programs: they are loaded in Keras' safe mode, which runs no code of theirs. Weights
    are fetched only for a name with weights="imagenet", the first time.

    Args:
        input_shape: (height, width, channels) of the images.
        vocabulary_size: None; texts have one, and need the encoder `embedding`.
        backbone: a model of `keras.applications` such as "MobileNetV2", in any case; or the path of a `.keras` file
            whose model takes images of 0 to 255 and gives a feature map, tokens or features; or with the extra `hub` a
            preset of KerasHub: a folder, or a name or an address, which is fetched.
        weights: "imagenet", which for a file means those in it; the path of a `.weights.h5` or `.h5` file made for the
            backbone without its top; None for fresh ones.
        train: which part of it trains: "head" leaves the backbone as it is, "all" trains all of it, "top:N" its last N
            stages; see `set_trained_part`.
        train_norms: whether the batch norms of that part train too, see `set_trained_part`.
        any_size: take images of any height and width, so that training may see crops and judging whole images.
        crop: take the middle of larger images, of this height and width: with `augmentation.size` of the same, training
            sees crops of what was read and judging the middle of it. None: images as they are.
        pooling: of a feature map: "avg", "max", "avg+max", or "gem" with a learned power.
        hidden, dropout, embedding_dim, batch_norm, normalize: see `embedding_head`; with embedding_dim=None the pooled
            features are the embeddings.

    Returns:
        keras.Model from images [B, height, width, channels], values 0 to 255 of any dtype, to float32 [B, D].

    Raises:
        ValueError: no images, or smaller ones or other channels than the backbone can take; no such backbone; weights
            that cannot be fetched, read or fitted; another option not as above.
    """
    if vocabulary_size is not None or len(input_shape) != 3:
        raise ValueError(
            f"encoder=pretrained takes images; got inputs of shape {tuple(input_shape)}. "
            "For texts and ids use encoder=embedding, for features encoder=mlp"
        )
    if pooling not in POOLINGS:
        raise ValueError(f"encoder.pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}")
    input_shape = tuple(input_shape)
    taken = (None, None, input_shape[-1]) if any_size or crop else input_shape
    images = keras.Input(taken, name="images")
    pixels = images
    if crop is not None:
        if not 0 < crop <= min(input_shape[:2]):
            raise ValueError(f"encoder.crop must be at most the images, {min(input_shape[:2])} pixels; got {crop}")
        taken = input_shape = (crop, crop, input_shape[-1])
        pixels = CenterCrop(crop, name="center_crop")(images)
    name, model, scaling = _load(str(backbone), weights, taken)
    layer = Backbone(model, **scaling, name=BACKBONE)
    try:
        features = layer(pixels)
    except Exception as error:  # what the layers of a strange model raise
        raise ValueError(f"{name} cannot take images of shape {taken}: {one_line(error)}") from error
    set_trained_part(layer, train, input_shape, train_norms=train_norms)
    embeddings = embedding_head(
        pool(features, pooling),
        hidden=hidden,
        dropout=dropout,
        embedding_dim=embedding_dim,
        kernel_initializer="orthogonal",
        batch_norm=batch_norm,
        normalize=normalize,
    )
    return keras.Model(images, embeddings, name="pretrained")


def _load(backbone, weights, input_shape):
    """The name to show, the model, and how it wants its pixels, as arguments of `Backbone`."""
    path = pathlib.Path(backbone).expanduser()
    if path.suffix == ".keras" or path.is_file():
        return path.name, _load_file(path, weights, input_shape), {}
    family_of = families()
    named = [name for name in family_of if name.lower() == backbone.replace("_", "").lower()]
    if not named and is_preset(backbone):
        return path.name, *_load_preset(backbone, weights, input_shape)
    if not named:
        raise ValueError(
            "encoder.backbone must be the path of a .keras file, a preset of KerasHub, or one of "
            f"{', '.join(family_of)}; got {backbone!r}"
        )
    return named[0], _load_application(named[0], weights, input_shape), {"family": family_of[named[0]]}


def families() -> dict[str, str]:
    """The models of keras.applications by name, each with its module, whose `preprocess_input` it was trained with."""
    names = sorted(name for name in dir(keras.applications) if name[0].isupper())
    return {name: getattr(keras.applications, name).__module__.rpartition(".")[2] for name in names}


def _load_application(name, weights, input_shape):
    if weights not in ("imagenet", None) and not pathlib.Path(weights).is_file():
        raise ValueError(f"encoder.weights must be imagenet, null or the path of a file; got {weights!r}")
    if weights == "imagenet" and input_shape[-1] != 3:
        raise ValueError(
            f"the ImageNet weights of {name} are for images of 3 channels; got {input_shape[-1]}. Set data.channels=3"
        )
    build = getattr(keras.applications, name)
    try:
        with _short_timeout(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the weights were learned at another size is what one wants
            return build(include_top=False, weights=weights, input_shape=input_shape)
    except Exception as error:  # get_file raises plain Exception, and h5py what it likes
        problem = one_line(error)
        if "URL fetch failure" in problem:
            raise ValueError(
                f"the ImageNet weights of {name} cannot be fetched ({problem}). Where there is a network, download "
                "that file, put it into ~/.keras/models, or say where it is by encoder.weights=PATH"
            ) from error
        if "Input size must be at least" in problem:
            least = problem.partition("at least ")[2].partition(";")[0]
            raise ValueError(
                f"{name} needs images of at least {least} pixels; got {input_shape[0]}x{input_shape[1]}"
            ) from error
        raise ValueError(
            f"{name} cannot be built for images of shape {input_shape} with weights={weights}: {problem}"
        ) from error


def _load_preset(preset, weights, input_shape):
    if weights not in ("imagenet", None):
        raise ValueError(f"encoder.weights of a preset must be imagenet, for its own, or null; got {weights!r}")
    options = {"image_shape": input_shape, "load_weights": weights is not None}
    backbone = load_backbone("encoder.backbone", preset, **options)
    converter = part_for(backbone, keras_hub().layers.ImageConverter)
    taken = backbone.input
    if isinstance(taken, dict) and len(taken) == 1:
        (taken,) = taken.values()
    output = backbone.output
    if converter is None or isinstance(taken, dict | list) or isinstance(output, dict | list):
        raise ValueError(f"encoder.backbone={preset} is a {type(backbone).__name__}, not from images to features")
    try:
        scaling = converter.from_preset(where(preset))
    except Exception as error:  # files of others
        raise ValueError(f"encoder.backbone={preset} does not say how it scales images: {one_line(error)}") from error
    return keras.Model(taken, output, name=backbone.name), {"scale": scaling.scale, "offset": scaling.offset}


def _load_file(path, weights, input_shape):
    if weights is None:
        raise ValueError("encoder.weights=null is for names of keras.applications; the model of a file has its weights")
    model = load_safely("encoder.backbone", path)
    if weights != "imagenet":
        try:
            model.load_weights(pathlib.Path(weights).expanduser())
        except Exception as error:  # h5py and Keras raise what they meet
            raise ValueError(f"{path} cannot take weights={weights}: {one_line(error)}") from error
    wanted = getattr(model, "input_shape", None)
    if not isinstance(wanted, tuple) or len(wanted) != 4:
        raise ValueError(f"{path} must take images [B, height, width, channels] and nothing else; it takes {wanted}")
    if any(side not in (None, given) for side, given in zip(wanted[1:], input_shape, strict=True)):
        takes, got = (
            ", ".join("any" if side is None else str(side) for side in sides) for sides in (wanted[1:], input_shape)
        )
        raise ValueError(
            f"{path} takes images of (height, width, channels) = ({takes}); got ({got}). "
            "Set data.image_size and data.channels"
        )
    return model


@contextlib.contextmanager
def _short_timeout(seconds=20):
    """Where packets vanish, a connection would be waited for for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)

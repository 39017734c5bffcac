"""A model made elsewhere as a layer of an encoder, and which part of it trains."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

BACKBONE = "backbone"


@keras.saving.register_keras_serializable(package="metric_learning")
class Backbone(keras.layers.Layer):
    """A model from images to features, with the scaling of pixels that it was trained with.

    While it is frozen (`trainable = False`) it runs as in inference, whatever `training` says: its batch norms use
    their moving statistics, which stay as they are, and its dropout and its stochastic depth are off.

    Args:
        model: keras.Model from images [B, height, width, channels] to a feature map [B, h, w, F], tokens [B, T, F] or
            features [B, F].
        family: the module of `keras.applications` whose `preprocess_input` the model was trained with, such as
            "resnet_v2"; None: the model takes values of 0 to 255 and scales them by itself.
        scale, offset: numbers, or one for each channel: the model takes scale * values + offset. None: none.
    """

    def __init__(
        self, model: keras.Model, family: str | None = None, scale: Any = None, offset: Any = None, **options: Any
    ) -> None:
        # Pixels stay in float32 until they are scaled: bfloat16 has 8 bits for 0 to 255.
        super().__init__(**{"dtype": "float32"} | options)
        self.model = model
        self.family = family
        self.scale = scale
        self.offset = offset

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        if self.family is not None:
            images = getattr(keras.applications, self.family).preprocess_input(images)
        if self.scale is not None:
            images *= tf.constant(self.scale, tf.float32)
        if self.offset is not None:
            images += tf.constant(self.offset, tf.float32)
        return self.model(images, training=bool(training) and self.trainable)

    def get_config(self) -> dict[str, Any]:
        model = keras.saving.serialize_keras_object(self.model)
        scaling = {name: getattr(self, name) for name in ("scale", "offset") if getattr(self, name) is not None}
        return super().get_config() | {"model": model, "family": self.family} | scaling

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(keras.saving.deserialize_keras_object(config.pop("model")), **config)


def backbone_of(encoder: keras.Model) -> Backbone | None:
    """The `Backbone` of an encoder, or None if it has none."""
    found = [layer for layer in encoder.layers if isinstance(layer, Backbone)]
    return found[0] if found else None


def set_trained_part(backbone: Backbone, train: str, input_shape: Sequence[int], *, train_norms: bool = False) -> None:
    """Freezes what is not to be trained.

    A stage is all that works at one resolution, from the layer that reaches it on, as in the papers (ResNet, FPN): the
    last stage of a network for 224 px works at 7 x 7. Stages are few, mean the same in every family, and need no names;
    a number of layers would mean anything. A model with one resolution throughout has a stage for each of its layers
    with weights, a batch norm going with what it follows.

    Args:
        backbone: `Backbone`.
        train: "all"; "head" for nothing of the backbone; "top:N" for its last N stages.
        input_shape: (height, width, channels) of the images.
        train_norms: whether the batch norms of what trains do, too. Else they go on with the statistics, scales and
            shifts of millions of images, which a batch of few classes would only disturb.

    Raises:
        ValueError: another word, or more stages than there are.
    """
    top = re.fullmatch(r"top:(\d+)", str(train))
    if train not in ("all", "head") and not top:
        raise ValueError(f"train must be head, all, or top:N for the last N stages, such as top:1; got {train!r}")
    backbone.trainable = train != "head"
    if not train_norms:
        for layer in all_layers(backbone.model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    if not top:
        return
    groups, kept = stages(backbone.model, input_shape), int(top[1])
    if not 1 <= kept <= len(groups):
        raise ValueError(f"train=top:N must have N from 1 to {len(groups)}, the stages of the backbone; got {train!r}")
    for stage in groups[:-kept]:
        for layer in stage:
            layer.trainable = False


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models in it, outer ones first."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def stages(model: keras.Model, input_shape: Sequence[int]) -> list[list[keras.layers.Layer]]:
    """The layers of a model, first to last, in groups of one resolution each; see `set_trained_part`.

    Layers without weights are left out.
    """
    # A model for images of any size says its resolutions once it stands on images of one size.
    sized = keras.models.clone_model(model, input_tensors=keras.Input(input_shape[-len(model.input_shape) + 1 :]))
    pixels = {layer.name: np.prod(_one_shape(layer)[1:-1], dtype=int) for layer in sized.layers}
    weighty = [layer for layer in model.layers if layer.weights]
    # Where branches run side by side the order of the layers is not that of the resolutions.
    weighty.sort(key=lambda layer: -pixels[layer.name])
    resolutions = sorted({pixels[layer.name] for layer in weighty}, reverse=True)
    if len(resolutions) == 1:
        alone: list[list[keras.layers.Layer]] = []
        for layer in weighty:
            if alone and isinstance(layer, keras.layers.BatchNormalization):
                alone[-1].append(layer)
            else:
                alone.append([layer])
        return alone
    return [[layer for layer in weighty if pixels[layer.name] == resolution] for resolution in resolutions]


def _one_shape(layer):
    return tf.nest.flatten(layer.output)[0].shape

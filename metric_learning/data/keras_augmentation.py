"""Keras' own preprocessing layers as an augmentation, each image by its own random numbers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_BITS = 23  # of a uniform float32 that are random
_DRAWS = 256  # of one image, at most


class KerasAugmentation:
    """Keras preprocessing layers, one after the other.

    A layer draws from a state of its own, which a resumed run would not have again and each of several devices would
    have for itself. So it is not called: its transformation is drawn by `get_random_transformation` for one image at a
    time, from seeds that are a function of the random numbers of that image, and applied by `transform_images`. What
    happens to an image is then a function of its numbers alone, as with the other augmentations. It costs more than
    they do: five layers on 128 images take 60 ms at 32x32 and half a second at 128x128, on two CPU cores.

    Args:
        layers: of `keras.layers`, such as RandomFlip, RandomRotation, RandomContrast, RandomErasing,
            RandomGaussianBlur, RandomCrop, Resizing; they get float32 images of 0 to 255. A seed that one has is not
            used.

    Raises:
        ValueError: no layers; one that is no such layer, mixes several images, or draws from its own state all the
            same; one that cannot change an image.
    """

    takes = "images"
    num_randoms = 2  # uniform numbers that an image needs: its key

    def __init__(self, layers: Sequence[keras.layers.Layer]) -> None:
        if not layers:
            raise ValueError("augmentation.layers must name at least one layer; for none choose augmentation=none")
        self.layers = list(layers)
        for number, layer in enumerate(self.layers):
            if isinstance(layer, keras.layers.Layer):
                layer.dtype_policy = "float32"  # whatever the run's: bfloat16 has 8 bits for 0 to 255
            _check_stateless(f"augmentation.layers.{number}", layer)

    def __call__(self, images: tf.Tensor, randoms: tf.Tensor) -> tf.Tensor:
        """Changes a batch of images.

        Args:
            images: [B, H, W, C] of values 0 to 255, any dtype.
            randoms: [B, num_randoms] uniform in [0, 1).

        Returns:
            [B, height, width, C] float32, values 0 to 255.
        """
        keys = tf.cast(tf.convert_to_tensor(randoms) * 2.0**_BITS, tf.int64)
        images = tf.cast(images, tf.float32)
        changed = tf.map_fn(
            lambda each: self._changed(each[0][None], each[1])[0],
            (images, keys),
            fn_output_signature=tf.TensorSpec(self._changed(images[:1], keys[0]).shape[1:], tf.float32),
        )
        return tf.clip_by_value(changed, 0.0, 255.0)

    def _changed(self, image, key):
        seeds = _Seeds(key)
        for layer in self.layers:
            transformation = layer.get_random_transformation(image, training=True, seed=seeds)
            image = tf.cast(layer.transform_images(image, transformation, training=True), tf.float32)
        return image


class _Seeds(keras.random.SeedGenerator):
    """The seeds of one image: of the first draw, the second, and so on.

    Args:
        key: [2] integers of `_BITS` bits, of the image.
    """

    def __init__(
        self, key: tf.Tensor
    ) -> None:  # without Keras' own, which makes a variable: the state that is not wanted
        self.key = key
        self.draws = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        self.draws += 1
        return tf.stack([self.key[0], self.key[1] * _DRAWS + self.draws])


def _check_stateless(name: str, layer: Any) -> None:
    """Raises ValueError, naming the layer, unless an image is changed by the seeds that are given and nothing else."""
    kind = type(layer).__name__
    if not (hasattr(layer, "get_random_transformation") and hasattr(layer, "transform_images")):
        raise ValueError(
            f"{name} must be a preprocessing layer for images, such as keras.layers.RandomFlip; got {kind}"
        )
    image = np.random.default_rng(0).uniform(0.0, 255.0, (1, 64, 64, 3)).astype(np.float32)
    before = [variable.numpy() for variable in layer.variables]
    seeds = _Seeds(tf.constant([1, 2], tf.int64))
    try:
        transformation = layer.get_random_transformation(image, training=True, seed=seeds)
        layer.transform_images(image, transformation, training=True)
    except Exception as error:  # what the layer of a strange setting raises
        raise ValueError(f"{name} ({kind}) cannot change an image: {' '.join(str(error).split())[:200]}") from error
    drew = any((variable.numpy() != old).any() for variable, old in zip(layer.variables, before, strict=True))
    if drew or isinstance(layer, keras.layers.MixUp | keras.layers.CutMix):
        why = "draws from a state of its own" if drew else "mixes the images of a batch"
        raise ValueError(
            f"{name} ({kind}) {why}, so what happens to an image would depend on more than its own random numbers; "
            "leave it out"
        )

"""The middle of an image, for encoders that are trained on crops of larger images and judged on their middles."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="metric_learning")
class CenterCrop(keras.layers.Layer):
    """Cuts the middle out of images; those of that size already stay as they are.

    (The layer of Keras decides by sizes that are known before any image is there.)

    Args:
        size: height and width that come out; images must be at least as large.
    """

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**{"dtype": "float32"} | options)
        self.size = size

    def call(self, images: tf.Tensor) -> tf.Tensor:
        for side in images.shape[1:3]:
            if side is not None and side < self.size:
                raise ValueError(
                    f"images must be at least as large as encoder.crop={self.size}, of which the middle is taken; got "
                    f"{images.shape[1]} x {images.shape[2]}"
                )
        top, left = ((side - self.size) // 2 for side in tf.unstack(tf.shape(images)[1:3]))
        cropped = images[:, top : top + self.size, left : left + self.size]
        return tf.ensure_shape(cropped, [None, self.size, self.size, images.shape[-1]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.size, self.size, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size}

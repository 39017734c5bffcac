"""Max pooling over 2x2 windows, with a gradient that XLA compiles when operations are to be deterministic."""

import keras
import tensorflow as tf

from metric_learning import xla


@keras.saving.register_keras_serializable(package="metric_learning")
class MaxPooling2x2(keras.layers.Layer):
    """keras.layers.MaxPooling2D() with the same values and gradients, which XLA compiles under op determinism too.

    TensorFlow's own gradient it refuses then, for windows that overlap would add to an element in any order. These lie
    side by side: no element is in two, and nothing is added. Without XLA TensorFlow's kernels are faster.
    """

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """[B, H, W, C] to [B, H // 2, W // 2, C]; a last odd row or column is left out."""
        return max_pool_2x2(images) if xla.compiling() else tf.nn.max_pool2d(images, 2, 2, "VALID")


@tf.custom_gradient
def max_pool_2x2(images: tf.Tensor) -> tf.Tensor:
    """Max pooling by slices and selections alone.

    The gradient of a window goes to its largest element; among equal ones to the first, row by row, as in TensorFlow's
    kernels for the CPU.

    Args:
        images: [B, H, W, C] floats; H, W and C known.

    Returns:
        [B, H // 2, W // 2, C].
    """
    _, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    corners = [images[:, i : 2 * rows : 2, j : 2 * columns : 2] for i in (0, 1) for j in (0, 1)]
    largest = tf.maximum(tf.maximum(corners[0], corners[1]), tf.maximum(corners[2], corners[3]))
    first = tf.fill(tf.shape(largest), 3)
    for i in (2, 1, 0):
        first = tf.where(corners[i] == largest, i, first)

    def gradient(upstream):
        place = tf.reshape(tf.range(4), [1, 1, 2, 1, 2, 1])
        chosen = first[:, :, None, :, None] == place
        spread = tf.where(chosen, upstream[:, :, None, :, None], tf.zeros([], upstream.dtype))
        spread = tf.reshape(spread, [-1, 2 * rows, 2 * columns, channels])
        return tf.pad(spread, [[0, 0], [0, height - 2 * rows], [0, width - 2 * columns], [0, 0]])

    return largest, gradient

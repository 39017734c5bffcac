"""The types that signatures share. Shapes and dtypes are not among them: docstrings say those."""

from typing import TypeAlias

import tensorflow as tf

# A tensor, or what tf.convert_to_tensor makes one of: an array, lists of numbers, a number.
TensorLike: TypeAlias = tf.types.experimental.TensorLike

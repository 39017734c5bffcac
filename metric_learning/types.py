"""The types that signatures share. Shapes and dtypes are not among them: docstrings say those."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

# A tensor, or what tf.convert_to_tensor makes one of: an array, lists of numbers, a number.
TensorLike: TypeAlias = tf.types.experimental.TensorLike


class Rows(Protocol):
    """Items by their place: an array, or what is read when somebody asks for it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class Items(Protocol):
    """A split of labeled items, as `metric_learning.data.Split` has them."""

    @property
    def inputs(self) -> Any: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def captions(self) -> Sequence[str]: ...


class Augmentation(Protocol):
    """Changes a batch of inputs, by `num_randoms` uniform numbers an item."""

    @property
    def num_randoms(self) -> int: ...

    def __call__(self, inputs: tf.Tensor, randoms: tf.Tensor, /) -> tf.Tensor: ...

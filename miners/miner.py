"""What all miners share: they are frozen dataclasses, saved and rebuilt with the loss that holds them."""

import dataclasses
from typing import Any, ClassVar, Self

import tensorflow as tf

from metric_learning.tuples import Selection


class Miner:
    """Selects pairs, triplets or quadruplets: `miner(distances, positive_mask, negative_mask)`.

    A loss takes any callable of that form. What subclassing adds is that Keras can save it.

    Attributes:
        from_zero: whether it has thresholds of at least 0, which only distances that begin at 0 meet; a loss that holds
            it checks that.
    """

    from_zero = False
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # every miner is a dataclass

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Selection:
        """[B, M] float32 distances and boolean masks to Pairs, Triplets or Quadruplets, without gradient."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

"""A number that a loss learns along with the encoder, such as a temperature."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="metric_learning")
class LearnedNumber(keras.layers.Layer):
    """One trainable number, [1], in float32 whatever the precision policy.

    Args:
        initial: where it begins.
    """

    def __init__(self, initial: float, *, dtype: str = "float32", **options: Any) -> None:
        super().__init__(dtype=dtype, **options)
        self.initial = initial
        self.number = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(initial), name="number")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"initial": self.initial}

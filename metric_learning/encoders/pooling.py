"""From a feature map to one vector: the poolings of pretrained encoders."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice

POOLINGS = ("avg", "max", "avg+max", "gem")


def pool(features: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """The mean, the largest value, their sum, or the generalized mean of each channel.

    Args:
        features: Keras tensor, [B, h, w, F] of a feature map, [B, T, F] of tokens, or [B, F], which stays as it is.
        pooling: one of POOLINGS.

    Returns:
        [B, F] Keras tensor.

    Raises:
        ValueError: another pooling, or features of another rank.
    """
    check_choice(POOLINGS, pooling=pooling)
    rank = len(features.shape)
    if rank == 2:
        return features
    if rank not in (3, 4):
        raise ValueError(f"features must be [B, h, w, F], [B, T, F] or [B, F]; got {tuple(features.shape)}")
    average, largest = (
        (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
        if rank == 4
        else (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalMaxPooling1D)
    )
    if pooling == "gem":
        return GeneralizedMean(name="pooling")(features)
    if pooling == "avg+max":
        return keras.layers.Add(name="pooling")([average()(features), largest()(features)])
    return {"avg": average, "max": largest}[pooling](name="pooling")(features)


@keras.saving.register_keras_serializable(package="metric_learning")
class GeneralizedMean(keras.layers.Layer):
    """GeM: (mean of x^p)^(1/p) of each channel over all places, with a learned p between the mean and the largest.

    Values below `floor` count as `floor`. p starts at 3, the paper's value, and stays above 1. It is computed from
    logarithms, so no power leaves the range of float32, and the gradient is finite everywhere, also where all is 0.

    Args:
        power: p at the start, above 1.
        floor: the least value, above 0.

    Reference:
        Radenovic, Tolias, Chum: Fine-tuning CNN image retrieval with no human annotation. TPAMI 2019.
        https://arxiv.org/abs/1711.02512
    """

    def __init__(self, power: float = 3.0, floor: float = 1e-6, **options: Any) -> None:
        if not power > 1 or not floor > 0:
            raise ValueError(f"power must be above 1 and floor above 0; got power={power}, floor={floor}")
        super().__init__(**{"dtype": "float32"} | options)
        self.power = power
        self.floor = floor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # p = 1 + softplus(raw)
        raw = math.log(math.expm1(self.power - 1.0))
        self.raw_power = self.add_weight(shape=(), initializer=keras.initializers.Constant(raw), name="raw_power")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """[B, ..., F] to [B, F]."""
        power = 1.0 + tf.nn.softplus(tf.convert_to_tensor(self.raw_power))
        places = list(range(1, len(features.shape) - 1))
        logs = power * tf.math.log(tf.maximum(features, self.floor))
        count = tf.cast(tf.reduce_prod(tf.shape(features)[1:-1]), tf.float32)
        return tf.exp((tf.reduce_logsumexp(logs, axis=places) - tf.math.log(count)) / power)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"power": self.power, "floor": self.floor}

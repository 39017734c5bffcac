"""A number that a loss learns along with the encoder, such as a temperature."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="metric_learning")
class LearnedNumber(keras.layers.Layer):
    """One trainable number, [1], in float32 whatever the precision policy.

    Args:
        initial: where it begins.
    """

    def __init__(self, initial, *, dtype="float32", **options):
        super().__init__(dtype=dtype, **options)
        self.initial = initial
        self.number = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(initial), name="number")
        self.built = True

    def get_config(self):
        return super().get_config() | {"initial": self.initial}


def remake_in_strategy(layers):
    """The layers made anew where a strategy must own what it trains; elsewhere the layers as they are."""
    if not tf.distribute.has_strategy():
        return layers
    return [LearnedNumber(layer.initial, name=layer.name) for layer in layers]

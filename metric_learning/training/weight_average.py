"""A moving average of the weights of an encoder, which often judges better than where the last steps left them."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


class WeightAverage(keras.layers.Layer):
    """Keeps an exponential moving average of variables: average = m average + (1 - m) value, after each step.

    m is min(momentum, (1 + step) / (10 + step)), so that the first steps, whose weights are worth little, are soon
    forgotten. All floating-point variables are averaged, the statistics of batch norms among them, which Keras'
    `use_ema` leaves out.

    Args:
        variables: Keras variables, those of the encoder; also in every call, since a layer would take what it keeps for
            its own.
        momentum: above 0 and below 1, such as 0.99.

    Raises:
        ValueError: a momentum out of range.
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float) -> None:
        if not 0 < momentum < 1:
            raise ValueError(f"ema must be above 0 and below 1, such as 0.99, or null; got {momentum}")
        super().__init__(name="weight_average", trainable=False)
        self.momentum = momentum
        self.averages = [
            self.add_weight(
                name=variable.path.replace("/", "_"),
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=False,
                aggregation="only_first_replica",
            )
            for variable in _floats(variables)
        ]
        self.built = True
        for average, variable in zip(self.averages, _floats(variables), strict=True):
            average.assign(variable)

    def update(self, variables: Sequence[keras.Variable], step: int | tf.Tensor) -> None:
        """Takes the values after a step into the average.

        Args:
            variables: as when it was made.
            step: steps done, from 1.
        """
        step = tf.cast(step, tf.float32)
        momentum = tf.minimum(self.momentum, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.averages, _floats(variables), strict=True):
            # In this form what stands still has itself as average, to the last bit.
            average.assign_add((1.0 - tf.cast(momentum, average.dtype)) * (variable - average))

    @contextlib.contextmanager
    def in_place_of(self, variables: Sequence[keras.Variable]) -> Iterator[None]:
        """While it is open, the variables have their averages; afterwards the values they had, bit for bit."""
        variables = _floats(variables)
        values = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _floats(variables):
    """Without the states of random generators."""
    return [variable for variable in variables if tf.as_dtype(variable.dtype).is_floating]

"""Random numbers that are the same for the same seed in eager mode, in a graph and under XLA, which draw otherwise."""

from collections.abc import Sequence

import tensorflow as tf

GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: its multiples, modulo 2^32, come back to none before all are met


def uniform(shape: Sequence[int | tf.Tensor] | tf.Tensor, *seed: int | tf.Tensor) -> tf.Tensor:
    """float32 in [0, 1), multiples of 2^-24, of any shape, as a function of the integers of `seed` (scalars) alone."""
    state = tf.constant(1, tf.uint32)
    for part in seed:
        state = _mixed(state * GOLDEN + tf.cast(part, tf.uint32))
    places = tf.reshape(tf.cast(tf.range(tf.reduce_prod(shape)), tf.uint32), shape)
    bits = _mixed(places * GOLDEN + state)
    return tf.cast(tf.bitwise.right_shift(bits, 8), tf.float32) * 2.0**-24


def uniform_like(distances: tf.Tensor) -> tf.Tensor:
    """The same of the shape [B, M] of the distances, which are the seed: a resumed run repeats its draws."""
    # The first row, rounded, so that compilers which differ in the last bit draw alike.
    rounded = tf.cast(tf.round(256.0 * distances[0]), tf.int32)
    places = tf.range(tf.shape(rounded)[0])
    return uniform(tf.shape(distances), tf.reduce_sum(rounded), tf.reduce_sum(rounded * places))


def _mixed(bits):
    """Each bit out depends on each bit in: the last step of Appleby's MurmurHash3, public domain."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, shift)) * factor
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, 16))

"""Keras' batch norm with TensorFlow's fused kernel, which small CNNs spend much less time in."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="metric_learning")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization for images, with the same result.

    Keras 3 computes moments and normalizes in separate passes over the batch. On two cores, a step of the CNN 32-64-128
    with norms before the poolings takes 88 ms so and 58 ms with the fused kernel, and 54 and 42 ms with them behind.

    Statistics across replicas (`synchronized`) have no fused kernel and are left to Keras.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not training or not self.trainable or self.synchronized or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance; Keras keeps the biased one.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        variance *= (count - 1.0) / count
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + tf.stop_gradient(batch) * (1.0 - self.momentum))
        return outputs

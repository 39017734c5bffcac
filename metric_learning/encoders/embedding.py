"""An encoder for token ids (texts) and single category ids: a table of vectors, averaged."""

import keras
import tensorflow as tf

from metric_learning.encoders.embedding_head import check_widths, embedding_head


def embedding(
    input_shape,
    *,
    vocabulary_size,
    token_dim=128,
    initial_scale=0.05,
    token_dropout=0.0,
    hidden=(),
    embedding_dim=128,
    normalize=True,
):
    """A Keras Embedding over ids, the mean over the ids that are no padding, then the embedding head.

    Args:
        input_shape: (length,) of padded id sequences, or () for one id an item.
        vocabulary_size: number of ids, padding (id 0) included; None for images, which need the encoder `cnn`.
        token_dim: width of the table.
        initial_scale: the table starts uniform in [-initial_scale, initial_scale].
        token_dropout: share of the tokens left out of the mean in training, in [0, 1).
        hidden: widths of dense ReLU layers before the head.
        embedding_dim: D of the embeddings.
        normalize: unit length, see `embedding_head`.

    Returns:
        keras.Model from int32 ids [B, length] or [B] to float32 [B, D].

    Raises:
        ValueError: inputs that are no ids, a width below 1.
    """
    if vocabulary_size is None or len(input_shape) > 1:
        raise ValueError(
            f"encoder=embedding takes ids; got inputs of shape {tuple(input_shape)} without a vocabulary. "
            "For images use encoder=cnn"
        )
    check_widths("token_dim", [token_dim])
    check_widths("hidden", hidden)
    ids = keras.Input(input_shape, dtype="int32", name="ids")
    table = keras.layers.Embedding(
        vocabulary_size,
        token_dim,
        embeddings_initializer=keras.initializers.RandomUniform(-initial_scale, initial_scale),
        name="tokens",
    )
    x = table(ids)
    if len(input_shape) == 1:
        x = MaskedMean(dropout=token_dropout, name="mean")(x, ids)
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(ids, embedding_head(x, embedding_dim=embedding_dim, normalize=normalize), name="embedding")


@keras.saving.register_keras_serializable(package="metric_learning")
class MaskedMean(keras.layers.Layer):
    """The mean over the positions whose id is not 0; 0 for a row of padding alone.

    Args:
        dropout: share of the positions left out in training, in [0, 1).
    """

    def __init__(self, *, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"token_dropout must be in [0, 1); got {dropout}")
        self.dropout = dropout
        self.random = keras.random.SeedGenerator()

    def call(self, vectors, ids, training=False):
        """[B, L, T] vectors and [B, L] ids to [B, T]."""
        mask = tf.cast(tf.not_equal(ids, 0), vectors.dtype)
        if training and self.dropout:
            mask *= tf.cast(keras.random.uniform(tf.shape(ids), seed=self.random) >= self.dropout, vectors.dtype)
        # A product of [1, L] and [L, T] for each row: no masked copy of the [B, L, T] vectors.
        total = tf.squeeze(tf.matmul(mask[:, None, :], vectors), axis=1)
        return total / tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1.0)

    def get_config(self):
        return super().get_config() | {"dropout": self.dropout}

"""An encoder for token ids (texts) and single category ids: a table of vectors, averaged."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning.encoders.embedding_head import check_widths, embedding_head
from metric_learning.xla import nan_outside


def embedding(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None,
    token_dim: int | None = None,
    initial_scale: float = 0.03,
    hidden: Sequence[int] = (),
    embedding_dim: int = 128,
    dense: bool = False,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """A Keras Embedding over ids, the mean over the ids that are no padding, then the embedding head.

    Args:
        input_shape: (length,) of padded id sequences, or () for one id an item.
        vocabulary_size: number of ids, padding (id 0) included; None for images, which need the encoder `cnn`.
        token_dim: width of the table; that of the embeddings when None.
        initial_scale: standard deviation of the table at the start. Small is best: 1.0 learns far less.
        hidden: widths of dense ReLU layers before the head.
        embedding_dim: D of the embeddings.
        dense: a dense layer after the mean. Without it a word's place in the table is what it pulls the mean towards,
            which learns faster.
        batch_norm: see `embedding_head`.
        normalize: unit length, see `embedding_head`.

    Returns:
        keras.Model from int32 ids [B, length] or [B] to float32 [B, D]. An id above the vocabulary raises
        tf.errors.InvalidArgumentError; under XLA and on a GPU, which do not raise, its row is NaN, and that of an id
        below 0 everywhere, which Keras would count from the end.

    Raises:
        ValueError: inputs that are no ids, a width below 1.
    """
    if vocabulary_size is None or len(input_shape) > 1:
        raise ValueError(
            f"encoder=embedding takes ids; got inputs of shape {tuple(input_shape)} without a vocabulary. "
            "For images use encoder=cnn"
        )
    token_dim = embedding_dim if token_dim is None else token_dim
    check_widths("embedding_dim", [embedding_dim])
    check_widths("token_dim", [token_dim])
    check_widths("hidden", hidden)
    # Of any length: training may see a part of each sequence.
    ids = keras.Input((None,) if input_shape else (), dtype="int32", name="ids")
    table = keras.layers.Embedding(
        vocabulary_size,
        token_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=initial_scale),
        name="tokens",
    )
    x = table(ids)
    if input_shape:
        x = MaskedMean(name="mean")(x, ids)
    x = NanOutside(vocabulary_size, name="known")(x, ids)
    embeddings = embedding_head(
        x, hidden=hidden, embedding_dim=embedding_dim, dense=dense, batch_norm=batch_norm, normalize=normalize
    )
    return keras.Model(ids, embeddings, name="embedding")


@keras.saving.register_keras_serializable(package="metric_learning")
class NanOutside(keras.layers.Layer):
    """Makes the rows of unknown ids NaN, where their look-up does not raise.

    Args:
        vocabulary_size: ids are below it.
    """

    def __init__(self, vocabulary_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary_size = vocabulary_size

    def call(self, vectors: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """[B, T] vectors and [B, L] or [B] ids to [B, T]."""
        return nan_outside(vectors, ids, self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable(package="metric_learning")
class MaskedMean(keras.layers.Layer):
    """The mean over the positions whose id is not 0; 0 for a row of padding alone."""

    def call(self, vectors: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """[B, L, T] vectors and [B, L] ids to [B, T]."""
        mask = tf.cast(tf.not_equal(ids, 0), vectors.dtype)
        # A product of [1, L] and [L, T] for each row: no masked copy of the [B, L, T] vectors.
        total = tf.squeeze(tf.matmul(mask[:, None, :], vectors), axis=1)
        return total / tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1.0)

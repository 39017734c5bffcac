"""An encoder for ids: of the tokens of a text, of several columns, or a single one. A table of vectors, pooled."""

import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.encoders.embedding_head import check_widths, embedding_head
from metric_learning.encoders.word_vectors import read_word_vectors
from metric_learning.xla import nan_outside


def embedding(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None,
    column_sizes: Sequence[int] | None = None,
    word_ids: Mapping[str, int] | None = None,
    token_dim: int | None = None,
    initial_scale: float = 0.03,
    table: str | pathlib.Path | None = None,
    train_table: bool = True,
    pooling: str = "mean",
    hidden: Sequence[int] = (),
    embedding_dim: int = 128,
    dense: bool = False,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """A Keras Embedding over ids, the mean over the ids that are no padding, then the embedding head.

    Args:
        input_shape: (length,) of padded id sequences, (columns,) of categorical columns, or () for one id an item.
        vocabulary_size: number of ids, padding (id 0) included; None for images, which need the encoder `cnn`.
        column_sizes: of categorical columns, how many ids each has. A column has its own vectors; its id 0 stands for a
            missing value, which has none. None for tokens.
        word_ids: word -> id, for `table`.
        token_dim: width of the table; when None that of `table`, and without one that of the embeddings.
        initial_scale: standard deviation of the table at the start. Small is best: 1.0 learns far less.
        table: path of a file with a vector for each word, see `read_word_vectors`. Those of the vocabulary are where
            the table starts, scaled to `initial_scale`; all others are random. How many there are is said on stderr.
        train_table: False leaves the table as it starts, so that only what follows learns.
        pooling: "mean", or "attention", a mean weighted by how well an id's vector fits a learned one, see
            `AttentionPooling`.
        hidden: widths of dense ReLU layers before the head.
        embedding_dim: D of the embeddings.
        dense: a dense layer after the mean. Without it a word's place in the table is what it pulls the mean towards,
            which learns faster.
        batch_norm: see `embedding_head`.
        normalize: unit length, see `embedding_head`.

    Returns:
        keras.Model from int32 ids [B, length], [B, columns] or [B] to float32 [B, D]. An id above the vocabulary, or
        above its column, raises tf.errors.InvalidArgumentError; under XLA and on a GPU, which do not raise, its row is
        NaN, and that of an id below 0 everywhere, which Keras would count from the end.

    Raises:
        ValueError: inputs that are no ids, a width below 1, another pooling, columns that are not those of the sizes, a
            table that cannot be read or is of another width.
    """
    if (vocabulary_size is None and column_sizes is None) or len(input_shape) > 1:
        raise ValueError(
            f"encoder=embedding takes ids; got inputs of shape {tuple(input_shape)} without a vocabulary. "
            "For images use encoder=cnn"
        )
    check_choice(("mean", "attention"), pooling=pooling)
    if column_sizes is not None:
        if tuple(input_shape) != (len(column_sizes),) or min(column_sizes, default=0) < 1:
            raise ValueError(
                f"column_sizes must be a size of at least 1 for each column of inputs of shape {tuple(input_shape)}; "
                f"got {tuple(column_sizes)}"
            )
        count = 1 + sum(size - 1 for size in column_sizes)
    else:
        count = int(vocabulary_size or 0)
    vectors = None
    if table is not None:
        if word_ids is None:
            raise ValueError("encoder.table is for texts, whose words it has; the data has none")
        found, vectors = read_word_vectors(table, word_ids)
        print(f"{table}: found {len(found):,} of {len(word_ids):,} words", file=sys.stderr)
        if token_dim not in (None, vectors.shape[1]):
            raise ValueError(f"token_dim must be {vectors.shape[1]}, the width of {table}; got {token_dim}")
        token_dim = vectors.shape[1]
    token_dim = embedding_dim if token_dim is None else token_dim
    check_widths("embedding_dim", [embedding_dim])
    check_widths("token_dim", [token_dim])
    check_widths("hidden", hidden)
    # Of any length: training may see a part of each sequence.
    length = len(column_sizes) if column_sizes is not None else None
    ids = keras.Input((length,) if input_shape else (), dtype="int32", name="ids")
    rows = ids if column_sizes is None else ColumnIds(column_sizes, name="columns")(ids)
    layer = keras.layers.Embedding(
        count,
        token_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=initial_scale),
        name="tokens",
    )
    x = layer(rows)
    if vectors is not None:
        values = layer.embeddings.numpy()
        values[found] = vectors * (initial_scale / vectors.std())
        layer.embeddings.assign(values)
    layer.trainable = train_table
    if input_shape:
        x = MaskedMean(name="mean")(x, rows) if pooling == "mean" else AttentionPooling(name="attention")(x, rows)
    x = NanOutside(count, name="known")(x, rows)
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


@keras.saving.register_keras_serializable(package="metric_learning")
class AttentionPooling(keras.layers.Layer):
    """A mean over the positions whose id is not 0, weighted by softmax(<vector, query> / sqrt(T)); 0 for padding alone.

    The query, [T], is learned. It starts at 0, where this is the plain mean.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.query = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="query")

    def call(self, vectors: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """[B, L, T] vectors and [B, L] ids to [B, T]."""
        query = tf.cast(self.query, vectors.dtype)
        scores = tf.cast(tf.linalg.matvec(vectors, query) / math.sqrt(vectors.shape[-1]), tf.float32)
        is_token = tf.not_equal(ids, 0)
        scores = tf.where(is_token, scores, -np.inf)
        # A row of padding alone has no largest score to subtract.
        largest = tf.reduce_max(tf.where(is_token, scores, -1e9), axis=1, keepdims=True)
        weights = tf.exp(scores - tf.stop_gradient(largest))
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1e-9)
        return tf.squeeze(tf.matmul(tf.cast(weights, vectors.dtype)[:, None, :], vectors), axis=1)


@keras.saving.register_keras_serializable(package="metric_learning")
class ColumnIds(keras.layers.Layer):
    """Ids of columns that each count from 1, 0 being a missing value, to ids that are different in different columns.

    An id that its column does not have becomes one that no column has, so that it is not taken for another's.

    Args:
        sizes: of each column, how many ids it has, 0 included.
    """

    def __init__(self, sizes: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.sizes = tuple(sizes)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """[B, columns] to [B, columns]."""
        sizes = np.array(self.sizes, np.int32)
        before = np.cumsum(sizes - 1) - (sizes - 1)
        there = tf.where(tf.equal(ids, 0), 0, ids + before)
        return tf.where((ids >= 0) & (ids < sizes), there, 1 + int((sizes - 1).sum()))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"sizes": self.sizes}

"""An encoder for features that were made elsewhere: dense layers alone."""

from collections.abc import Sequence

import keras

from metric_learning.encoders.embedding_head import embedding_head


def mlp(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None = None,
    column_sizes: Sequence[int] | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    embedding_dim: int = 128,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """Dense ReLU layers and the embedding head; with no hidden layer, a linear map, orthogonal at the start.

    Args:
        input_shape: (F,), the width of the features.
        vocabulary_size, column_sizes: None; texts and categories have them, and need the encoder `embedding`.
        hidden, dropout, embedding_dim, batch_norm, normalize: see `embedding_head`.

    Returns:
        keras.Model from features [B, F] of any dtype to float32 [B, D].

    Raises:
        ValueError: inputs that are no features; an option out of range.
    """
    if vocabulary_size is not None or column_sizes is not None or len(input_shape) != 1:
        raise ValueError(
            f"encoder=mlp takes features; got inputs of shape {tuple(input_shape)}. "
            "For images use encoder=cnn or encoder=pretrained, for texts and ids encoder=embedding"
        )
    features = keras.Input(input_shape, name="features")
    embeddings = embedding_head(
        features,
        hidden=hidden,
        dropout=dropout,
        embedding_dim=embedding_dim,
        kernel_initializer="orthogonal",
        batch_norm=batch_norm,
        normalize=normalize,
    )
    return keras.Model(features, embeddings, name="mlp")

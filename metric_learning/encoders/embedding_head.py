"""The last layers that all encoders share: from features to embeddings."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from metric_learning.distances import normalize
from metric_learning.encoders.batch_norm import FusedBatchNormalization


def embedding_head(
    features: keras.KerasTensor,
    *,
    embedding_dim: int | None,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    dense: bool = True,
    kernel_initializer: str = "glorot_uniform",
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.KerasTensor:
    """Hidden layers and dropout if wanted, a dense layer, if wanted batch norm, then unit length.

    Args:
        features: [B, F] Keras tensor.
        embedding_dim: D, at least 1; None for no dense layer, so that D is the width of what comes.
        hidden: widths of dense ReLU layers before.
        dropout: share of the values dropped before the dense layer, in [0, 1).
        dense: False leaves the dense layer out: the features are the embeddings, so F must be D.
        kernel_initializer: of the dense layer. An orthogonal one leaves the distances between good features as they are
            when D is F, and nearly so when D is less.
        batch_norm: normalize each dimension over the batch before the lengths: the BN-neck of re-identification.
        normalize: divide each embedding by its length; without it, cosine and euclidean distance differ.

    Returns:
        [B, D] float32 Keras tensor, whatever the precision policy: unit length in half precision is off by 1e-3, as
        much as near neighbors differ.

    Raises:
        ValueError: embedding_dim below 1, or not F without a dense layer; a width below 1, dropout out of range.
    """
    check_widths("hidden", hidden)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1); got {dropout}")
    for width in hidden:
        features = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(features)
    if dropout:
        features = keras.layers.Dropout(dropout)(features)
    if embedding_dim is None:
        embedding_dim, dense = features.shape[-1], False
    check_widths("embedding_dim", [embedding_dim])
    if not dense and features.shape[-1] != embedding_dim:
        raise ValueError(
            f"dense=False leaves the {features.shape[-1]} features as they are, so embedding_dim must be "
            f"{features.shape[-1]}; got {embedding_dim}"
        )
    embeddings = features
    if dense:
        layer = keras.layers.Dense(embedding_dim, kernel_initializer=kernel_initializer, name="embedding")
        embeddings = layer(features)
    if batch_norm:
        embeddings = normalize_batch(embeddings)
    if normalize:
        return UnitLength(dtype="float32", name="unit_length")(embeddings)
    return keras.layers.Activation("linear", dtype="float32", name="float32")(embeddings)


@keras.saving.register_keras_serializable(package="metric_learning")
class UnitLength(keras.layers.Layer):
    """Rows divided by their length; a zero row, such as a text without a known token, stays zero.

    keras.layers.UnitNormalization (3.15) has the gradient 0 * inf = NaN there.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return normalize(x)


def normalize_batch(x: keras.KerasTensor) -> keras.KerasTensor:
    """Batch norm whose statistics span all replicas, as if one device had seen the whole batch."""
    layer = FusedBatchNormalization if len(x.shape) == 4 else keras.layers.BatchNormalization
    synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
    # Keras' own momentum, 0.99, would still remember the first steps after a run of a few hundred.
    return layer(momentum=0.9, synchronized=synchronized)(x)


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Raises ValueError unless all of `widths` are at least 1."""
    if any(width < 1 for width in widths):
        got = widths[0] if len(widths) == 1 else list(widths)
        raise ValueError(f"{name} must be at least 1; got {got}")

"""The last layers that all encoders share: from features to embeddings."""

import keras


def embedding_head(features, *, embedding_dim, normalize=True):
    """A dense layer, then unit length.

    Args:
        features: [B, F] Keras tensor.
        embedding_dim: D, at least 1.
        normalize: divide each embedding by its length; without it, cosine and euclidean distance differ.

    Returns:
        [B, D] float32 Keras tensor, whatever the precision policy: unit length in half precision is off by 1e-3, as
        much as near neighbours differ.

    Raises:
        ValueError: embedding_dim below 1.
    """
    if embedding_dim < 1:
        raise ValueError(f"embedding_dim must be at least 1; got {embedding_dim}")
    embeddings = keras.layers.Dense(embedding_dim, name="embedding")(features)
    if normalize:
        return keras.layers.UnitNormalization(dtype="float32", name="unit_length")(embeddings)
    return keras.layers.Activation("linear", dtype="float32", name="float32")(embeddings)


def check_widths(name, widths):
    """Raises ValueError unless all of `widths` are at least 1."""
    if any(width < 1 for width in widths):
        raise ValueError(f"{name} must be numbers of at least 1; got {list(widths)}")

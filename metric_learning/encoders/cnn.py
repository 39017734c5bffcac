"""A small convolutional encoder for images."""

import warnings

import keras

from metric_learning.encoders.embedding_head import check_widths, embedding_head, normalize_batch
from metric_learning.encoders.max_pooling import MaxPooling2x2

# Of one dense layer: more than images of 128x128 give by default.
MANY_WEIGHTS = 5_000_000


def cnn(
    input_shape,
    *,
    vocabulary_size=None,
    widths=(32, 64, 128),
    kernel_size=3,
    pool_first=True,
    background=255.0,
    hidden=(),
    dropout=0.0,
    embedding_dim=128,
    batch_norm=False,
    normalize=True,
):
    """Blocks of convolution, batch norm, ReLU and 2x2 max pooling, then the embedding head.

    Args:
        input_shape: (height, width, channels) of the images.
        vocabulary_size: None; texts have one, and need the encoder `embedding`.
        widths: channels of each block; each block halves height and width.
        kernel_size: of the convolutions.
        pool_first: pool before norm and ReLU instead of after: a quarter of the elements to normalise. Max pooling and
            ReLU commute, so only the statistics of the norm differ.
        background: the value 0 to 255 that most images have at their borders; it becomes 0, so that the zeros which the
            convolutions pad with look like more of it.
        hidden: widths of dense ReLU layers between the flattened features and the head.
        dropout: share of the features dropped before the head, in [0, 1).
        embedding_dim: D of the embeddings.
        batch_norm: see `embedding_head`.
        normalize: unit length, see `embedding_head`.

    Returns:
        keras.Model from images [B, height, width, channels], values 0 to 255 of any dtype, to float32 [B, D].

    Raises:
        ValueError: inputs that are not images, images smaller than the poolings, a width below 1.
    """
    if vocabulary_size is not None or len(input_shape) != 3:
        raise ValueError(
            f"encoder=cnn takes images; got inputs of shape {tuple(input_shape)}. "
            "For texts and ids use encoder=embedding"
        )
    check_widths("widths", widths)
    check_widths("hidden", hidden)
    if min(input_shape[:2]) < 2 ** len(widths):
        raise ValueError(
            f"widths has {len(widths)} blocks, each of which halves the image, so images must be at least "
            f"{2 ** len(widths)} pixels wide and high; got {input_shape[0]}x{input_shape[1]}"
        )
    images = keras.Input(input_shape, name="images")
    x = keras.layers.Rescaling(1.0 / 255.0, offset=-background / 255.0)(images)
    for width in widths:
        # The norm subtracts the mean, so a bias would have no effect.
        x = keras.layers.Conv2D(width, kernel_size, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        if pool_first:
            x = MaxPooling2x2()(x)
        x = normalize_batch(x)
        x = keras.layers.ReLU()(x)
        if not pool_first:
            x = MaxPooling2x2()(x)
    x = keras.layers.Flatten()(x)
    dense_weights = x.shape[-1] * [*hidden, embedding_dim][0]
    if dense_weights > MANY_WEIGHTS:
        warnings.warn(
            f"encoder=cnn: images of {input_shape[0]}x{input_shape[1]} flatten to {x.shape[-1]:,} features, and the "
            f"dense layer on them has {dense_weights:,} weights; one more of encoder.widths makes it about a quarter",
            stacklevel=2,
        )
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    embeddings = embedding_head(x, embedding_dim=embedding_dim, batch_norm=batch_norm, normalize=normalize)
    return keras.Model(images, embeddings, name="cnn")

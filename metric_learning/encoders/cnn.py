"""A small convolutional encoder for images."""

import warnings
from collections.abc import Sequence

import keras

from metric_learning.checks import check_choice
from metric_learning.encoders.embedding_head import check_widths, embedding_head, normalize_batch
from metric_learning.encoders.max_pooling import MaxPooling2x2
from metric_learning.encoders.pooling import POOLINGS, pool

# Of one dense layer: more than images of 128x128 give by default.
MANY_WEIGHTS = 5_000_000
LARGEST_FLATTENED = 64  # pixels of a side, by default


def cnn(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None = None,
    widths: Sequence[int] = (32, 64, 128),
    kernel_size: int = 3,
    pool_first: bool = True,
    background: float = 255.0,
    pooling: str = "auto",
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    embedding_dim: int = 128,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """Blocks of convolution, batch norm, ReLU and 2x2 max pooling, then all places or a pooling of them, then the head.

    Args:
        input_shape: (height, width, channels) of the images.
        vocabulary_size: None; texts have one, and need the encoder `embedding`.
        widths: channels of each block; each block halves height and width.
        kernel_size: of the convolutions.
        pool_first: pool before norm and ReLU instead of after: a quarter of the elements to normalize. Max pooling and
            ReLU commute, so only the statistics of the norm differ.
        background: the value 0 to 255 that most images have at their borders; it becomes 0, so that the zeros which the
            convolutions pad with look like more of it.
        pooling: "flatten" gives the head every place of the last feature map, which suits small pictures of things that
            are always in the same place, and makes millions of weights of large ones; "avg", "max", "avg+max" and "gem"
            pool over the places, see `pool`. "auto" flattens images of up to 64x64 and takes "avg" for larger ones.
        hidden, dropout, embedding_dim, batch_norm, normalize: see `embedding_head`.

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
    check_choice(("auto", "flatten", *POOLINGS), pooling=pooling)
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
    if pooling == "auto":
        pooling = "flatten" if max(input_shape[:2]) <= LARGEST_FLATTENED else "avg"
    x = keras.layers.Flatten()(x) if pooling == "flatten" else pool(x, pooling)
    dense_weights = x.shape[-1] * ([*hidden, embedding_dim][0] or 0)
    if dense_weights > MANY_WEIGHTS:
        warnings.warn(
            f"encoder=cnn: images of {input_shape[0]}x{input_shape[1]} flatten to {x.shape[-1]:,} features, and the "
            f"dense layer on them has {dense_weights:,} weights; one more of encoder.widths makes it about a quarter, "
            "encoder.pooling=avg a few thousand",
            stacklevel=2,
        )
    embeddings = embedding_head(
        x,
        hidden=hidden,
        dropout=dropout,
        embedding_dim=embedding_dim,
        batch_norm=batch_norm,
        normalize=normalize,
    )
    return keras.Model(images, embeddings, name="cnn")

"""Random changes to drawings and texts that leave what they mean as it is."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from metric_learning import xla
from metric_learning.data.source import DataSource


@dataclasses.dataclass(frozen=True)
class DrawingAugmentation:
    """Changes images of things on a white ground: geometry, colors, and now and then to a silhouette or an outline.

    All images of a batch are changed at once, and what happens to one is a function of its random numbers alone, so a
    run gives the same images again however it is resumed or spread over devices.

    Args:
        scale: sizes vary by a factor of up to exp(scale), either way.
        aspect: width against height, likewise.
        rotation: up to so many degrees, either way.
        shift: up to so many pixels in each direction.
        outline: share of the images that become their outline.
        silhouette: share of the images that become black and white.
        color: how far the color channels mix, as standard deviation of the mixing matrix times two.
        gray: share of the images that lose more than half of their color.
        contrast: contrasts vary by up to this share.

    Raises:
        ValueError: a negative number, or shares beyond 1.
    """

    scale: float = 0.1
    aspect: float = 0.05
    rotation: float = 5.0
    shift: float = 1.5
    outline: float = 0.1
    silhouette: float = 0.1
    color: float = 0.4
    gray: float = 0.2
    contrast: float = 0.2

    takes = "images"
    num_randoms = 20  # uniform numbers that an image needs

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value >= 0:
                raise ValueError(f"augmentation.{field.name} must be at least 0; got {value}")
        if self.outline + self.silhouette > 1 or self.gray > 1:
            raise ValueError(
                "augmentation.outline + augmentation.silhouette, and augmentation.gray, are shares of at most 1; got "
                f"{self.outline} + {self.silhouette}, and {self.gray}"
            )

    def __call__(self, images: tf.Tensor, randoms: tf.Tensor) -> tf.Tensor:
        """Changes a batch of images.

        Args:
            images: [B, H, W, C] of values 0 to 255, any dtype.
            randoms: [B, num_randoms] uniform in [0, 1).

        Returns:
            [B, H, W, C] float32, values 0 to 255.
        """
        # How much ink is on the white ground; 0 is what lies beyond the border, too.
        ink = 1.0 - tf.cast(images, tf.float32) / 255.0
        ink = self._redraw(ink, randoms[:, :3])
        ink = self._recolor(ink, randoms[:, 3:15])
        ink = self._move(ink, randoms[:, 15:])
        return 255.0 * (1.0 - ink)

    def _redraw(self, ink, randoms):
        choice, level, gain = (randoms[:, i, None, None, None] for i in range(3))
        darkness = tf.reduce_mean(ink, axis=-1, keepdims=True)
        silhouette = tf.sigmoid(12.0 * (darkness - (0.15 + 0.45 * level)))
        thick = tf.nn.max_pool2d(darkness, 3, 1, "SAME")
        thin = -tf.nn.max_pool2d(-darkness, 3, 1, "SAME")
        outline = tf.minimum((thick - thin) * (1.0 + 1.5 * gain), 1.0)
        drawn = tf.where(choice < self.outline + self.silhouette, silhouette, ink)
        return tf.where(choice < self.outline, outline, drawn)

    def _recolor(self, ink, randoms):
        channels = ink.shape[-1]
        mixing = tf.reshape(randoms[:, :9], [-1, 3, 3])[:, :channels, :channels]
        # Uniform numbers of unit standard deviation.
        matrix = tf.eye(channels) + 0.5 * self.color * math.sqrt(3.0) * (2.0 * mixing - 1.0)
        loss_of_color = tf.where(randoms[:, 9] < self.gray, 0.5 + 0.5 * randoms[:, 10], 0.0)[:, None, None]
        matrix += loss_of_color * (tf.reduce_mean(matrix, axis=-1, keepdims=True) - matrix)
        matrix *= 1.0 + self.contrast * (2.0 * randoms[:, 11, None, None] - 1.0)
        pixels = tf.reshape(ink, [tf.shape(ink)[0], -1, channels])
        return tf.clip_by_value(tf.reshape(pixels @ matrix, tf.shape(ink)), 0.0, 1.0)

    def _move(self, ink, randoms):
        signed = 2.0 * randoms - 1.0
        height, width = ink.shape[1], ink.shape[2]
        angle = signed[:, 0] * self.rotation * math.pi / 180.0
        size, aspect = tf.exp(signed[:, 1] * self.scale), tf.exp(signed[:, 2] * self.aspect)
        a, b = tf.cos(angle) * size * aspect, -tf.sin(angle) * size * aspect
        c, d = tf.sin(angle) * size / aspect, tf.cos(angle) * size / aspect
        center_x, center_y = (width - 1) / 2.0, (height - 1) / 2.0
        x = center_x - a * center_x - b * center_y + signed[:, 3] * self.shift
        y = center_y - c * center_x - d * center_y + signed[:, 4] * self.shift
        transforms = tf.stack([a, b, x, c, d, y], axis=1)
        return sample_by_gathers(ink, transforms) if xla.compiling() else sample_by_kernel(ink, transforms)


def sample_by_kernel(images: tf.Tensor, transforms: tf.Tensor, reflect: bool = False) -> tf.Tensor:
    """What `sample_by_gathers` does, by a kernel of TensorFlow's that is faster but has no counterpart in XLA."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(transforms, [[0, 0], [0, 2]]),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT" if reflect else "CONSTANT",
    )


def sample_by_gathers(images: tf.Tensor, transforms: tf.Tensor, reflect: bool = False) -> tf.Tensor:
    """Images seen through affine maps: bilinear between pixels, 0 beyond the border.

    Args:
        images: [B, H, W, C] float32; H, W and C known.
        transforms: [B, 6] float32 of a, b, x, c, d, y: what comes to (column, row) is taken from
            (a * column + b * row + x, c * column + d * row + y).
        reflect: beyond the border is the image in a mirror, d c b a | a b c d | d c b a, instead of 0.

    Returns:
        [B, H, W, C] float32.
    """
    height, width, channels = images.shape[1:]
    a, b, x, c, d, y = (transforms[:, i, None, None] for i in range(6))
    columns, rows = tf.range(width, dtype=tf.float32)[None, None, :], tf.range(height, dtype=tf.float32)[None, :, None]
    x, y = a * columns + b * rows + x, c * columns + d * rows + y
    if reflect:
        x, y = _mirrored(x, width), _mirrored(y, height)
    left, top = tf.floor(x), tf.floor(y)
    # With a border of zeros, which is where all that lies beyond is read.
    pixels = tf.reshape(tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]]), [-1, (height + 2) * (width + 2), channels])

    def read(row, column):
        row = tf.cast(tf.clip_by_value(row + 1.0, 0.0, height + 1.0), tf.int32)
        column = tf.cast(tf.clip_by_value(column + 1.0, 0.0, width + 1.0), tf.int32)
        places = tf.reshape(row * (width + 2) + column, [-1, height * width])
        return tf.reshape(tf.gather(pixels, places, axis=1, batch_dims=1), [-1, height, width, channels])

    to_right, to_left, to_bottom, to_top = (
        part[..., None] for part in (x - left, left + 1.0 - x, y - top, top + 1.0 - y)
    )
    above = to_left * read(top, left) + to_right * read(top, left + 1.0)
    below = to_left * read(top + 1.0, left) + to_right * read(top + 1.0, left + 1.0)
    return to_top * above + to_bottom * below


def _mirrored(places, size):
    """Places on a line of pixels and its mirror images, as places between the first pixel and the last."""
    places = tf.math.floormod(places, 2.0 * size)
    return tf.clip_by_value(tf.where(places >= size, 2.0 * size - 1.0 - places, places), 0.0, size - 1.0)


@dataclasses.dataclass(frozen=True)
class TokenSampling:
    """Keeps a random part of the tokens of each text, so that no single word can be relied upon.

    Args:
        window: tokens kept at most: a run of the row from a random place on. Training rows come shuffled, so it is a
            fair sample. Shorter rows are also quicker to train on.
        dropout: share of the tokens in the window that are left out too, in [0, 1).

    Raises:
        ValueError: window below 1, dropout out of range.
    """

    window: int = 96
    dropout: float = 0.5

    takes = "texts"

    def __post_init__(self):
        if self.window < 1:
            raise ValueError(f"augmentation.window must be at least 1; got {self.window}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"augmentation.dropout must be in [0, 1); got {self.dropout}")

    @property
    def num_randoms(self) -> int:
        """Uniform numbers that a text needs."""
        return 1 + self.window

    def __call__(self, ids: tf.Tensor, randoms: tf.Tensor) -> tf.Tensor:
        """[B, L] token ids, 0 for padding, and [B, num_randoms] to [B, window] ids."""
        lengths = tf.reduce_sum(tf.cast(ids != 0, tf.int32), axis=1, keepdims=True)
        start = tf.cast(randoms[:, :1] * tf.cast(lengths, tf.float32), tf.int32)
        offsets = tf.range(self.window)[None, :]
        # From the place on and around to the row's beginning; a row shorter than the window is taken once, not twice.
        columns = tf.math.floormod(start + offsets, tf.maximum(lengths, 1))
        taken = tf.gather(ids, columns, axis=1, batch_dims=1)
        kept = (offsets < lengths) & (randoms[:, 1:] >= self.dropout)
        return tf.where(kept, taken, 0)


def check_fits(augment: Any, source: DataSource) -> None:
    """Raises ValueError if an augmentation is for items of another kind than a `DataSource` has.

    One that does not say what it takes, in an attribute `takes` of "images" or "texts", is trusted.
    """
    if getattr(augment, "takes", source.kind) != source.kind:
        fitting = {"images": "drawing, or none", "texts": "tokens, or none"}.get(source.kind, "none")
        raise ValueError(
            f"{type(augment).__name__} takes {augment.takes}, and {source.name} has {source.kind}; "
            f"choose augmentation={fitting}"
        )

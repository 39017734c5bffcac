"""From the bytes of an image file to pixels in one size, in TensorFlow's operations: what `fit_image` does with Pillow.

The sizes, the kernel and the roundings are Pillow's, so that what the two decode alike comes out alike to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import PIL
import tensorflow as tf

_BITS = 22  # of the weights of a resize, which Pillow keeps as whole numbers
_ORIENTATION = 0x0112  # a tag of EXIF
_DOWN_FIRST = int(PIL.__version__.partition(".")[0]) >= 13  # since then Pillow may shorten before it narrows
_READ = 2**17  # bytes of a file in which its EXIF is looked for


def decode_and_fit(contents: tf.Tensor, shape: Sequence[int], fit: str) -> tf.Tensor:
    """Files of images to pixels, one after the other, as their sizes differ.

    JPEG, PNG, GIF (its first picture), BMP, WebP and JPEG XL are decoded; a JPEG is turned as its EXIF says, and what
    is transparent in a PNG or WebP becomes white.

    Args:
        contents: [B] strings.
        shape: (height, width, channels) to come out.
        fit: see `metric_learning.data.images.fit_image`.

    Returns:
        uint8 [B, height, width, channels].

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for what is no such image.
    """
    height, width, channels = shape

    def one(content):
        image = _fit(_decode(content), height, width, fit)
        image = image if channels == 3 else _gray(image)
        return tf.cast(tf.ensure_shape(image, (height, width, channels)), tf.uint8)

    return tf.map_fn(one, contents, fn_output_signature=tf.TensorSpec((height, width, channels), tf.uint8))


def _decode(content: tf.Tensor) -> tf.Tensor:
    """Any file to int32 [h, w, 3] as the eye sees it."""

    def jpeg():
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")  # the default is a coarser one
        return _turn(tf.cast(image, tf.int32), _orientation(content))

    def other():
        return _on_white(tf.cast(tf.io.decode_image(content, expand_animations=False), tf.int32))

    def png():
        return _on_white(tf.cast(tf.io.decode_png(content, channels=4), tf.int32))

    head = tf.io.decode_raw(tf.strings.substr(content, 0, 25), tf.uint8, fixed_length=25)
    # Of pixels below 8 bits TensorFlow makes others, and nearly transparent, when it is asked for 4 channels.
    is_png = tf.reduce_all(head[:8] == list(b"\x89PNG\r\n\x1a\n")) & (head[24] >= 8)
    return tf.cond(tf.io.is_jpeg(content), jpeg, lambda: tf.cond(is_png, png, other))


def _on_white(image: tf.Tensor) -> tf.Tensor:
    """[h, w, 1 to 4], gray or colors and perhaps how opaque they are, to [h, w, 3] with the roundings of Pillow."""
    channels = tf.shape(image)[2]
    colors = tf.cond(
        channels < 3, lambda: tf.tile(image[:, :, :1], (1, 1, 3)), lambda: tf.ensure_shape(image, (None, None, None))
    )[:, :, :3]

    def composed():
        opaque = image[:, :, -1:]
        scaled = 128 * (colors * opaque + 255 * (255 - opaque)) + 2**14
        return tf.bitwise.right_shift(((scaled // 256) + scaled) // 256, 7)

    found = tf.cond(tf.equal(channels % 2, 0), composed, lambda: colors)
    return tf.ensure_shape(found, (None, None, 3))


def _turn(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image as it was held, from its EXIF orientation of 1 to 8."""

    def is_one_of(*values):
        return tf.reduce_any(tf.equal(orientation, values))

    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(is_one_of(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(is_one_of(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def _orientation(content: tf.Tensor) -> tf.Tensor:
    """1 to 8 of the EXIF of a JPEG, 1 where it says nothing."""
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, _READ), tf.uint8), tf.int32)
    last = tf.size(data) - 1

    def byte(place):
        return tf.gather(data, tf.clip_by_value(place, 0, last))

    def two(place):
        return 256 * byte(place) + byte(place + 1)

    def goes_on(place, found):
        is_segment = (byte(place) == 0xFF) & (byte(place + 1) != 0xDA)  # before the pixels
        return is_segment & (found < 0) & (place + 4 <= last)

    def next_segment(place, found):
        is_exif = (byte(place + 1) == 0xE1) & tf.reduce_all(byte(place + 4 + tf.range(6)) == list(b"Exif\0\0"))
        return place + 2 + two(place + 2), tf.where(is_exif, place + 10, found)

    _, start = tf.while_loop(goes_on, next_segment, (tf.constant(2), tf.constant(-1)))
    little = byte(start) == ord("I")

    def number(place):
        return tf.where(little, 256 * byte(place + 1) + byte(place), two(place))

    first = start + tf.where(little, number(start + 4), number(start + 6))  # of 32 bits, where 16 are enough
    entries = first + 2 + 12 * tf.range(tf.where(start >= 0, number(first), 0))
    values = tf.boolean_mask(number(entries + 8), number(entries) == _ORIENTATION)
    found = tf.concat([values, [1]], axis=0)[0]
    return tf.where((start >= 0) & (found >= 1) & (found <= 8), found, 1)


def _fit(image: tf.Tensor, height: int, width: int, fit: str) -> tf.Tensor:
    """int32 [h, w, 3] to [height, width, 3]."""
    size = tf.shape(image)[:2]
    inner: Any = (height, width)
    if fit == "letterbox":
        sides = tf.cast(size, tf.float64)
        scale = tf.reduce_min(tf.constant([height, width], tf.float64) / sides)
        inner = tf.maximum(1, tf.cast(tf.round(sides * scale), tf.int32))
    inner = tf.convert_to_tensor(inner)
    image = tf.cond(tf.reduce_all(size == inner), lambda: image, lambda: _resize(image, size, inner))
    before = ([height, width] - inner) // 2
    around = tf.stack([before, [height, width] - inner - before], axis=1)
    return tf.pad(image, tf.concat([around, [[0, 0]]], axis=0), constant_values=255)


def _resize(image: tf.Tensor, size: tf.Tensor, inner: tf.Tensor) -> tf.Tensor:
    """Pillow's `resize(inner, BICUBIC, reducing_gap=3)`: the mean of whole blocks, if much smaller, then a cubic."""
    scale = tf.cast(size, tf.float64) / tf.cast(inner, tf.float64)
    factor = tf.maximum(1, tf.cast(scale / 3.0, tf.int32))
    image = tf.cond(tf.reduce_any(factor > 1), lambda: _reduce(image, size, factor), lambda: image)
    # In blocks, of which the last may be a part; in float32, as Pillow has it.
    extent = tf.cast(tf.cast(tf.cast(size, tf.float64) / tf.cast(factor, tf.float64), tf.float32), tf.float64)
    there = tf.shape(image)[:2]

    def across(image):
        return _weighted(_weights(there[1], extent[1], inner[1]), image, "ow,hwc->hoc")

    def down(image):
        return _weighted(_weights(there[0], extent[0], inner[0]), image, "oh,hwc->owc")

    lost = there - inner
    is_down_first = _DOWN_FIRST & (lost[0] > 0) & (lost[0] > 2 * lost[1])
    return tf.cond(is_down_first, lambda: across(down(image)), lambda: down(across(image)))


def _reduce(image: tf.Tensor, size: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Means of blocks of `factor` pixels; at the far edges of what is left there."""
    blocks = -(-size // factor)
    missing = blocks * factor - size
    shape = (blocks[0], factor[0], blocks[1], factor[1], 3)
    total = tf.reduce_sum(tf.reshape(tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]]), shape), axis=(1, 3))
    rows, columns = (tf.minimum(factor[i], size[i] - factor[i] * tf.range(blocks[i])) for i in (0, 1))
    count = tf.cast((rows[:, None] * columns[None, :])[:, :, None], tf.int64)
    # Pillow multiplies by the inverse in 24 bits, which rounds some halves down.
    return tf.cast((tf.cast(total, tf.int64) + count // 2) * (2**24 // count) // 2**24, tf.int32)


def _weights(there: tf.Tensor, extent: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """float64 [wanted, there]: how much of each pixel there is in each that is wanted, in units of 2^-22."""
    scale = extent / tf.cast(wanted, tf.float64)
    wide = tf.maximum(scale, 1.0)
    centers = (tf.cast(tf.range(wanted), tf.float64) + 0.5) * scale
    first, last = (tf.cast(centers + side * 2.0 * wide + 0.5, tf.int32) for side in (-1.0, 1.0))
    places = tf.range(there)[None, :]
    x = tf.abs((tf.cast(places, tf.float64) - centers[:, None] + 0.5) * (1.0 / wide))
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    kernel = tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))
    kernel = tf.where((places >= first[:, None]) & (places < last[:, None]), kernel, 0.0)
    total = tf.cumsum(kernel, axis=1)[:, -1:]  # one after the other, as Pillow adds them up, for the last bit
    whole = 2.0**_BITS * kernel / total
    return tf.sign(whole) * tf.floor(tf.abs(whole) + 0.5)


def _weighted(weights: tf.Tensor, image: tf.Tensor, equation: str) -> tf.Tensor:
    """One direction of a resize, in whole numbers, which float64 holds."""
    total = tf.einsum(equation, weights, tf.cast(image, tf.float64))
    return tf.cast(tf.clip_by_value(tf.floor(total / 2.0**_BITS + 0.5), 0.0, 255.0), tf.int32)


def _gray(image: tf.Tensor) -> tf.Tensor:
    """int32 [h, w, 3] to [h, w, 1], by the weights of ITU-R 601-2, as Pillow has them."""
    total = tf.reduce_sum(image * [19595, 38470, 7471], axis=2, keepdims=True)
    return (total + 2**15) // 2**16

"""Random crops, flips and light: what a photograph could have looked like as well."""

import dataclasses
import math

import tensorflow as tf

from metric_learning import xla
from metric_learning.data.augmentation import sample_by_gathers, sample_by_kernel


@dataclasses.dataclass(frozen=True)
class PhotoAugmentation:
    """Crops images at random, to one size, and changes side and light.

    All images of a batch are changed at once, and what happens to one is a function of its random numbers alone, so a
    run gives the same images again however it is resumed or spread over devices. All but rotation is products of
    matrices, and XLA compiles all of it.

    Args:
        size: (height, width) that comes out; None: that of the images. Crops need an encoder that takes images of any
            size where it is judged on whole ones, see `encoders.pretrained`.
        area: the least share of the image that a crop keeps, above 0; the share is uniform from there to 1.
        aspect: the width of a crop against its height varies by a factor of up to exp(aspect), either way.
        flip: share of the images that are mirrored, left and right.
        brightness, contrast, saturation: vary by up to this share, either way.
        erase: share of the images of which a rectangle, of a tenth to a third of each side, turns gray.
        rotation: up to so many degrees, either way; what comes in at the corners is the image in a mirror.
        gray: share of the images that lose their color.
        blur: share of the images that are blurred, by a Gaussian of a standard deviation of up to a hundredth of the
            longer side, or up to one pixel where that is more.

    Raises:
        ValueError: an argument out of range.

    References:
        Szegedy et al.: Going deeper with convolutions. CVPR 2015 (crops). Zhong et al.: Random erasing data
        augmentation. AAAI 2020. Chen et al.: A simple framework for contrastive learning of visual representations.
        ICML 2020 (gray and blur).
    """

    size: tuple | None = None
    area: float = 0.4
    aspect: float = 0.15
    flip: float = 0.5
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    erase: float = 0.0
    rotation: float = 0.0
    gray: float = 0.0
    blur: float = 0.0

    takes = "images"

    @property
    def num_randoms(self) -> int:
        """Uniform numbers that an image needs: four more if it is rotated, made gray or blurred."""
        return 17 if self.rotation or self.gray or self.blur else 13

    def __post_init__(self):
        if self.size is not None and (len(self.size) != 2 or not all(isinstance(n, int) and n > 0 for n in self.size)):
            raise ValueError(f"augmentation.size must be (height, width), or null; got {self.size}")
        if not 0 < self.area <= 1:
            raise ValueError(f"augmentation.area must be above 0 and at most 1; got {self.area}")
        for name in ("aspect", "rotation"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"augmentation.{name} must be at least 0; got {getattr(self, name)}")
        for name in ("flip", "brightness", "contrast", "saturation", "erase", "gray", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augmentation.{name} is a share, from 0 to 1; got {getattr(self, name)}")

    def __call__(self, images: tf.Tensor, randoms: tf.Tensor) -> tf.Tensor:
        """Changes a batch of images.

        Args:
            images: [B, H, W, C] of values 0 to 255, any dtype.
            randoms: [B, num_randoms] uniform in [0, 1).

        Returns:
            [B, height, width, C] float32, values 0 to 255.
        """
        images = tf.cast(images, tf.float32)
        if self.rotation:
            images = self._rotate(images, randoms[:, 13])
        images = self._crop(images, randoms[:, :5])
        images = self._relight(images, randoms[:, 5:8])
        if self.gray:
            loses_color = (randoms[:, 14] < self.gray)[:, None, None, None]
            images = tf.where(loses_color, tf.reduce_mean(images, axis=-1, keepdims=True), images)
        if self.blur:
            images = self._blur(images, randoms[:, 15:])
        return self._erase(images, randoms[:, 8:]) if self.erase else images

    def _rotate(self, images, randoms):
        angle = (2.0 * randoms - 1.0) * self.rotation * math.pi / 180.0
        x, y = (images.shape[2] - 1) / 2.0, (images.shape[1] - 1) / 2.0  # the center
        cos, sin = tf.cos(angle), tf.sin(angle)
        transforms = tf.stack([cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], axis=1)
        sample = sample_by_gathers if xla.compiling() else sample_by_kernel
        return sample(images, transforms, reflect=True)

    def _crop(self, images, randoms):
        height, width, channels = images.shape[1:]
        out_height, out_width = self.size or (height, width)
        share = self.area + (1.0 - self.area) * randoms[:, 0]
        stretch = tf.exp(self.aspect * (randoms[:, 1] - 0.5))  # of the width, and its inverse of the height
        high = tf.minimum(tf.sqrt(share) / stretch, 1.0) * height
        wide = tf.minimum(tf.sqrt(share) * stretch, 1.0) * width
        rows = resampling(randoms[:, 2] * (height - high), high, height, out_height)
        columns = resampling(randoms[:, 3] * (width - wide), wide, width, out_width)
        columns = tf.where((randoms[:, 4] < self.flip)[:, None, None], columns[:, ::-1], columns)
        cropped = tf.matmul(rows, tf.reshape(images, [-1, height, width * channels]))
        cropped = tf.transpose(tf.reshape(cropped, [-1, out_height, width, channels]), [0, 2, 1, 3])
        cropped = tf.matmul(columns, tf.reshape(cropped, [-1, width, out_height * channels]))
        return tf.transpose(tf.reshape(cropped, [-1, out_width, out_height, channels]), [0, 2, 1, 3])

    def _relight(self, images, randoms):
        brightness, contrast, saturation = (
            1.0 + amount * (2.0 * randoms[:, i, None, None, None] - 1.0)
            for i, amount in enumerate((self.brightness, self.contrast, self.saturation))
        )
        gray = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = gray + saturation * (images - gray)
        mean = tf.reduce_mean(gray, axis=[1, 2], keepdims=True)
        return tf.clip_by_value(brightness * (mean + contrast * (images - mean)), 0.0, 255.0)

    def _blur(self, images, randoms):
        height, width, channels = images.shape[1:]
        deviation = randoms[:, 1] * max(max(height, width) / 100.0, 1.0)
        deviation = tf.where(randoms[:, 0] < self.blur, deviation, 0.0)
        rows, columns = gaussian(deviation, height), gaussian(deviation, width)
        blurred = tf.reshape(tf.matmul(rows, tf.reshape(images, [-1, height, width * channels])), tf.shape(images))
        return tf.einsum("bvw,bhwc->bhvc", columns, blurred)

    def _erase(self, images, randoms):
        inside = []
        for axis in (0, 1):
            size = images.shape[1 + axis]
            length = (0.1 + 0.23 * randoms[:, 1 + axis, None]) * size
            start = randoms[:, 3 + axis, None] * (size - length)
            places = tf.range(size, dtype=tf.float32)[None, :] + 0.5
            inside.append((places >= start) & (places < start + length))
        erased = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        return tf.where(erased & (randoms[:, 0] < self.erase)[:, None, None, None], 127.5, images)


def resampling(start: tf.Tensor, length: tf.Tensor, size: int, out_size: int) -> tf.Tensor:
    """Matrices that take part of a line of pixels to another number of them, without aliasing.

    Args:
        start, length: [B] float32, of the part, in pixels.
        size: pixels of the line.
        out_size: pixels that come out.

    Returns:
        [B, out_size, size] float32, rows that sum to 1: bilinear, as wide as an outgoing pixel where that is wider.
    """
    step = length / out_size
    centers = start[:, None] + (tf.range(out_size, dtype=tf.float32)[None, :] + 0.5) * step[:, None]
    pixels = tf.range(size, dtype=tf.float32) + 0.5
    reach = tf.maximum(step, 1.0)[:, None, None]
    weights = tf.maximum(1.0 - tf.abs(centers[:, :, None] - pixels[None, None, :]) / reach, 0.0)
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def gaussian(deviation: tf.Tensor, size: int) -> tf.Tensor:
    """Matrices that blur a line of pixels.

    Args:
        deviation: [B] float32, standard deviation in pixels, at least 0; 0 leaves the line as it is.
        size: pixels of the line.

    Returns:
        [B, size, size] float32, rows that sum to 1.
    """
    places = tf.range(size, dtype=tf.float32)
    squares = (places[:, None] - places[None, :])[None] ** 2
    # Below a tenth of a pixel the neighbors weigh nothing in float32.
    weights = tf.exp(-0.5 * squares / tf.maximum(deviation, 0.1)[:, None, None] ** 2)
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)

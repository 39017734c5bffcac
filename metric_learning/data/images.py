"""Image files of any size and mode, as uint8 arrays of one shape."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from metric_learning.cores import usable_cores
from metric_learning.data.deep_images import to_8_bits
from metric_learning.data.plain_png import plain_png

FITS = ("letterbox", "stretch")
_SMALL = 2**16  # bytes of a file that are read at once
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def fit_image(
    image: Image.Image,
    image_size: int | Sequence[int],
    *,
    channels: int = 3,
    fit: str = "letterbox",
    box: Sequence[int] | None = None,
) -> np.ndarray:
    """One opened image as the eye sees it, in the size and channels asked for.

    The camera's rotation (EXIF) is applied, transparency becomes white, more than 8 bits become 8
    (see `deep_images`), and palettes, grays, CMYK and bilevel images become plain colors.

    Args:
        image: a Pillow image of any size.
        image_size: (height, width) to come out, or one number for both.
        channels: 3 for RGB, 1 for gray.
        fit: "letterbox" keeps the proportions and fills up with white; "stretch" does not.
        box: (left, top, right, bottom) in pixels of the rotated image, the part to take; None: all of it.

    Returns:
        uint8 [height, width, channels].

    Raises:
        ValueError: an argument is not as above, a box that is not within the image, or the image is deep and its range
            cannot be told.
    """
    height, width = check_image_options(image_size, channels, fit)
    image = to_8_bits(image)
    image.load()  # the rotation may stand behind the pixels
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)  # which copies others, too
    if box is not None:
        if not (0 <= box[0] < box[2] <= image.width and 0 <= box[1] < box[3] <= image.height):
            raise ValueError(f"the box {tuple(box)} is not within the image, {image.width} x {image.height}")
        left, top, right, bottom = box
        image = image.crop((left, top, right, bottom))
    image = _to_colors(image)
    inner = (width, height)
    if fit == "letterbox":
        scale = min(width / image.width, height / image.height)
        # At least one pixel, however long and thin the image is.
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if image.size != inner:
        image = image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if inner != (width, height):
        canvas = Image.new("RGB", (width, height), "white")
        canvas.paste(image, ((width - inner[0]) // 2, (height - inner[1]) // 2))
        image = canvas
    if channels == 1:
        image = image.convert("L")
    return np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, channels)


def _to_colors(image: Image.Image) -> Image.Image:
    """Any Pillow mode of 8 bits as RGB, seen on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def decode_images(
    paths: Sequence[str | Path],
    image_size: int | Sequence[int],
    *,
    channels: int = 3,
    fit: str = "letterbox",
    boxes: Sequence[Sequence[int] | None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode image files in threads.

    Args:
        paths: the files.
        image_size, channels, fit: see `fit_image`.
        boxes: the part of each image, see `fit_image`; None: the whole of all.

    Returns:
        (images, problems): uint8 [n, height, width, channels], of any content where there is no image to be had, and
        the numbers of those paths, with the reason in words.
    """
    height, width = check_image_options(image_size, channels, fit)
    images = np.empty((len(paths), height, width, channels), np.uint8)
    problems = {}
    read = partial(read_image, image_size=image_size, channels=channels, fit=fit)
    with ThreadPoolExecutor(max_workers=min(8, usable_cores())) as pool:
        for i, result in enumerate(pool.map(read, paths, boxes or [None] * len(paths))):
            if isinstance(result, np.ndarray):
                images[i] = result
            else:
                problems[i] = result
    return images, problems


def read_image(path: str | Path, box: Sequence[int] | None = None, **options: Any) -> np.ndarray | str:
    """The image, or in words why there is none."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # opening a pipe waits for somebody to write into it
            return f"{_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file"
        with open(path, "rb") as file:
            return fit_file(file, box=box, **options)
    except FileNotFoundError:
        return "no such file"
    except Image.UnidentifiedImageError:
        return "not an image that Pillow knows"
    # Decoders raise whatever a broken file leads them to: SyntaxError, struct.error, ...
    except Exception as error:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def fit_file(file: BinaryIO, **options: Any) -> np.ndarray:
    """What `fit_image` makes of the image in an open file; raises whatever Pillow does."""
    image = plain_png(file.read(_SMALL))
    if image is not None:
        return fit_image(image, **options)
    file.seek(0)
    with Image.open(file) as image:
        return fit_image(image, **options)


def check_image_options(image_size: int | Sequence[int], channels: int, fit: str) -> tuple[int, int]:
    """Return (height, width), or raise a ValueError that names the wrong argument."""
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    size = tuple(size) if isinstance(size, Sequence) else ()
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(
            "data.image_size must be one positive integer, or two: [height,width], such as data.image_size=224; "
            f"got {image_size}"
        )
    if channels not in (1, 3):
        raise ValueError(f"data.channels must be 1 (gray) or 3 (RGB), got {channels}")
    if fit not in FITS:
        raise ValueError(f"data.fit must be one of {', '.join(FITS)}, got {fit!r}")
    return size

"""Pixels of more than 8 bits, brought to 8: by what the file says of their range, or else by what it holds.

A scanner's 12 bits are often stored in 16, and 8 bits in 32; taking the upper 8 would make such pictures black. So the
number of bits that the values fill is, in this order,

1. what the file says: a TIFF's MaxSampleValue, or its BitsPerSample if it is no multiple of 8; a PNG's sBIT, where the
   values fit it; 16 for a PGM whose header has another maximum than 65535, as Pillow scales its values by that;
2. what holds the largest value of this image, of 8, 12, 16, 24 and 32.

By the second rule a dark picture of 16 bits, with no value above 4095, is taken for 12 bits and becomes 16 times as
bright. Where pictures must keep their brightness among each other, store 8 bits, or say the range in the file.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

_DEPTHS = (8, 12, 16, 24, 32)
_BITS_PER_SAMPLE, _MAX_SAMPLE, _SMIN_SAMPLE, _SMAX_SAMPLE = 258, 281, 340, 341  # TIFF


def to_8_bits(image: Image.Image) -> Image.Image:
    """An image whose modes have 8 bits or less as it is, a deeper one as gray of 8 bits.

    Raises:
        ValueError: floating-point numbers whose range the file does not state, or colors of 16 bits that fill 12 or
            fewer, as Pillow gives the upper 8 of colors only.
    """
    if image.mode == "F":
        return _from_floats(image)
    if image.mode.startswith("I"):
        stated = _stated_bits(image)
        values = np.maximum(np.asarray(image).astype(np.int64), 0)
        highest = int(values.max(initial=0))
        bits = stated if stated and highest < 2**stated else min(d for d in _DEPTHS if highest < 2**d)
        return _with_exif_of(image, values >> (bits - 8) if bits > 8 else values << (8 - bits))
    deep_colors = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    if deep_colors and np.asarray(image.convert("RGB")).max(initial=0) < 16:
        raise ValueError("colors of 16 bits that fill no more than 12, of which only the upper 8 can be read")
    return image


def _stated_bits(image: Image.Image) -> int | None:
    """How many bits the file says that its values fill; None if it does not say."""
    if image.format == "PPM":
        return 16 if any(tile[0] != "raw" for tile in getattr(image, "tile", ())) else None
    if image.format == "PNG":
        return _significant_bits(image)
    tags = getattr(image, "tag_v2", {})
    highest, bits = (_number(tags.get(tag)) for tag in (_MAX_SAMPLE, _BITS_PER_SAMPLE))
    if highest and highest < 2**16 - 1:  # 65535 is what writers put there without looking
        return max(1, int(highest).bit_length())
    return int(bits) if bits and bits % 8 else None


def _number(value) -> float | None:
    """A TIFF tag, which may hold a number for each channel."""
    return value[0] if isinstance(value, tuple) and value else value or None


def _significant_bits(image: Image.Image) -> int | None:
    """The sBIT of a gray PNG, which Pillow leaves unread; values should fill 16 bits all the same, and often do not."""
    file = getattr(image, "fp", None)
    if file is None:
        return None
    place = file.tell()
    try:
        file.seek(8)
        while True:
            length, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"sBIT":
                return file.read(length)[0]
            if kind in (b"IDAT", b"IEND"):
                return None
            file.seek(length + 4, 1)
    except (struct.error, IndexError, OSError):
        return None  # reading the pixels says what is wrong
    finally:
        file.seek(place)


def _from_floats(image: Image.Image) -> Image.Image:
    tags = getattr(image, "tag_v2", {})
    low, high = (_number(tags.get(tag)) for tag in (_SMIN_SAMPLE, _SMAX_SAMPLE))
    low = low or 0.0
    if high is None or not high > low:
        raise ValueError("floating-point pixels without a stated range")
    scaled = (np.asarray(image, np.float64) - low) * (255 / (high - low))
    return _with_exif_of(image, np.rint(np.nan_to_num(scaled)))


def _with_exif_of(image: Image.Image, values: np.ndarray) -> Image.Image:
    gray = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    gray.info["exif"] = image.getexif().tobytes()
    return gray

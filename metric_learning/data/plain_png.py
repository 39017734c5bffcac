"""Small PNG files that hold pixels and nothing else, by Pillow's decoder alone.

Pillow's way of reading files, which is ready for every chunk, takes longer than the pixels of 32 x 32 do.
"""

from __future__ import annotations

import struct
import zlib

from PIL import Image

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}  # by the color type of the file
_MOST_PIXELS = 2**20  # those of larger ones take most of the time anyhow


def plain_png(data: bytes | bytearray) -> Image.Image | None:
    """The image in the bytes of a file, as `Image.open` would read it, or None where that must do it.

    That is: files of other formats, palettes, more or less than 8 bits, interlaced pixels, any chunk besides those that
    every PNG has, such as one with the camera's rotation, and whatever is broken.
    """
    if not data.startswith(_START) or len(data) < 33:
        return None
    width, height, bits, colors, *how, checksum = struct.unpack_from(">2I5BI", data, 16)
    if bits != 8 or colors not in _MODES or any(how) or checksum != zlib.crc32(data[12:29]):
        return None
    if not 0 < width * height <= _MOST_PIXELS:
        return None
    packed, place = [], 33
    while data[place + 4 : place + 8] == b"IDAT":
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        packed.append(data[place + 8 : end])
        place = end + 4
    if data[place + 4 : place + 8] != b"IEND":
        return None
    mode = _MODES[colors]
    try:
        return Image.frombytes(mode, (width, height), b"".join(packed), "zip", mode)
    except Exception:  # `Image.open` says what is wrong
        return None

"""PNG files that hold pixels and nothing else, beside Pillow's own way of reading them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from metric_learning.data.images import fit_file, fit_image
from metric_learning.data.plain_png import plain_png

CHANNELS = {"L": 1, "RGB": 3, "LA": 2, "RGBA": 4}


def picture(mode="RGB"):
    """An image whose lines PNG packs in every way that it has."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 40, CHANNELS[mode]), np.uint8)
    pixels[:9] = np.cumsum(np.cumsum(pixels[:9] % 5, axis=0), axis=1)
    return Image.fromarray(pixels.squeeze())


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def chunks_of(data):
    place, found = 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def file_of(chunks):
    parts = [struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4) for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("mode", CHANNELS)
def test_pixels_are_those_of_the_file(mode):
    image = picture(mode)
    found = plain_png(saved(image))
    assert found.mode == mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(image), strict=True)


def test_pixels_may_lie_in_several_chunks():
    image = picture()
    first, (kind, body), last = chunks_of(saved(image))
    parts = [(kind, body[:50]), (kind, b""), (kind, body[50:60]), (kind, body[60:])]
    np.testing.assert_array_equal(np.asarray(plain_png(file_of([first, *parts, last]))), np.asarray(image))


def changed_header(place, value):
    (kind, body), *others = chunks_of(saved(picture()))
    return file_of([(kind, body[:place] + bytes([value]) + body[place + 1 :]), *others])


def test_lines_that_are_missing_are_black_as_pillow_has_them():
    data = changed_header(7, 200)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(plain_png(data)), np.asarray(image))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    "data",
    [
        saved(picture().convert("P")),
        saved(picture("L").convert("1")),
        saved(Image.fromarray(np.full((4, 4), 25_700, np.uint16))),
        saved(picture(), exif=turned()),
        saved(picture(), transparency=(1, 2, 3)),
        file_of([*chunks_of(saved(picture()))[:2], (b"eXIf", turned().tobytes()), (b"IEND", b"")]),
    ],
    ids=["palette", "1 bit", "16 bits", "rotation", "transparent color", "rotation behind the pixels"],
)
def test_what_needs_more_than_pixels_is_left_to_pillow(data):
    assert plain_png(data) is None
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(fit_file(io.BytesIO(data), image_size=8), fit_image(image, 8), strict=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        saved(picture())[:20],
        saved(picture())[:-100],
        saved(picture())[:100] + bytes(50) + saved(picture())[150:],
        saved(picture()).replace(b"\0\0\0\x0c", b"\0\0\0\x0d"),
        changed_header(3, 0),
        changed_header(0, 127),
        changed_header(11, 1),
    ],
    ids=["empty", "header", "cut", "pixels", "checksum", "no width", "too wide", "filter"],
)
def test_broken_files_are_told_of_by_pillow(data):
    assert plain_png(data) is None
    with pytest.raises(Exception) as expected, Image.open(io.BytesIO(data)) as image:
        fit_image(image, 8)
    with pytest.raises(expected.type):
        fit_file(io.BytesIO(data), image_size=8)


def test_interlaced_pixels_are_left_to_pillow():
    assert plain_png(changed_header(12, 1)) is None

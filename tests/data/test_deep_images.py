"""Pixels of more than 8 bits, in files as Pillow, TensorFlow and others write them: none of them becomes black."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from metric_learning.data.image_files import open_images
from metric_learning.data.images import fit_image

EIGHT = np.array([[0, 17, 40, 85], [100, 127, 128, 150], [170, 200, 220, 254], [255, 3, 4, 5]])


def read(path):
    """[4, 4] grays of a file."""
    images, _, _ = open_images([path], (4, 4), channels=1, cache="memory")
    return images[0, :, :, 0]


def png(values, significant_bits=None):
    """A gray PNG of 16 bits, as its specification says."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    height, width = values.shape
    sbit = b"" if significant_bits is None else chunk(b"sBIT", bytes([significant_bits]))
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + sbit + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(data, size, **tags):
    """A TIFF of one strip; `tags` as t258=12."""
    tags = {256: size, 257: size, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: size, 279: len(data)} | {
        int(name[1:]): value for name, value in tags.items()
    }
    data += b"\0" * (len(data) % 2)
    more, where = b"", {}
    for tag, value in tags.items():
        if isinstance(value, tuple):
            where[tag] = 8 + len(data) + len(more)
            more += struct.pack(f"<{len(value)}H", *value)
    entries = b"".join(
        struct.pack("<HHII", tag, 3, len(value), where[tag])
        if isinstance(value, tuple)
        else struct.pack("<HHIHH", tag, 3, 1, value, 0)
        for tag, value in sorted(tags.items())
    )
    directory = struct.pack("<H", len(tags)) + entries + b"\0" * 4
    return struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(more)) + data + more + directory


@pytest.mark.parametrize("suffix", ["tif", "png", "pgm", "jp2"])
@pytest.mark.parametrize("shift", [0, 4, 8])
def test_16_bits_that_hold_8_12_or_16(tmp_path, suffix, shift):
    Image.fromarray((EIGHT << shift).astype(np.uint16)).save(tmp_path / f"deep.{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"deep.{suffix}"), EIGHT)


@pytest.mark.parametrize("shift", [0, 4, 8, 16, 22])
def test_32_bits_that_hold_fewer(tmp_path, shift):
    Image.fromarray((EIGHT << shift).astype(np.int32)).save(tmp_path / "deep.tif")
    with Image.open(tmp_path / "deep.tif") as image:
        assert image.mode == "I"
    expected = EIGHT >> 2 if shift == 22 else EIGHT  # 30 bits, of which the next depth is 32
    np.testing.assert_array_equal(read(tmp_path / "deep.tif"), expected)


def test_negative_values_are_black():
    image = Image.fromarray(np.array([[-5, 0], [100, 255]], np.int32))
    assert fit_image(image, 2, channels=1)[..., 0].tolist() == [[0, 0], [100, 255]]


@pytest.mark.parametrize(("stated", "factor"), [(4095, 1), (1023, 4), (65535, 1)])
def test_a_tiff_may_state_its_largest_value(tmp_path, stated, factor):
    """No value above 1000: taken alone for 12 bits, and for 10 if the file says so."""
    values = np.minimum(EIGHT << 4, 1000).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.tif", tiffinfo={281: stated})
    np.testing.assert_array_equal(read(tmp_path / "deep.tif"), (values * factor) >> 4)


def test_a_statement_that_the_values_belie_is_ignored(tmp_path):
    Image.fromarray((EIGHT << 8).astype(np.uint16)).save(tmp_path / "deep.tif", tiffinfo={281: 1023})
    np.testing.assert_array_equal(read(tmp_path / "deep.tif"), EIGHT)


def test_a_dark_tiff_of_12_bits_stays_dark(tmp_path):
    values = np.minimum(EIGHT, 90)
    bits = "".join(f"{value:012b}" for value in values.ravel())
    packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    (tmp_path / "deep.tif").write_bytes(tiff(packed, 4, t258=12))
    np.testing.assert_array_equal(read(tmp_path / "deep.tif"), values >> 4)


@pytest.mark.parametrize(
    ("shift", "significant_bits", "expected_shift"),
    [(4, 12, 0), (2, 10, 0), (2, 12, 2), (8, 12, 0), (0, None, 0), (8, None, 0)],
)
def test_a_png_may_state_its_significant_bits(tmp_path, shift, significant_bits, expected_shift):
    (tmp_path / "deep.png").write_bytes(png(EIGHT << shift, significant_bits))
    np.testing.assert_array_equal(read(tmp_path / "deep.png"), EIGHT >> expected_shift)


def test_a_pgm_of_a_smaller_maximum_is_scaled_by_it(tmp_path):
    values = np.minimum(EIGHT, 90)
    (tmp_path / "deep.pgm").write_bytes(b"P5 4 4 4095\n" + values.astype(">u2").tobytes())
    np.testing.assert_allclose(read(tmp_path / "deep.pgm"), values / 16, atol=1)
    (tmp_path / "deep.pgm").write_bytes(b"P2 4 4 1000\n" + " ".join(map(str, values.ravel())).encode())
    np.testing.assert_allclose(read(tmp_path / "deep.pgm"), values * 255 / 1000, atol=1)


def test_floats_are_read_where_the_file_states_their_range(tmp_path):
    values = Image.fromarray((EIGHT / 255 * 6 - 2).astype(np.float32))
    values.save(tmp_path / "stated.tif", tiffinfo={340: -2.0, 341: 4.0})
    np.testing.assert_array_equal(read(tmp_path / "stated.tif"), EIGHT)
    values.save(tmp_path / "plain.tif")
    with pytest.raises(ValueError, match="floating-point pixels without a stated range"):
        read(tmp_path / "plain.tif")


def colors_of_16_bits(tmp_path, values):
    (tmp_path / "deep.png").write_bytes(tf.io.encode_png(values).numpy())
    (tmp_path / "deep.tif").write_bytes(tiff(values.astype("<u2").tobytes(), 4, t258=(16, 16, 16), t262=2, t277=3))
    return tmp_path / "deep.png", tmp_path / "deep.tif"


def test_colors_of_16_bits_are_read_or_named_but_never_black(tmp_path):
    values = np.stack([EIGHT] * 3, axis=-1).astype(np.uint16)
    for path in colors_of_16_bits(tmp_path, values << 8):
        np.testing.assert_array_equal(read(path), EIGHT)
    for shift in (0, 4):
        for path in colors_of_16_bits(tmp_path, values << shift):
            with pytest.raises(ValueError, match=rf"{path.name} \(.*colors of 16 bits that fill no more than 12"):
                read(path)


def test_camera_rotation_of_a_deep_image_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray((EIGHT << 4).astype(np.uint16)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "turned.png"), np.rot90(EIGHT, -1))

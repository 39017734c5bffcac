import os
import socket

import numpy as np
import pytest
from PIL import Image

from metric_learning.data.image_files import open_images
from metric_learning.data.images import fit_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(paths, *arguments, **options):
    """All the files, now, and which of them can be read."""
    return open_images(paths, *arguments, **options, cache="memory")[:2]


def plain(mode, color, size=(4, 4)):
    return Image.new(mode, size, color)


def palette_with_transparency():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((0, 0), 1)
    image.info["transparency"] = 1
    return image


def sixteen_bits(value):
    return Image.fromarray(np.full((4, 4), value, np.uint16))


@pytest.mark.parametrize(
    ("image", "corner", "inside"),
    [
        (plain("RGB", RED), RED, RED),
        (plain("L", 100), (100,) * 3, (100,) * 3),
        (plain("1", 0), (0,) * 3, (0,) * 3),
        (plain("LA", (0, 0)), WHITE, WHITE),
        (plain("LA", (0, 255)), (0,) * 3, (0,) * 3),
        (plain("RGBA", (255, 0, 0, 0)), WHITE, WHITE),
        (plain("RGBA", (255, 0, 0, 51)), (255, 204, 204), (255, 204, 204)),
        (palette_with_transparency(), WHITE, RED),
        (plain("CMYK", (0, 255, 255, 0)), RED, RED),
        (sixteen_bits(25_700), (100,) * 3, (100,) * 3),
        (sixteen_bits(65_535), WHITE, WHITE),
        (plain("I", 25_700), (100,) * 3, (100,) * 3),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_what_the_eye_sees_on_white(image, corner, inside):
    array = fit_image(image, (4, 4))
    assert array.shape == (4, 4, 3)
    assert array.dtype == np.uint8
    np.testing.assert_allclose(array[0, 0], corner, atol=1)
    np.testing.assert_allclose(array[2, 2], inside, atol=1)


def test_saved_16_bit_png_keeps_its_grays(tmp_path):
    sixteen_bits(25_700).save(tmp_path / "deep.png")
    images, _ = read([tmp_path / "deep.png"], (4, 4))
    assert (images == 100).all()


def test_camera_rotation_is_applied(tmp_path):
    image = plain("RGB", WHITE, (8, 4))
    image.paste(RED, (0, 0, 4, 4))  # left half; the camera was held so that it is the top
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    images, _ = read([tmp_path / "turned.png"], (8, 4))
    np.testing.assert_allclose(images[0, :3].mean((0, 1)), RED, atol=8)
    np.testing.assert_allclose(images[0, 5:].mean((0, 1)), WHITE, atol=8)


def test_letterbox_keeps_proportions_and_stretch_does_not():
    wide = plain("RGB", RED, (8, 2))
    boxed = fit_image(wide, (8, 8))
    np.testing.assert_array_equal(boxed[3:5], np.full((2, 8, 3), RED))
    assert (boxed[[0, 1, 2, 5, 6, 7]] == 255).all()
    assert (fit_image(wide, (8, 8), fit="stretch") == np.array(RED)).all()
    assert fit_image(wide, (6, 10)).shape == (6, 10, 3)


def test_image_one_pixel_high_survives():
    assert (fit_image(plain("RGB", RED, (2000, 1)), (16, 16)) != 255).any()


def test_one_channel_is_gray():
    gray = fit_image(plain("RGB", RED), (4, 5), channels=1, fit="stretch")
    assert gray.shape == (4, 5, 1)
    assert (gray == 76).all()  # 0.299 * 255


def test_reads_in_order(tmp_path):
    paths = []
    for value in range(40):
        paths.append(tmp_path / f"{value}.png")
        plain("L", value).save(paths[-1])
    images, readable = read(paths, (4, 4), channels=1)
    assert images[:, 0, 0, 0].tolist() == list(range(40))
    assert readable.all()


@pytest.fixture
def broken(tmp_path):
    plain("L", 7, (64, 64)).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    plain("F", 0.5).save(tmp_path / "float.tiff")
    return [tmp_path / name for name in ("cut.png", "good.png", "text.jpg", "no.png", "float.tiff")]


def test_unreadable_files_are_counted_and_the_first_named(broken):
    with pytest.raises(ValueError) as caught:
        read(broken, (4, 4))
    message = str(caught.value)
    assert "4 of 5 images cannot be read" in message
    for part in ("cut.png (", "text.jpg (not an image", "no.png (no such file)", "skip_unreadable"):
        assert part in message
    assert "good.png" not in message


def test_unreadable_files_can_be_left_out_with_one_warning(broken):
    with pytest.warns(UserWarning, match="4 of 5 images cannot be read") as caught:
        images, readable = read(broken, (4, 4), skip_unreadable=True)
    assert len(caught) == 1
    assert readable.tolist() == [False, True, False, False, False]
    assert images.shape == (1, 4, 4, 3)
    assert (images == 7).all()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image_size", (32,)),
        ("image_size", (32, 0)),
        ("image_size", 0),
        ("image_size", True),
        ("image_size", 2.5),
        ("image_size", "32"),
        ("image_size", (8.0, 8)),
        ("channels", 2),
        ("fit", "crop"),
    ],
)
def test_wrong_option_is_named(option, value):
    with pytest.raises(ValueError, match=f"{option} must be"):
        read([], **{"image_size": (4, 4), option: value})


def test_one_number_is_both_sides():
    assert fit_image(plain("RGB", RED), 6).shape == (6, 6, 3)
    images, _ = read([], 5)
    assert images.shape == (0, 5, 5, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_pipes_sockets_devices_and_folders_are_named_and_never_opened(tmp_path):
    """Opening a pipe waits for a writer, for ever: the test would not end."""
    os.mkfifo(tmp_path / "pipe.png")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket.png"))
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name, kind in (("pipe", "a pipe"), ("socket", "a socket"), ("device", "a device"), ("folder", "a folder")):
        with pytest.raises(ValueError, match=rf"1 of 1 images cannot be read: .*{name}.png \({kind}, not a file\)"):
            read([tmp_path / f"{name}.png"])
    listener.close()

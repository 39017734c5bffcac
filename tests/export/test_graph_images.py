"""The bytes of image files through the graph are what Pillow makes of them, to the last bit where both decode alike."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from metric_learning.data.images import fit_image
from metric_learning.export.graph_images import decode_and_fit

SIZES = [(40, 30), (12, 16), (7, 3), (300, 210), (16, 12), (5, 160), (161, 97)]  # (width, height)


@pytest.fixture(scope="module")
def through_the_graph():
    """`through_the_graph(files, shape, fit)`: uint8 [n, height, width, channels]; each kind of graph is traced once."""
    graphs = {}

    def run(files, shape, fit):
        if (shape, fit) not in graphs:
            signature = [tf.TensorSpec([None], tf.string)]
            graphs[shape, fit] = tf.function(
                lambda contents: decode_and_fit(contents, shape, fit), input_signature=signature, autograph=False
            )
        return graphs[shape, fit](tf.constant(files)).numpy()

    return run


def picture(mode, size, seed=0):
    """Soft blobs with some noise, so that resizing has something to do, in any mode of Pillow."""
    rng = np.random.default_rng(seed)
    bands = len(Image.new(mode, (1, 1)).getbands())
    small = Image.fromarray(rng.integers(256, size=(5, 4, 4), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(small).astype(int) + rng.integers(-40, 40, (*size[::-1], 4)), 0, 255).astype(np.uint8)
    if mode in ("P", "1"):
        return Image.fromarray(noisy[..., :3]).convert(mode)
    return Image.frombytes(mode, size, np.ascontiguousarray(noisy[..., :bands]).tobytes())


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def by_pillow(files, shape, fit):
    options = {"image_size": shape[:2], "channels": shape[2], "fit": fit}
    return np.stack([fit_image(Image.open(io.BytesIO(file)), **options) for file in files])


@pytest.mark.parametrize(("shape", "fit"), [((12, 16, 3), "letterbox"), ((16, 12, 1), "stretch")])
@pytest.mark.parametrize(
    ("mode", "format"),
    [
        *((mode, "png") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")),
        *(("RGB", "bmp"), ("P", "gif"), ("L", "bmp")),
    ],
)
def test_lossless_files_come_out_as_by_pillow(through_the_graph, mode, format, shape, fit):
    files = [saved(picture(mode, size, seed), format) for seed, size in enumerate(SIZES)]
    np.testing.assert_array_equal(through_the_graph(files, shape, fit), by_pillow(files, shape, fit))


def test_a_transparent_color_of_a_palette_is_white(through_the_graph):
    files = [saved(picture("P", (40, 30)), "png", transparency=color) for color in (3, 100)]
    few = picture("RGB", (40, 30)).quantize(9)  # of 4 bits
    files += [saved(few, "png"), saved(few, "png", transparency=3)]
    found = through_the_graph(files, (12, 16, 3), "letterbox")
    np.testing.assert_array_equal(found, by_pillow(files, (12, 16, 3), "letterbox"))


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_comes_out_as_by_pillow(through_the_graph, mode, options):
    files = [saved(picture(mode, size), "webp", **options) for size in SIZES]
    found = through_the_graph(files, (12, 16, 3), "letterbox")
    np.testing.assert_array_equal(found, by_pillow(files, (12, 16, 3), "letterbox"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_comes_out_as_by_pillow(through_the_graph, mode, options):
    files = [saved(picture(mode, size), "jpeg", **options) for size in SIZES]
    found = through_the_graph(files, (12, 16, 3), "letterbox")
    np.testing.assert_array_equal(found, by_pillow(files, (12, 16, 3), "letterbox"))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_a_photograph_is_turned_as_the_camera_was_held(through_the_graph, order):
    files = [saved(picture("RGB", (40, 30)), "jpeg")]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif.endian = order
        exif[0x010F] = "a maker, whose name is long"
        exif[0x0112] = orientation
        files.append(saved(picture("RGB", (40, 30)), "jpeg", exif=exif, icc_profile=b"x" * 300))
    found = through_the_graph(files, (12, 16, 3), "letterbox")
    assert len({image.tobytes() for image in found}) == 8  # none and 1 are the same
    np.testing.assert_array_equal(found, by_pillow(files, (12, 16, 3), "letterbox"))


@pytest.mark.parametrize("cut", [12, 40, 90, 300])
def test_a_damaged_exif_is_no_turn(through_the_graph, cut):
    """Whatever stands there, nothing is read beyond it."""
    whole = saved(picture("RGB", (16, 12)), "jpeg")
    junk = np.random.default_rng(cut).integers(256, size=cut, dtype=np.uint8).tobytes()
    segment = b"Exif\0\0" + junk
    file = whole[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + whole[2:]
    found = through_the_graph([file, whole], (12, 16, 3), "letterbox")
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(through_the_graph, content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        through_the_graph([content], (12, 16, 3), "letterbox")

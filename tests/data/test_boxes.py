"""Boxes of a table are cut out of the images, each an item of its own, and no cache mistakes one for another."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import table
from metric_learning.data.boxes import COLUMNS, parted
from metric_learning.data.images import fit_image
from metric_learning.data.named_items import items_in
from metric_learning.data.raw_items import called, cells_of, images_of

COLORS = {"red": (200, 0, 0), "blue": (0, 0, 200), "lime": (0, 200, 0), "gold": (200, 200, 0)}
PLACES = {
    "red": (0, 0, 6, 4),
    "blue": (6, 0, 12, 4),
    "lime": (0, 4, 6, 8),
    "gold": (6, 4, 12, 8),
}  # left, top, right, bottom
HEADER = "path,label,split,x_1,y_1,x_2,y_2"


@pytest.fixture
def photos(tmp_path):
    """Three images of 12 x 8 whose quarters have a color each."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    for name, (left, top, right, bottom) in PLACES.items():
        pixels[top:bottom, left:right] = COLORS[name]
    for part in range(3):
        pixels[0, 0] = part
        Image.fromarray(pixels).save(tmp_path / f"{part}.png")
    return tmp_path


def write(folder, lines):
    path = folder / "boxes.csv"
    path.write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    return path


def quarters(boxes=True):
    """A row for each quarter of each image, parted by image; a class of an image is the color of its quarter."""
    for part, (name, box) in itertools.product(range(3), PLACES.items()):
        cells = ",".join(map(str, box)) if boxes else ",,,"
        yield f"{part}.png,{name} {part},{('train', 'validation', 'test')[part]},{cells}"


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_each_box_is_an_item_of_what_is_in_it(photos, cache, tmp_path):
    options = {"image_size": 4, "fit": "stretch", "cache": cache, "cache_dir": tmp_path / "cache"}
    for _ in range(2):  # the second time from the cache
        source = table(write(photos, quarters()), **options)
        for part, split in enumerate((source.train, source.validation, source.test)):
            images = np.asarray(split.inputs)
            names = [source.class_names[label].split()[0] for label in split.labels]
            assert sorted(names) == sorted(COLORS)
            for image, name, key in zip(images, names, split.ids, strict=True):
                np.testing.assert_allclose(image[-1, -1], COLORS[name], atol=1)
                assert key == f"{part}.png[{','.join(map(str, PLACES[name]))}]"
            assert len(set(split.contents)) == 4, "boxes of one file are no copies"
    with pytest.warns(UserWarning, match="listed again"):
        whole = table(write(photos, quarters(boxes=False)), **options)
    assert whole.train.ids == ("0.png",) * 4 and len(set(whole.train.contents)) == 1
    assert (np.asarray(whole.train.inputs) == np.asarray(whole.train.inputs)[:1]).all()


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
def test_other_boxes_of_the_same_files_are_never_taken_from_the_cache(photos, tmp_path):
    options = {"image_size": 4, "fit": "stretch", "cache": "disk", "cache_dir": tmp_path / "cache"}
    before = np.asarray(table(write(photos, quarters()), **options).train.inputs)
    moved = [line.replace("0,0,6,4", "3,0,9,4") for line in quarters()]
    now = np.asarray(table(write(photos, moved), **options).train.inputs)
    different = (before != now).any(axis=(1, 2, 3))
    assert different.sum() == 1 and len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
def test_a_row_without_a_box_is_the_whole_image_and_parts_of_pixels_are_rounded(photos):
    lines = list(quarters())
    lines[:2] = ["0.png,red 0,train,,,,", "0.png,blue 0,train,5.6,0.4,12.4,3.6"]
    train = table(write(photos, lines), image_size=[8, 12], fit="stretch").train
    assert train.ids[:2] == ("0.png", "0.png[6,0,12,4]")
    whole, blue = np.asarray(train.inputs)[:2]
    np.testing.assert_array_equal(whole, np.asarray(Image.open(photos / "0.png")), strict=True)
    assert (blue == COLORS["blue"]).all()


def test_a_box_is_of_the_image_as_the_eye_sees_it():
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0, 3] = 255  # after a quarter turn to the right, at the bottom right
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    turned = Image.open(file)
    found = fit_image(turned, 1, box=(1, 3, 2, 4))
    assert found.ravel().tolist() == [255] * 3
    assert fit_image(Image.fromarray(pixels), 1, box=(3, 0, 4, 1)).ravel().tolist() == [255] * 3


@pytest.mark.filterwarnings("ignore:.*nothing to be matched with")
def test_a_table_named_on_a_command_line_has_the_items_that_training_makes_of_it(photos):
    file = write(photos, ["0.png,white 0,train,,,,", *quarters()])
    items, names, labels = items_in(file, "images")
    read = images_of(cells_of(items, "images"), (4, 4, 3), "stretch", {})
    split = table(file, image_size=4, fit="stretch").train
    assert names[:5] == [str(photos / name) for name in split.ids]
    assert labels[:5] == ["white 0", *(f"{name} 0" for name in PLACES)]
    np.testing.assert_array_equal(read[np.arange(5)], split.inputs)


def test_rows_in_python_are_cut_out_too_and_named_by_their_boxes(photos):
    image, box = photos / "0.png", dict(zip(COLUMNS, (5.6, "0.4", 12.4, 3.6), strict=True))
    empty = dict.fromkeys(COLUMNS, float("nan"))  # as pandas has them
    rows = [{"image": each} | box for each in (image, image.read_bytes(), Image.open(image).copy())]
    rows.append({"path": image} | empty)
    found = images_of(cells_of(rows, "images"), (8, 12, 3), "stretch", {})[np.arange(4)]
    assert (found[:3] == COLORS["blue"]).all() and (found[3, -1, -1] == COLORS["gold"]).all()
    assert [called(row, 7) for row in rows] == [f"{image}[6,0,12,4]", "item 7", "item 7", str(image)]
    assert [parted(f"{image}[6,0,12,4]"), parted("a[1,2].png")] == [(str(image), (6, 0, 12, 4)), ("a[1,2].png", None)]
    problems = {}
    images_of(cells_of([{"image": image} | box | {"x_2": 13}], "images"), (4, 4, 3), "stretch", problems)[np.arange(1)]
    assert "the box (6, 0, 13, 4) is not within the image, 12 x 8" in problems[0]


@pytest.mark.parametrize("cells", [{"x_1": 1}, dict.fromkeys(COLUMNS, 1), dict.fromkeys(COLUMNS, "a")])
def test_wrong_boxes_of_rows_are_named(cells):
    with pytest.raises(ValueError, match="item 1: a box must have 0 <= x_1 < x_2 and 0 <= y_1 < y_2, or none of the"):
        cells_of([{"image": "a.png"}, {"image": "b.png"} | cells], "images")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            "1,1,,",
            "must have 0 <= x_1 < x_2 and 0 <= y_1 < y_2, or none of the four; got 1, 1, nan, nan in row 1, counted",
        ),
        ("3,0,3,4", "got 3, 0, 3, 4 in row 1, counted after the header"),
        ("-1,0,3,4", "got -1, 0, 3, 4 in row 1"),
        ("a,0,3,4", "column 'x_1' must hold finite numbers or nothing, and does not in row 1"),
        ("0,0,13,8", r"0.png\[0,0,13,8\] \(ValueError: the box \(0, 0, 13, 8\) is not within the image, 12 x 8\)"),
    ],
)
def test_wrong_boxes_are_named(photos, cells, message):
    lines = list(quarters())
    lines[0] = f"0.png,red 0,train,{cells}"
    with pytest.raises(ValueError, match=message):
        table(write(photos, lines), image_size=4)

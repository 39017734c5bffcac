"""Fixtures in the true form of each benchmark's files, with other counts than the published ones, which is said."""

import zlib

import numpy as np
import pytest
import scipy.io
from PIL import Image

from metric_learning.data import cars196, cub200, inshop, market1501, stanford_online_products

pytestmark = pytest.mark.filterwarnings("ignore:.*are published; scores of this copy")


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(str(path).encode())).integers(256, size=(6, 6, 3))  # no two are copies
    Image.fromarray(noise.astype(np.uint8)).save(path)


def classes_in(split, source):
    return {source.class_names[label] for label in split.labels}


def items_in(source):
    return {
        name: dict(zip(split.captions, [source.class_names[label] for label in split.labels], strict=True))
        for name, split in source.splits.items()
    }


@pytest.fixture
def birds(tmp_path):
    """Two images each of classes 1 to 5, 99 to 103 and 200, numbered as the published files do."""
    root = tmp_path / "CUB_200_2011"
    images, labels, classes = [], [], []
    for label in (*range(1, 6), *range(99, 104), 200):
        name = f"{label:03d}.Bird_{label}"
        classes.append(f"{label} {name}")
        for i in (1, 2):
            number = len(images) + 1
            images.append(f"{number} {name}/Bird_{i:04d}_{number}.jpg")
            labels.append(f"{number} {label}")
            save(root / "images" / name / f"Bird_{i:04d}_{number}.jpg")
    (root / "images.txt").write_text("\n".join(images) + "\n")
    (root / "image_class_labels.txt").write_text("\n".join(labels) + "\n")
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    return root


def test_birds_of_the_first_hundred_classes_are_learned_from(birds):
    source = cub200(birds, image_size=(4, 4))
    learned = classes_in(source.train, source) | classes_in(source.validation, source)
    assert learned == {f"{i:03d}.Bird_{i}" for i in (1, 2, 3, 4, 5, 99, 100)}
    assert classes_in(source.test, source) == {f"{i:03d}.Bird_{i}" for i in (101, 102, 103, 200)}
    assert items_in(source)["test"]["images/101.Bird_101/Bird_0001_15.jpg"] == "101.Bird_101"
    assert len(source.validation.classes) == 2 and source.gallery is None


def test_other_counts_than_the_published_ones_are_said(birds):
    with pytest.warns(UserWarning) as caught:
        cub200(birds)
    said = [str(warning.message) for warning in caught]
    assert said[0].startswith("CUB-200-2011: train has 14 images of 7 classes where 5,864 of 100 are published; scores")
    assert said[1].startswith("CUB-200-2011: test has 8 images of 4 classes where 5,924 of 100 are published; scores")


def test_cars_are_read_from_the_annotations_of_the_archive(tmp_path):
    numbers = [1, 2, 3, 4, 97, 98, 99, 100, 196]
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    rows = []
    for i, number in enumerate([number for number in numbers for _ in range(2)], 1):
        save(tmp_path / "car_ims" / f"{i:06d}.jpg")
        rows.append((f"car_ims/{i:06d}.jpg", 1, 2, 3, 4, number, i % 2))
    annotations = np.array(rows, dtype=[(name, object) for name in fields])
    names = np.array([f"Car {number}" for number in range(1, 197)], object)
    scipy.io.savemat(tmp_path / "cars_annos.mat", {"annotations": annotations[None], "class_names": names[None]})
    source = cars196(tmp_path, image_size=(4, 4))
    assert classes_in(source.test, source) == {"099.Car 99", "100.Car 100", "196.Car 196"}
    assert items_in(source)["test"]["car_ims/000018.jpg"] == "196.Car 196"
    assert len(source.train) + len(source.validation) == 12
    (tmp_path / "cars_annos.mat").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cars_annos.mat is not of the published form"):
        cars196(tmp_path)


def test_products_are_split_by_their_two_files(tmp_path):
    number = 0
    for name, products in (("train", range(1, 7)), ("test", range(11319, 11323))):
        lines = ["image_id class_id super_class_id path"]
        for product in products:
            for i in range(2):
                number += 1
                path = f"bicycle_final/{product}_{i}.JPG"
                lines.append(f"{number} {product} 1 {path}")
                save(tmp_path / path)
        (tmp_path / f"Ebay_{name}.txt").write_text("\n".join(lines) + "\n")
    source = stanford_online_products(tmp_path, image_size=(4, 4))
    assert classes_in(source.test, source) == {"11319", "11320", "11321", "11322"}
    assert items_in(source)["test"]["bicycle_final/11320_1.JPG"] == "11320"
    assert len(source.train) + len(source.validation) == 12 and source.gallery is None


@pytest.mark.parametrize("folder", ["", "Eval"])
def test_garments_are_searched_in_their_gallery(tmp_path, folder):
    lines = []
    for item in range(1, 7):
        lines += [f"img/MEN/id_{item:08d}/0{i}_front.jpg    id_{item:08d}    train" for i in (1, 2)]
    for item in (7, 8):
        lines += [f"img/MEN/id_{item:08d}/01_front.jpg    id_{item:08d}    query"]
        lines += [f"img/MEN/id_{item:08d}/0{i}_side.jpg    id_{item:08d}    gallery" for i in (2, 3)]
    for line in lines:
        save(tmp_path / line.split()[0])
    (tmp_path / folder).mkdir(exist_ok=True)
    text = "\n".join([str(len(lines)), "image_name    item_id    evaluation_status", *lines])
    (tmp_path / folder / "list_eval_partition.txt").write_text(text + "\n")
    source = inshop(tmp_path, image_size=(4, 4))
    assert source.test.captions == tuple(f"img/MEN/id_0000000{i}/01_front.jpg" for i in (7, 8))
    assert len(source.gallery) == 4 and classes_in(source.gallery, source) == {"id_00000007", "id_00000008"}
    assert len(source.train) + len(source.validation) == 12
    (tmp_path / folder / "list_eval_partition.txt").write_text(text.replace("query", "both"))
    with pytest.raises(ValueError, match="evaluation_status must be train, query or gallery, got 'both'"):
        inshop(tmp_path)


def test_persons_are_searched_for_among_other_cameras(tmp_path):
    for person in (2, 7, 10, 11):
        for i in (1, 2):
            save(tmp_path / "bounding_box_train" / f"{person:04d}_c{i}s1_000451_03.jpg")
    for person in (1, 3):
        save(tmp_path / "query" / f"{person:04d}_c1s1_001051_00.jpg")
        for camera in (1, 2, 2):
            frame = len(list((tmp_path).rglob("*.jpg")))
            save(tmp_path / "bounding_box_test" / f"{person:04d}_c{camera}s1_{frame:06d}_01.jpg")
    for name in ("-1_c1s1_000401_03.jpg", "0000_c3s1_000151_01.jpg"):
        save(tmp_path / "bounding_box_test" / name)
    (tmp_path / "query" / "Thumbs.db").write_bytes(b"as the archive has it")
    source = market1501(tmp_path, image_size=(8, 4))
    assert source.test.captions == ("query/0001_c1s1_001051_00.jpg", "query/0003_c1s1_001051_00.jpg")
    assert source.test.groups == ("camera 1", "camera 1")
    assert sorted(zip(classes_of(source.gallery, source), source.gallery.groups, strict=True)) == [
        ("0000", "camera 3"),
        *[("0001", f"camera {i}") for i in (1, 2, 2)],
        *[("0003", f"camera {i}") for i in (1, 2, 2)],
    ]
    save(tmp_path / "query" / "somebody.jpg")
    with pytest.raises(ValueError, match="somebody.jpg must be named after person and camera"):
        market1501(tmp_path)


def classes_of(split, source):
    return [source.class_names[label] for label in split.labels]


@pytest.mark.parametrize("read", [cub200, cars196, stanford_online_products, inshop, market1501])
def test_what_is_missing_is_named(tmp_path, read):
    with pytest.raises(ValueError, match="data.root must be the folder that the archive of .* there is no "):
        read(tmp_path)


def test_lines_of_another_form_are_named(birds):
    (birds / "images.txt").write_text("1 a.jpg\n2\n")
    with pytest.raises(ValueError, match="images.txt, line 2: expected 2 fields"):
        cub200(birds)

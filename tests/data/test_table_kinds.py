"""Tables of other forms than a CSV of texts or images: JSON lines, Parquet, features, queries and galleries, groups."""

import csv as csv_format
import json

import numpy as np
import pytest
from PIL import Image

from metric_learning.data import table

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def write(path, header, rows, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv_format.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def texts(tmp_path):
    """Eight classes of three texts, the labels in no order."""
    rows = [(f"{word} says, number {i}", word) for i in range(3) for word in WORDS[::-1]]
    return write(tmp_path / "pets.csv", ["text", "label"], rows)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for i, word in enumerate(WORDS * 2):
        name = f"pictures/{word}{i}.png"
        Image.new("L", (5, 5), i).save(tmp_path / name)
        rows.append((name, word))
    return write(tmp_path / "pets.csv", ["image", "label"], rows)


def test_json_lines_and_parquet_hold_what_the_csv_holds(texts):
    import pyarrow.csv
    import pyarrow.parquet

    rows = list(csv_format.DictReader(texts.read_text(encoding="utf-8").splitlines()))
    lines = texts.with_suffix(".jsonl")
    lines.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(texts), texts.with_suffix(".parquet"))
    expected = table(texts)
    for path in (lines, texts.with_suffix(".parquet")):
        found = table(path)
        for name, split in expected.splits.items():
            other = found.splits[name]
            assert split.captions == other.captions
            assert (split.labels == other.labels).all()
            assert (split.inputs == other.inputs).all()
    lines.write_text('{"text": "a", "label": "b"}\n{"text": ', encoding="utf-8")
    with pytest.raises(ValueError, match="pets.jsonl, line 2, is no JSON"):
        table(lines)
    lines.write_text('["a"]', encoding="utf-8")
    with pytest.raises(ValueError, match="pets.jsonl, line 1: expected an object"):
        table(lines)
    texts.with_suffix(".parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="pets.parquet is no Parquet file"):
        table(texts.with_suffix(".parquet"))


FEATURES = [([i, -i, i / 2], word) for i, word in enumerate(WORDS * 3)]


def write_features(path, how):
    import pyarrow.parquet

    vectors, labels = zip(*FEATURES, strict=True)
    if how == "columns":
        return write(path / "f.csv", ["a", "b", "c", "label"], [(*vector, label) for vector, label in FEATURES])
    if how == "text":
        return write(path / "f.csv", ["v", "label"], [(str(vector), label) for vector, label in FEATURES])
    if how == "json":
        text = "\n".join(json.dumps({"v": vector, "label": label}) for vector, label in FEATURES)
        (path / "f.jsonl").write_text(text, encoding="utf-8")
        return path / "f.jsonl"
    kind = pyarrow.list_(pyarrow.float32(), 3) if how == "fixed" else pyarrow.list_(pyarrow.float64())
    columns = {"v": pyarrow.array([list(map(float, vector)) for vector in vectors], kind), "label": list(labels)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path / "f.parquet")
    return path / "f.parquet"


@pytest.mark.parametrize("how", ["columns", "text", "json", "list", "fixed"])
def test_features_are_read_from_columns_of_numbers_or_of_vectors(tmp_path, how):
    source = table(write_features(tmp_path, how), features=["a", "b", "c"] if how == "columns" else "v")
    assert source.kind == "features" and source.input_shape == (3,) and source.vocabulary is None
    found = {
        caption: (row.tolist(), source.class_names[label])
        for split in source.splits.values()
        for caption, row, label in zip(split.captions, split.inputs, split.labels, strict=True)
    }
    assert found == {f"row {i + 1}": (vector, word) for i, (vector, word) in enumerate(FEATURES)}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 x", "column 'v' must hold numbers or vectors of them, and does not in row 3"),
        ("", "column 'v' must hold numbers or vectors of them, and does not in row 3"),
        ("1 nan", "column 'v' must hold finite numbers, and does not in row 3"),
        ("1 2 3", r"vectors of column 'v' must be equally long, got \[2, 3\]"),
    ],
)
def test_wrong_vectors_are_named(tmp_path, cell, message):
    rows = [("1 2", word) for word in WORDS]
    rows[2] = (cell, "cat")
    with pytest.raises(ValueError, match=message):
        table(write(tmp_path / "f.csv", ["v", "label"], rows), features="v")


def test_the_table_of_open_metric_learning_works_as_it_is(images, tmp_path):
    """Rows of validation are judged, as queries, in the gallery, or as both; some of train are held out."""
    rows = []
    for i, word in enumerate(WORDS * 2):
        judged = word in ("fox", "gnu", "hen")
        flags = ("True", "False") if i < len(WORDS) else ("False", "True")
        rows.append(
            (word, f"pictures/{word}{i}.png", "validation" if judged else "train", *(flags if judged else ("", "")))
        )
    path = write(tmp_path / "oml.csv", ["label", "path", "split", "is_query", "is_gallery"], rows)
    source = table(path, image_size=(4, 4))
    assert source.names_of(source.test) == source.names_of(source.gallery) == ["fox", "gnu", "hen"]
    assert source.test.captions == ("pictures/fox5.png", "pictures/gnu6.png", "pictures/hen7.png")
    assert source.gallery.captions == ("pictures/fox13.png", "pictures/gnu14.png", "pictures/hen15.png")
    assert len(source.validation.classes) == 2 and len(source.train.classes) == 3
    both = [(*row[:3], "1", "1") for row in rows]
    source = table(write(tmp_path / "oml.csv", ["label", "path", "split", "is_query", "is_gallery"], both))
    assert source.gallery is None and len(source.test) == 6


def test_groups_of_rows_are_those_of_the_column(texts):
    rows = [
        (text, text.split()[0], f"camera {i % 2}")
        for i, text in enumerate(w + f" {n}" for n in range(4) for w in WORDS)
    ]
    source = table(write(texts, ["text", "label", "group"], rows))
    for split in source.splits.values():
        assert split.groups == tuple(
            dict((text, group) for text, _, group in rows)[caption] for caption in split.captions
        )
    assert table(texts, group="").test.groups is None


def test_classes_that_are_seen_are_parted_by_items(texts):
    rows = [(f"{word} {i}", word) for word in WORDS for i in range(20)]
    source = table(
        write(texts, ["text", "label"], rows), unseen_classes=False, test_fraction=0.3, validation_fraction=0.2
    )
    sizes = {name: np.bincount(split.labels, minlength=8).tolist() for name, split in source.splits.items()}
    assert sizes["test"] == [6] * 8
    assert sum(sizes["validation"]) == 22 and set(sizes["validation"]) == {2, 3}
    items = [caption for split in source.splits.values() for caption in split.captions]
    assert sorted(items) == sorted(text for text, _ in rows)

"""Suspicious labels as a table to correct and as a picture."""

import csv
import io
import types

import numpy as np
import pytest

from metric_learning.report.sections import labels_section
from metric_learning.report.suspicions import Joined, moved_to, suspicions_among, to_csv, write_suspicions


@pytest.fixture
def splits():
    """Two splits of items around three places, one item with the wrong label and one that is in both."""
    rng = np.random.default_rng(0)
    places = np.arange(24) % 3
    rows = (np.eye(3)[places] * 5 + rng.normal(size=(24, 3)) * 0.1).astype(np.float32)
    labels = places.copy()
    labels[4] = 2
    pixels = np.full((24, 6, 6, 3), 255, np.uint8) - np.uint8(60) * places.astype(np.uint8)[:, None, None, None]
    names = tuple(f'the "{row}", $x_' for row in range(24))

    def split(of):
        ids = tuple(f"id{row}" for row in of)
        captions = tuple(names[row] for row in of)
        return types.SimpleNamespace(inputs=pixels[of], labels=labels[of], captions=captions, ids=ids)

    parts = [np.arange(10), np.r_[4, 10:24]]
    return [split(part) for part in parts], np.concatenate([rows[part] for part in parts])


def test_splits_are_joined_and_an_item_of_two_is_judged_once(splits):
    splits, rows = splits
    items = Joined(splits)
    assert len(items) == 25 and items.shape == (25, 6, 6, 3) and items.ids[10] == "id4"
    np.testing.assert_array_equal(items.inputs[[3, 24, 10]], [splits[0].inputs[3], *splits[1].inputs[[14, 0]]])
    (found,) = suspicions_among(items, rows, np.ones(25, bool))
    assert found[:3] == (4, 2, 1) and 10 not in found.neighbors
    assert suspicions_among(items, rows, np.arange(25) != 4) == []

    turned = Joined(splits[::-1])
    (there,) = moved_to(turned, [found], items)
    assert turned.ids[there.row] == "id4" and there.row == 0
    assert [turned.ids[row] for row in there.neighbors] == [items.ids[row] for row in found.neighbors]
    with pytest.raises(ValueError, match="item 'id4' of one run is not in another; runs must be of one data set"):
        moved_to(Joined([types.SimpleNamespace(**vars(splits[1]) | {"ids": None})]), [found], items)


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_a_table_to_correct_and_a_picture_are_written(kind, splits, tmp_path):
    splits, rows = splits
    if kind == "texts":
        for split in splits:
            split.inputs = np.ones((len(split.labels), 4), np.int32)
    items = Joined(splits)
    found = suspicions_among(items, rows, np.ones(25, bool))
    names = ["ant", "bee, red", "中"]
    paths = write_suspicions(tmp_path / "new", items, found, names, title="emoji \U0001f980")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "new" / "suspicious_labels.csv").read_text(encoding="utf-8")))
    near = row.pop("neighbors").split()
    assert row == {
        "id": "id4",
        "caption": 'the "4", $x_',
        "given_label": "中",
        "proposed_label": "bee, red",
        "agreement": f"{found[0].agreement:.4f}",
        "correct_label": "",
    }
    assert len(near) == 5 and all(int(name.removeprefix("id")) % 3 == 1 for name in near)
    assert paths["suspicious_labels"].stat().st_size > 5000
    nothing = write_suspicions(tmp_path, items, [], names)
    assert nothing["suspicious_labels"].exists() and to_csv(items, [], names).count("\n") == 1


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_a_page_shows_them_and_takes_names_for_what_they_are(kind, splits):
    splits, rows = splits
    if kind == "texts":
        for split in splits:
            split.inputs = np.ones((len(split.labels), 4), np.int32)
    items = Joined(splits)
    found = suspicions_among(items, rows, np.ones(25, bool))
    html = labels_section(items, found, ["<ant>", "bee", "cow"]).html
    assert "1 of 25 items" in html and "cow <span" in html and "or</span> bee?" in html
    assert html.count("<img") == (2 + 3 + 3 if kind == "images" else 0)
    assert "&#34;4&#34;" in html and "<ant>" not in html
    assert "No item lies among" in labels_section(items, [], ["a", "b", "c"]).html

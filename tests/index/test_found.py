"""What was found is told alike as text, JSON, CSV and picture."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from metric_learning.index import Hit
from metric_learning.index.found import Named, as_text, check_out, in_csv, in_json, show_found
from metric_learning.report.pictures import hit_gallery

FOUND = [[Hit("a", 0.25, "ant", {"price": 3}), Hit("b, c", 0.5)], []]
NAMES = ["first", 'the "second"']


def test_text_json_and_csv_say_the_same():
    assert as_text(NAMES, FOUND) == 'first\n    0.2500  a  (ant)\n    0.5000  b, c\nthe "second"  no match'
    answers = json.loads(in_json(NAMES, FOUND))
    assert [answer["query"] for answer in answers] == NAMES and answers[1]["hits"] == []
    assert answers[0]["hits"][0] == {"id": "a", "distance": 0.25, "label": "ant", "metadata": {"price": 3}}
    assert list(csv.reader(io.StringIO(in_csv(NAMES, FOUND)))) == [
        ["query", "rank", "distance", "id", "label"],
        ["first", "1", "0.25", "a", "ant"],
        ["first", "2", "0.5", "b, c", ""],
        ['the "second"', "", "", "", ""],
    ]


def shown(kind, names, found, labels=None, **options):
    show_found(Named(kind, names, names, labels, np.zeros((len(names), 2))), found, draw=hit_gallery, **options)


def test_files_are_written_by_their_ending(tmp_path, capsys):
    shown("texts", NAMES, FOUND)
    shown("texts", NAMES, FOUND, as_json=True)
    assert capsys.readouterr().out == as_text(NAMES, FOUND) + "\n" + in_json(NAMES, FOUND) + "\n"
    for name, text in (("hits.json", in_json(NAMES, FOUND) + "\n"), ("new/hits.csv", in_csv(NAMES, FOUND))):
        shown("texts", NAMES, FOUND, out=tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert capsys.readouterr().out.count("what was found for 2 queries is in ") == 2
    check_out(None)
    with pytest.raises(ValueError, match="out must end in .json, .csv, .png; got hits.txt"):
        check_out("hits.txt")


def colors(path):
    with Image.open(path) as picture:
        return picture.size, {color for _, color in picture.convert("RGB").getcolors(2**20)}


def test_pictures_show_the_images_and_who_is_right(tmp_path):
    for name, color in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (40, 20), color).save(tmp_path / f"{name}.png")
    red, blue = (str(tmp_path / f"{name}.png") for name in ("red", "blue"))
    found = [[Hit(blue, 0.1, "cold"), Hit("gone", 0.2, "warm")], []]
    shown("images", [red, red], found, ["warm", "warm"], out=tmp_path / "hits.png")
    (width, height), drawn = colors(tmp_path / "hits.png")
    assert {(255, 0, 0), (0, 0, 255), (26, 143, 76), (212, 53, 44)} <= drawn  # both images, a green and a red frame
    shown("images", [red], [[Hit(blue, 0.1)]], out=tmp_path / "unlabeled.png")
    (_, lower), drawn = colors(tmp_path / "unlabeled.png")
    assert lower < height and not {(26, 143, 76), (212, 53, 44)} & drawn
    shown("texts", NAMES * 40, FOUND * 40, ["ant", "bee"] * 40, out=tmp_path / "texts.png")
    assert colors(tmp_path / "texts.png")[0][1] < 84 + 50 * 4 * 19 + 20  # the first 50
    assert [path.name for path in tmp_path.glob(".*")] == []

"""The page of a report: whole, small, the same every time, and safe whatever captions and names hold."""

import html.parser
import json
import re
import types

import numpy as np
import pytest

from metric_learning.evaluation import curve_of, evaluate, nearest_of_all
from metric_learning.report import Background, Section, put_section, write_report
from metric_learning.report.judged import shortened
from metric_learning.report.page import chart, render, write_page

EVIL = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "<!--section scores--><!--end scores-->",
    "<!-- <script>",
    "{{ 7 * 7 }} & ' \u2028 \U0001f980",
]
HISTORY = [
    {"step": step, "train/loss": 1 / step} | ({"validation/map@r": 0.1 + 0.01 * step} if step % 5 == 0 else {})
    for step in range(1, 31)
]
NAMES = ["scores", "queries", "confusions", "map", "distances", "thresholds", "classes", "training", "settings"]


class Parsed(html.parser.HTMLParser):
    """Elements by tag with their attributes, texts of scripts, all other text, and addresses of headings."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.text, self.within = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.within = tag
        if tag == "script":
            self.scripts.append((dict(attributes).get("type"), ""))

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = kind, before + data
        elif self.within != "style":
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def rows_and_labels(count=60, classes=6, spread=1.2):
    labels = np.arange(count) % classes
    rng = np.random.default_rng(0)
    return rng.normal(size=(classes, 8))[labels] + spread * rng.normal(size=(count, 8)), labels


def items(kind, labels, captions):
    shape = (len(labels), 9, 7, 3) if kind == "images" else (len(labels), 4)
    dtype = np.uint8 if kind == "images" else np.int32
    inputs = np.random.default_rng(2).integers(0, 256, size=shape).astype(dtype)
    return types.SimpleNamespace(inputs=inputs, labels=labels, captions=tuple(captions))


@pytest.fixture(scope="module", params=["images", "texts"])
def page(request, tmp_path_factory):
    rows, labels = rows_and_labels()
    split = items(request.param, labels, [EVIL[i % len(EVIL)] for i in range(60)])
    curve = curve_of(nearest_of_all(rows, labels))
    background = Background(
        about=EVIL[0],
        curve=curve,
        environment={"command": f"train.py {EVIL[1]}", "python": "3.11", "packages": {"keras": "3"}},
        settings=f"loss: {json.dumps(EVIL[0])}\nsteps: 30\n",
    )
    options = {"class_names": EVIL, "title": EVIL[1], "history": HISTORY, "untrained_embeddings": rows[:, :3]}
    folder = tmp_path_factory.mktemp(request.param)
    found = evaluate(rows, labels)
    paths = write_report(folder, split, rows, found, background=background, **options)
    return types.SimpleNamespace(
        text=paths["page"].read_text(encoding="utf-8"),
        again=lambda to: write_report(to, split, rows, found, background=background, **options)["page"],
        kind=request.param,
        path=paths["page"],
    )


def test_has_all_sections_with_headings_and_links(page):
    parsed = Parsed(page.text)
    assert [each["id"] for each in parsed.all("section")] == NAMES
    assert [each["href"] for each in parsed.all("a")] == ["#content", *(f"#{name}" for name in NAMES)]
    assert [tag for tag, _ in parsed.elements if re.fullmatch("h[12]", tag)] == ["h1", *["h2"] * len(NAMES)]
    for name in NAMES:
        assert f'aria-labelledby="{name}-title"' in page.text and f'id="{name}-title"' in page.text


def test_nothing_of_the_user_becomes_markup_or_code(page):
    parsed = Parsed(page.text)
    kinds = [kind for kind, _ in parsed.scripts]
    assert kinds.count(None) == kinds.count("text/plain") == 1  # the page's own, and the library, which that one runs
    assert set(kinds) == {None, "text/plain", "application/json"}
    assert not [each for each in parsed.all("img") if "onerror" in each or not each["src"].startswith("data:")]
    assert "alert(1)" not in "".join(text for kind, text in parsed.scripts if kind != "application/json")
    words = "".join(parsed.text)
    for text in EVIL[:2]:
        assert text in words
    assert "49" not in re.findall(r"(?m)^\s*(\d+) &", words)
    islands = [json.loads(text) for kind, text in parsed.scripts if kind == "application/json"]
    drawn = next(each for each in islands if "signals" in each)
    values = next(each for each in drawn["data"] if each["name"] == "items")["values"]
    assert {each["class"] for each in values} == {shortened(name, 40) for name in EVIL}


def test_pictures_have_words_and_come_with_the_page(page):
    pictures = Parsed(page.text).all("img")
    assert bool(pictures) == (page.kind == "images")
    assert all("alt" in each and each["src"].startswith("data:image/webp;base64,") for each in pictures)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text.split("<script>")[0])


def test_is_small_and_the_same_every_time(page, tmp_path):
    assert len(page.text.encode()) < 5_000_000
    assert page.again(tmp_path / "again").read_text(encoding="utf-8") == page.text


def test_a_section_is_put_in_its_place_or_behind_the_others(page, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page.text, encoding="utf-8")
    put_section(path, Section("labels", EVIL[0], "<p>one \\1 way</p>"))
    put_section(path, Section("labels", EVIL[0], "<p>another \\1 way</p>"))
    put_section(path, Section("scores", "Scores", "<p>none</p>"))
    text = path.read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert [each["id"] for each in parsed.all("section")] == [*NAMES, "labels"]
    assert "one \\1 way" not in text and "another \\1 way" in text and "<p>none</p>" in text
    assert parsed.all("a")[-1]["href"] == "#labels"
    (tmp_path / "other.html").write_text("<p>hello</p>")
    with pytest.raises(ValueError, match="other.html is no page of a report"):
        put_section(tmp_path / "other.html", Section("labels", "Labels", ""))
    with pytest.raises(ValueError, match="a section's name must be"):
        put_section(path, Section("Labels!", "Labels", ""))


class Noise:
    """Images that no format makes small, made when they are asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, count, side):
        self.shape = (count, side, side, 3)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        one = np.ndim(rows) == 0
        made = [
            np.random.default_rng(int(row)).integers(0, 256, self.shape[1:], np.uint8) for row in np.atleast_1d(rows)
        ]
        return made[0] if one else np.stack(made)


@pytest.mark.slow
def test_a_page_of_many_large_items_is_small_and_says_what_is_left_out(tmp_path):
    count, classes = 6000, 2000
    rows, labels = rows_and_labels(count, classes, spread=0.5)
    split = types.SimpleNamespace(inputs=Noise(count, 160), labels=labels, captions=["\u4e2d" * 5000] * count)
    names = [f"{label} " + "\u4e2d" * 500 for label in range(classes)]
    paths = write_report(tmp_path, split, rows, evaluate(rows, labels), class_names=names)
    text = paths["page"].read_text(encoding="utf-8")
    assert 2_000_000 < len(text.encode()) < 5_000_000
    words = " ".join("".join(Parsed(text).text).split())
    assert "The 1,000 of 2,000 classes with the lowest and the highest map@r" in words
    assert "of 6,000 embeddings" in words and "Some pictures are left out to keep this file small" in words


def test_numbers_that_are_none_become_null_and_unknown_parameters_are_refused():
    drawn = chart("training.vl.json", {"points": [{"step": 1.0, "value": float("nan")}]}, dots=True)
    assert drawn["datasets"]["points"] == [{"step": 1.0, "value": None}] and drawn["params"][0]["value"] is True
    assert chart("training.vl.json")["datasets"]["points"] == []
    with pytest.raises(ValueError, match="training.vl.json has the parameters dots; got dott"):
        chart("training.vl.json", dott=True)


def test_a_value_that_a_template_misses_is_an_error():
    with pytest.raises(Exception, match="'chosen' is undefined|is undefined"):
        render("thresholds.html", judged_on="validation")


def test_a_page_is_written_whole_with_its_folder(tmp_path):
    path = write_page(tmp_path / "new" / "index.html", "Title", "About", [Section("one", "One", "<p>1</p>")])
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [each.name for each in path.parent.iterdir()] == ["index.html"]

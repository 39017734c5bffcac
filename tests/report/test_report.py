"""The report of a small run: every picture is drawn, readable and true to the evaluation."""

import types

import matplotlib
import numpy as np
import pytest
from PIL import Image

from metric_learning.evaluation import evaluate
from metric_learning.evaluation.judge import SplitEvaluation
from metric_learning.report import report_run, run_table, scores_table, write_report
from metric_learning.report.pictures import neighbor_gallery, neighbor_table

HISTORY = [
    {"step": step, "train/loss": 1 / step, "train/active_fraction": 0.5, "learning_rate": 0.1 / step}
    | ({"validation/recall@1": 0.2 + 0.01 * step, "validation/map@r": 0.1} if step % 5 == 0 else {})
    for step in range(1, 31)
]
# Polish, Turkish and Hungarian letters are drawn; an emoji, Chinese, a formula sign and line breaks must not disturb.
CAPTIONS = [
    "żółć ığdır",
    "ő ű",
    "\U0001f980 face",
    "中文字",
    "$x_$ \U0001d5a0",
    "two\nlines\t| tab",
    "",
    "a" * 300,
]


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(5, 6))[np.arange(60) % 5] + 0.8 * np.random.default_rng(1).normal(
        size=(60, 6)
    )


@pytest.fixture
def images():
    pixels = np.random.default_rng(2).integers(0, 256, size=(60, 9, 7, 3), dtype=np.uint8)
    return types.SimpleNamespace(inputs=pixels, labels=np.arange(60) % 5, captions=tuple((CAPTIONS * 8)[:60]))


@pytest.fixture
def texts(images):
    tokens = np.ones((60, 4), np.int32)
    return types.SimpleNamespace(inputs=tokens, labels=images.labels, captions=images.captions)


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def number_of(pixels, color):
    """How many pixels have exactly this color."""
    return int((pixels == [int(color[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).sum())


def assert_drawn(path):
    pixels = pixels_of(path)
    assert min(pixels.shape[:2]) > 300
    assert pixels.std() > 5 and (pixels == 255).all(axis=-1).mean() > 0.1


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_draws_all_pictures(kind, embeddings, tmp_path, request):
    split = request.getfixturevalue(kind)
    before = dict(matplotlib.rcParams)
    paths = write_report(
        tmp_path / "new" / "report",
        split,
        embeddings,
        evaluate(embeddings, split.labels),
        history=HISTORY,
        untrained_embeddings=embeddings[:, :3],
        class_names=CAPTIONS,
        title="shapes $ \U0001f980 test",
    )
    assert list(paths) == ["training_curves", "neighbors", "embedding_map", "distance_histograms", "page"]
    assert paths.pop("page").name == "index.html"
    for path in paths.values():
        assert_drawn(path)
    assert (tmp_path / "new" / "report" / "neighbors.md").exists() == (kind == "texts")
    assert dict(matplotlib.rcParams) == before, "settings leak into the next run of a sweep"


def test_leaves_out_the_curves_without_a_history(texts, embeddings, tmp_path):
    paths = write_report(tmp_path, texts, embeddings, evaluate(embeddings, texts.labels))
    assert "training_curves" not in paths and not (tmp_path / "training_curves.png").exists()


def test_same_run_gives_the_same_pictures(images, embeddings, tmp_path):
    found = evaluate(embeddings, images.labels)
    once = write_report(tmp_path / "1", images, embeddings, found, history=HISTORY)
    again = write_report(tmp_path / "2", images, embeddings, found, history=HISTORY)
    for name in once:
        assert once[name].read_bytes() == again[name].read_bytes(), name


def test_gallery_frames_right_and_wrong_neighbors(tmp_path):
    """White images, so that colored pixels are frames: 4 pixels around tiles of 88."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    split = types.SimpleNamespace(inputs=np.full((6, 8, 8, 1), 255, np.uint8), labels=labels, captions=[""] * 6)
    frame = 88**2 - 80**2
    # Two right neighbors and one wrong for every query of class 0; the others find only wrong ones.
    embeddings = np.array([0.0, 1, 2, 10, -10, 30])[:, None]
    found = evaluate(embeddings, labels, ks=(1,), distance="euclidean", keep=3)
    right = int((labels[found.neighbors.indices] == labels[:, None]).sum())
    assert 6 <= right < 18
    pixels = pixels_of(neighbor_gallery(tmp_path / "g.png", split, found.neighbors, found.per_query["map@r"]))
    assert number_of(pixels, "#1a8f4c") == pytest.approx(right * frame, rel=0.03)
    assert number_of(pixels, "#d4352c") == pytest.approx((18 - right) * frame, rel=0.03)


def test_gallery_shows_rows_of_the_searched_gallery(tmp_path):
    queries = types.SimpleNamespace(inputs=np.zeros((2, 4, 4, 3), np.uint8), labels=np.array([0, 1]), captions="qr")
    blue = np.zeros((3, 4, 4, 3), np.uint8) + np.array([0, 0, 200], np.uint8)
    gallery = types.SimpleNamespace(inputs=blue, labels=np.array([0, 0, 1]), captions="abc")
    found = evaluate(
        np.eye(2), queries.labels, gallery_embeddings=np.eye(2)[[0, 0, 1]], gallery_labels=gallery.labels, ks=(1,)
    )
    pixels = pixels_of(
        neighbor_gallery(tmp_path / "g.png", queries, found.neighbors, found.per_query["map@r"], gallery=gallery)
    )
    assert number_of(pixels, "#0000c8") == 6 * 80**2


def test_table_marks_wrong_neighbors_and_keeps_markup_out(tmp_path):
    split = types.SimpleNamespace(labels=np.array([0, 0, 1]), captions=["a|b", "*c*", "d\ne"])
    found = evaluate([[0.0], [1], [3]], split.labels, ks=(1,), distance="euclidean", keep=2)
    neighbor_table(
        tmp_path / "t.png",
        split,
        found.neighbors,
        found.per_query["map@r"],
        class_names=("zero", "one"),
        title="Neighbors",
    )
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert text.startswith("# Neighbors\n\n2 queries")  # the query without positives has nothing to find
    assert "| \u2713 | 1.000 | \\*c\\* | zero |\n| \u2717 | 3.000 | d e | **one** |" in text
    assert "## a\\|b\n\nclass **zero**, AP 1.00" in text
    assert "| \u2713 | 1.000 | a\\|b | zero |" in text


def test_scores_table():
    columns = {
        "untrained": {"recall@1": 0.25, "map@r": 1.0, "queries": 5131},
        "emoji test, trained": {"recall@1": 0.58126, "recall@100": 0.9, "queries": np.int64(12)},
    }
    assert scores_table(columns) == "\n".join(
        [
            "            untrained  emoji test, trained",
            "recall@1       0.2500               0.5813",
            "map@r          1.0000                    -",
            "queries         5,131                   12",
            "recall@100          -               0.9000",
        ]
    )


def test_the_table_of_a_run_has_intervals_and_fits_a_screen():
    names = ["recall@1", "map@r"]
    scores = {
        f"{state}{split}/{name}": 0.5
        for state in ("untrained/", "")
        for split in ("validation", "test")
        for name in names
    }
    scores |= {"best_step": 3, "test/queries_without_positives": 7, "test/geometry/uniformity": -0.7}
    intervals = {"test/recall@1": [0.4649, 1.0], "test/geometry/uniformity": [-1.25, -0.1]}
    table = run_table(scores | {"intervals": intervals}).splitlines()
    assert max(map(len, table)) <= 120
    assert "0.5000 (.46 to 1.00)" in table[1] and table[1].count("0.5000") == 4 and table[1].count("to") == 1
    assert "-0.7000 (-1.25 to -.10)" in "".join(table) and "       7" in table[-2] + table[-1]
    assert run_table(scores).count(" to ") == 0


def test_what_did_not_train_is_shown_once(tmp_path, embeddings, texts):
    source = types.SimpleNamespace(
        name="numbers", test=texts, gallery=None, class_names=None, card={}, describe=lambda: "60 texts"
    )
    found = {"test": SplitEvaluation("test", evaluate(embeddings, texts.labels), embeddings)}
    shown = {}
    for name, untrained in (("same", found), ("other", dict(found)), ("none", None)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("metric_learning.report.report.report_data", lambda *_, **__: ({}, []))
            page = report_run(tmp_path / name, source, found, untrained, title="a test")["page"]
        shown[name] = page.read_text()
    assert shown["same"] == shown["none"]
    assert "test, untrained" in shown["other"] and "test, untrained" not in shown["same"]

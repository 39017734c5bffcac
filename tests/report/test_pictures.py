"""What the pictures say is checked here; that they are drawn at all, in test_report."""

import types

import numpy as np
import pytest
from PIL import Image, ImageChops

from metric_learning.report.pairs import pairs_of_encoders
from metric_learning.report.pictures import canvas, distance_histograms, embedding_map, neighbors, training_curves
from metric_learning.report.pictures.curves import best_step, series_of, smoothed
from metric_learning.report.pictures.embedding_map import _free_cells, plane, principal_components, whole_classes
from metric_learning.report.pictures.sheet import Sheet


def test_queries_are_spread_over_the_ranking():
    precision = np.linspace(0, 1, 101)
    precision[50] = np.nan  # a query without positives
    order = np.random.default_rng(0).permutation(101)
    rows = neighbors.spread_queries(precision[order], 4)
    np.testing.assert_allclose(precision[order][rows], [0.88, 0.63, 0.37, 0.12], atol=0.011)
    assert len(neighbors.spread_queries(precision, 1000)) == 100
    assert len(neighbors.spread_queries(np.full(3, np.nan), 5)) == 0


def test_queries_of_equal_precision_are_of_many_classes():
    rows = neighbors.spread_queries(np.zeros(1000), 10)
    assert rows.max() > 500 and rows.min() < 500 and len(set(rows // 100)) > 4


@pytest.fixture
def fallbacks(monkeypatch):
    """`fallbacks(*names)`: only these fonts stand in for DejaVu Sans, whatever the machine has."""

    def choose(*names):
        monkeypatch.setattr(canvas, "FALLBACKS", names)
        for cached in (canvas.families, canvas.characters):
            cached.cache_clear()

    yield choose
    monkeypatch.undo()
    choose(*canvas.FALLBACKS)


def test_text_that_only_another_font_has_is_drawn_by_it(fallbacks, tmp_path):
    """STIX comes with matplotlib and has letters that DejaVu Sans lacks, as a font of Chinese does."""
    drawn = {}
    for fonts in ((), ("No Such Font",), ("No Such Font", "STIXGeneral")):
        fallbacks(*fonts)
        letters = "\u24c6\U0001d404 caf\xe9"
        sheet, figure = Sheet(200, 60), canvas.new_figure(200, 60)
        sheet.write(10, 30, letters)
        sheet.write(90, 30, letters, weight="bold")
        canvas.heading(figure, letters, letters)
        paths = sheet.save(tmp_path / "sheet.png"), canvas.save(figure, tmp_path / "figure.png")
        drawn[fonts] = canvas.legible(letters), *(path.read_bytes() for path in paths)
    assert drawn[()] == drawn["No Such Font",]
    assert drawn[()][0] == "\u25a1\u25a1 caf\xe9" and drawn["No Such Font", "STIXGeneral"][0] == letters
    for before, after in zip(drawn[()], drawn["No Such Font", "STIXGeneral"], strict=True):
        assert before != after


def ink(sheet, tmp_path):
    """(left, top, right, bottom) of what is not white, right and bottom behind the last pixel."""
    with Image.open(sheet.save(tmp_path / "sheet.png")) as image:
        return ImageChops.invert(image).getbbox()


@pytest.mark.parametrize(("ha", "left"), [("left", 100), ("center", 50), ("right", 0)])
def test_text_stands_at_its_place(ha, left, tmp_path):
    sheet = Sheet(300, 80)
    sheet.write(100, 40, "H" * 6, size=12, ha=ha)
    found = ink(sheet, tmp_path)
    width, height = found[2] - found[0], found[3] - found[1]
    assert width == pytest.approx(6 * 12.5, abs=3) and height == pytest.approx(12, abs=1)
    assert found[0] == pytest.approx(100 - (100 - left) / 100 * width, abs=3)
    assert found[1] + height / 2 == pytest.approx(40, abs=2)


@pytest.mark.parametrize("room", [4, 40, 95, 500])
def test_text_is_shortened_to_its_room(room, tmp_path):
    sheet, bare = Sheet(600, 40), Sheet(600, 40)
    sheet.write(0, 20, "Wide or iiiiii and wide", room=room)
    bare.write(0, 20, "Wide or iiiiii and wide")
    length, whole = ink(sheet, tmp_path)[2], ink(bare, tmp_path)[2]
    assert length == whole if room == 500 else room / 2 <= length <= max(room, 14) < whole


def test_images_and_dots_stand_at_their_places(tmp_path):
    sheet = Sheet(60, 50)
    sheet.put(Image.new("RGB", (6, 4), (7, 7, 7)), 10, 20)
    sheet.fill(30, 5, 3, 2, "#0a141e")
    sheet.dots([[50.0, 40.0]], ["#ff0000"], 8)
    pixels = np.asarray(Image.open(sheet.save(tmp_path / "new" / "sheet.png"))).astype(int)
    assert (pixels[20:24, 10:16] == 7).all() and (pixels[5:7, 30:33] == [10, 20, 30]).all()
    dot = pixels[36:44, 46:54]
    assert (dot[3:5, 3:5] == [255, 51, 51]).all() and (dot[0, 0] == 255).all()  # four fifths of red on white
    drawn = (pixels != 255).any(axis=-1)
    assert drawn.sum() == 24 + 6 + (dot != 255).any(axis=-1).sum()


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (30, 1), (1, 5)])
def test_principal_components_are_those_of_the_singular_values(shape):
    rows = np.random.default_rng(0).normal(size=shape) * 3.0 ** -np.arange(shape[1])
    centered = rows - rows.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    found, spread = principal_components(centered)
    expected = np.zeros((len(rows), 2))
    expected[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(spread, np.pad(sizes, (0, 3))[: len(spread)], atol=1e-6)


def test_text_that_no_font_has_becomes_boxes(fallbacks):
    fallbacks()
    assert canvas.legible("a\U0001f980b\n 中 ő") == "a\u25a1b \u25a1 ő"
    assert canvas.legible("\U0001d5a0") == "\u25a1"  # a letter that DejaVu Sans has, but not in bold
    assert canvas.legible("abcdef", 6) == "abcdef" and canvas.legible("abcdefg", 6) == "abcde\u2026"
    assert canvas.legible_lines("one two three four", 9, 2) == ["one two", "three fo\u2026"]


def test_tile_keeps_proportions_and_puts_transparency_on_white():
    tall = np.zeros((20, 10, 3), np.uint8)
    tile = np.asarray(canvas.tile(tall, 40))
    assert tile.shape == (40, 40, 3)
    assert (tile[:, 11:29] == 0).all() and (tile[:, :9] == 255).all() and (tile[:, 31:] == 255).all()
    assert (np.asarray(canvas.tile(np.zeros((4, 4, 4), np.uint8), 8)) == 255).all()  # alpha 0
    assert (np.asarray(canvas.tile(np.full((4, 4, 1), 7, np.uint8), 8)) == 7).all()
    for wrong in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)):
        with pytest.raises(ValueError, match="images must be uint8"):
            canvas.tile(wrong, 8)


def test_histograms_of_a_collapsed_encoder(tmp_path):
    pairs = pairs_of_encoders(np.ones((6, 3)), np.arange(6) // 2, untrained_embeddings=np.zeros((6, 2)))
    assert distance_histograms(tmp_path / "h.png", pairs).exists()


def test_map_takes_whole_classes():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(300), 6))
    rows = whole_classes(labels, 1000)
    assert 990 < len(rows) <= 1000 and len(set(rows)) == len(rows)
    assert set(np.unique(labels[rows], return_counts=True)[1]) == {6}


def test_map_thins_out_few_large_classes_alike():
    labels = np.repeat(np.arange(10), 500)
    rows = whole_classes(labels, 1000)
    np.testing.assert_array_equal(np.unique(labels[rows], return_counts=True)[1], [100] * 10)
    np.testing.assert_array_equal(whole_classes(labels[:50], 1000), np.arange(50))


def test_plane_keeps_clusters_together():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    rows = 5 * rng.normal(size=(3, 10))[labels] + rng.normal(size=(90, 10))
    points = plane(rows.astype(np.float32), "euclidean")
    apart = ((points[:, None] - points[None]) ** 2).sum(-1) + 1e9 * np.eye(90)
    assert (labels[apart.argmin(axis=1)] == labels).mean() > 0.95


@pytest.mark.parametrize("rows", [np.ones((40, 8)), np.eye(4), np.eye(2)[np.arange(30) % 2], np.arange(30.0)[:, None]])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_map_of_degenerate_embeddings(rows, distance, tmp_path):
    assert np.isfinite(plane(np.asarray(rows, np.float32), distance)).all()
    count = len(rows)
    split = types.SimpleNamespace(
        inputs=np.zeros((count, 4, 4, 1), np.uint8), labels=np.arange(count) % 2, captions=["x"] * count
    )
    assert embedding_map(tmp_path / "m.png", split, rows, distance=distance).exists()


def test_no_image_hides_another():
    cells = _free_cells(np.zeros((1000, 2)))
    assert len(np.unique(cells, axis=0)) == 1000


def test_images_stay_near_their_points():
    points = np.random.default_rng(0).uniform(size=(200, 2))
    cells = _free_cells(points)
    assert np.corrcoef(points[:, 0], cells[:, 0])[0, 1] > 0.98
    assert np.corrcoef(points[:, 1], cells[:, 1])[0, 1] > 0.98


def test_history_may_be_strings_with_gaps():
    rows = [
        {"step": "2", "train/loss": "0.5", "validation/recall@1": "0.7", "note": ""},
        {"step": 1, "train/loss": 0.9, "validation/recall@1": None},
        {"step": 3, "train/loss": float("nan"), "validation/recall@1": "0.6"},
    ]
    series = series_of(rows)
    np.testing.assert_array_equal(series["train/loss"], [[1, 2], [0.9, 0.5]])
    assert "note" not in series
    assert best_step(series, "validation/recall@1") == (2, 0.7)
    assert best_step(series, "validation/map@r") is None


def test_smoothing_neither_lags_nor_shifts():
    line = np.linspace(3, 1, 200)
    np.testing.assert_allclose(smoothed(line, 4)[15:-15], line[15:-15])
    np.testing.assert_allclose(smoothed(np.full(50, 2.0), 4), 2)
    noise = np.random.default_rng(0).normal(size=500)
    assert smoothed(noise, 8).std() < 0.3 * noise.std()


@pytest.mark.parametrize("keep", [("train/loss",), ("validation/recall@1",), ("train/loss", "train/active_fraction")])
def test_curves_of_what_there_is(keep, tmp_path):
    history = [{"step": step, **dict.fromkeys(keep, 1 / step)} for step in (1, 2, 3)]
    assert training_curves(tmp_path / "c.png", history).exists()
    assert training_curves(tmp_path / "c.png", history[:1]).exists()  # a single row


def test_curves_refuse_an_empty_history(tmp_path):
    for history in ([], [{"step": 1, "train/loss": None}]):
        with pytest.raises(ValueError, match="no scalars to draw"):
            training_curves(tmp_path / "c.png", history)


def test_map_draws_text_beyond_the_fonts(tmp_path):
    split = types.SimpleNamespace(
        inputs=np.ones((50, 3), np.int32), labels=np.arange(50) // 2, captions=["$\\x \U0001f980"] * 50
    )
    rows = np.random.default_rng(0).normal(size=(50, 5))
    assert embedding_map(tmp_path / "m.png", split, rows, title="$").exists()

"""What the sections of a page say, against slow loops."""

import collections
import types

import numpy as np
import pytest

from metric_learning.evaluation import curve_of, evaluate, nearest_of_all
from metric_learning.evaluation.choice import NAMES
from metric_learning.report.judged import Judged, Pictures, shortened
from metric_learning.report.meanings import meaning
from metric_learning.report.sections import (
    classes_section,
    confusions_section,
    queries_section,
    scores_section,
    settings_section,
    thresholds_section,
    training_section,
)
from metric_learning.report.sections.classes import _taken_for
from metric_learning.report.sections.confusions import confused_pairs
from metric_learning.report.sections.queries import ranked_queries


def judged_of(rows, labels, gallery=None, **options):
    split = types.SimpleNamespace(
        inputs=np.ones((len(labels), 2), np.int32), labels=labels, captions=[f"item {i}" for i in range(len(labels))]
    )
    given = {}
    if gallery is not None:
        given = {"gallery_embeddings": gallery[0], "gallery_labels": gallery[1]}
        items = types.SimpleNamespace(
            inputs=None, labels=gallery[1], captions=[f"found {i}" for i in range(len(gallery[1]))]
        )
        options |= {"gallery": items, "gallery_embeddings": gallery[0]}
    found = evaluate(rows, labels, ks=(1,), distance="euclidean", **given)
    return Judged(split, rows, found, distance="euclidean", **options)


@pytest.fixture
def judged():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 9, size=80)
    labels[0] = 99  # alone: nothing to find
    return judged_of(rng.normal(size=(80, 4)) + 0.3 * labels[:, None], labels)


def test_right_neighbors_are_those_of_the_class(judged):
    labels, indices = judged.split.labels, judged.evaluation.neighbors.indices
    for query, found in enumerate(indices.tolist()):
        assert judged.right[query].tolist() == [bool(labels[row] == labels[query]) for row in found]


def test_confused_pairs_are_those_of_a_loop(judged):
    labels, neighbors = judged.split.labels, judged.evaluation.neighbors
    counts = collections.defaultdict(list)
    for query in range(len(labels)):
        found = neighbors.indices[query, 0]
        if labels[found] != labels[query]:
            counts[tuple(sorted((int(labels[query]), int(labels[found]))))].append(query)
    sizes = collections.Counter(labels.tolist())
    found = confused_pairs(judged)
    assert {each.classes: sorted(each.rows.tolist()) for each in found} == counts
    assert [len(each.rows) for each in found] == sorted((len(rows) for rows in counts.values()), reverse=True)
    for each in found:
        distances = neighbors.distances[each.rows, 0]
        assert (np.diff(distances) >= 0).all()
        assert each.share == len(each.rows) / (sizes[each.classes[0]] + sizes[each.classes[1]])
    taken_for = _taken_for(judged)
    for label in sizes:
        of_label = collections.Counter(
            int(labels[neighbors.indices[query, 0]])
            for query in np.flatnonzero(labels == label)
            if labels[neighbors.indices[query, 0]] != label
        )
        if of_label:
            other, count = taken_for[label]
            assert count == of_label[other] == max(of_label.values())
        else:
            assert label not in taken_for


def test_confusions_of_queries_in_a_gallery():
    """Of three queries one finds another class; the gallery is numbered on its own."""
    queries, labels = np.array([[0.0], [5.0], [9.0]]), np.array([0, 1, 2])
    gallery = np.array([[9.1], [0.1], [5.1], [8.0]]), np.array([1, 0, 1, 2])
    judged = judged_of(queries, labels, gallery)
    (found,) = confused_pairs(judged)
    assert found.classes == (1, 2) and found.rows.tolist() == [2] and found.share == 0.5
    html = confusions_section(judged).html
    assert "item 2" in html and "found 0" in html and "1 of 3 queries" in html


def test_nothing_is_confused_where_all_is_right():
    judged = judged_of(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1]))
    assert confused_pairs(judged) == []
    assert "The nearest neighbor of every query is of its class." in confusions_section(judged).html
    assert "All 2 classes" in classes_section(judged).html


def test_best_middle_and_worst_queries(judged):
    precision = judged.precision
    best, middle, worst = ranked_queries(judged, 5)
    assert len({*best, *middle, *worst}) == 15 and 0 not in {*best, *middle, *worst}
    ranking = np.sort(precision[~np.isnan(precision)])
    np.testing.assert_array_equal(precision[best], ranking[::-1][:5])
    np.testing.assert_array_equal(precision[worst], ranking[:5])
    np.testing.assert_array_equal(np.sort(precision[middle]), ranking[37:42])
    of_zero = np.flatnonzero(precision == 0)
    surest = of_zero[np.argsort(judged.evaluation.neighbors.distances[of_zero, 0], kind="stable")]
    count = min(5, len(of_zero))
    assert count > 1 and worst[:count].tolist() == surest[:count].tolist()
    assert [len(part) for part in ranked_queries(judged, 1000)] == [26, 26, 26]


def test_queries_name_wrong_neighbors_and_mark_both(judged):
    html = queries_section(judged, each=2).html
    assert html.count("<article") == 6
    assert html.count('class="wrong"') - 1 == html.count('class="class-name"')  # one in the words above
    assert html.count('aria-label="same class"') == html.count('<li class="right"')


def test_classes_are_sorted_and_the_middle_is_left_out(judged):
    table = judged.evaluation.by_class()
    html = classes_section(judged, most=4).html
    shown = [part.split("<")[0] for part in html.split('<th scope="row">')[1:]]
    order = np.argsort(np.where(np.isnan(table["map@r"]), np.inf, table["map@r"]), kind="stable")
    labels = judged.split.labels[np.unique(judged.evaluation.classes, return_index=True)[1]]
    assert shown == [str(labels[place]) for place in [*order[:2], *order[-2:]]]
    assert "The 4 of 10 classes" in " ".join(html.split()) and shown[-1] == "99"


def test_classes_of_rows_of_several_labels_are_labels():
    rng = np.random.default_rng(6)
    labels = rng.uniform(size=(40, 4)) < 0.4
    labels[:, 0] |= ~labels.any(axis=1)
    several = judged_of(rng.normal(size=(40, 3)), labels, class_names=["ant", "bee", "cat", "dog"])
    html = classes_section(several).html
    shown = [part.split("<")[0] for part in html.split('<th scope="row">')[1:]]
    scores = [np.mean(several.evaluation.per_query["map@r"][members]) for members in labels.T]
    assert shown == [["ant", "bee", "cat", "dog"][place] for place in np.argsort(scores)]
    assert all(f'<td class="number">{count}</td>' in html for count in labels.sum(axis=0))


def test_every_metric_has_a_meaning():
    for name in NAMES:
        if name not in ("clustering", "verification", "geometry", "macro"):
            assert meaning(name.replace("@k", "@4")), name
    assert "among the 4 nearest" in meaning("recall@4")
    assert meaning("binary/map@r") == "of embeddings in one bit a number: " + meaning("map@r")
    assert meaning("prefix_16/recall@1").startswith("of the first 16 numbers")
    assert "of 0.001" not in meaning("recall@1") and "when 0.001 of" in meaning("verification/tar@far=0.001")
    assert meaning("no such") == "" == meaning("macro/no such")


def test_scores_beside_those_before_training():
    columns = {
        "test": {"recall@1": 0.6871, "queries": 5131},
        "test, untrained": {"recall@1": 0.33601, "queries": 5131},
    }
    html = scores_section(columns, {"test": {"recall@1": (0.66, 0.71)}}).html
    assert "0.687" in html and "untrained 0.336" in html and "0.660 to 0.710" in html and "5,131" in html
    assert html.count('class="card"') == 1
    assert "hollow" not in scores_section({"test": {"recall@1": 0.6871}}, {}).html


def test_thresholds_before_and_after_calibration():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 6
    curve = curve_of(nearest_of_all(rng.normal(size=(6, 4))[labels] + 0.3 * rng.normal(size=(60, 4)), labels))
    before = thresholds_section(curve, None, distance="cosine").html
    assert "No threshold has been chosen" in before and "calibrate.py" in before
    rates = {name: [0.9, 0.8, 0.95] for name in ("precision", "recall", "far", "frr")}
    chosen = {"threshold": 0.123456, "target": "far", "value": 0.1, "rates": rates, "queries": 60, "classes": 6}
    assert "on other classes" not in thresholds_section(curve, chosen, distance="cosine").html
    chosen["interval"] = [0.1, 0.15]
    after = thresholds_section(curve, chosen, distance="cosine").html
    assert (
        "A match is within 0.123" in after
        and "0.100 to 0.150 on other classes" in after
        and "far 0.1" in after
        and "0.800 to 0.950" in after
    )
    best = thresholds_section(curve, chosen | {"target": "best_f1", "value": None}, distance="cosine").html
    assert "the best F1" in best


def test_training_is_left_out_without_a_history():
    assert training_section([], "validation/map@r") is None
    history = [{"step": str(step), "train/loss": "0.5", "validation/map@r": ""} for step in range(1, 4)]
    assert "3 steps" in training_section(history, "validation/map@r").html


def test_settings_name_what_is_built():
    settings = {"loss": {"_target_": "metric_learning.losses.Triplet", "margin": 0.2, "miner": None}, "ks": [1, 2]}
    section = settings_section({"commit": "abc", "uncommitted_changes": True}, settings, "loss: ...")
    assert "Triplet(margin=0.2, miner=none)" in section.html and "[1, 2]" in section.html
    assert "abc, with uncommitted changes" in section.html


def test_pictures_end_where_their_room_does():
    image = np.random.default_rng(0).integers(0, 256, (40, 20, 3), np.uint8)
    one = Pictures(30, 10**6).of(image)
    pictures = Pictures(30, 2 * len(one) + 10)
    assert [pictures.of(image) for _ in range(4)] == [one, one, "", ""] and pictures.left_out


def test_shortened():
    assert shortened("a\n b", 9) == "a b" and shortened("abcdef", 4) == "abc\u2026" and shortened(7, 3) == "7"

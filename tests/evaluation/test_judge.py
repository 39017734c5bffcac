"""What a run is judged by: an item is never its own answer, however often and under whatever name it is listed."""

import types

import keras
import numpy as np
import pytest

from metric_learning.data import Split
from metric_learning.evaluation import Judge, evaluate


@pytest.fixture
def encoder():
    """The pixels themselves, so that an item and its copy have one embedding."""
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    return keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32")))


def noise(count, names):
    rng = np.random.default_rng(0)
    inputs = rng.integers(256, size=(count, 4, 4, 1), dtype=np.uint8)
    return Split(inputs, np.arange(count) % 10, tuple(names), tuple(names))


def test_noise_listed_as_query_and_gallery_finds_nothing(encoder):
    """Each of 200 images of ten classes once as query and once in the gallery: chance, not 1.0."""
    test = noise(200, [f"{i}.png" for i in range(200)])
    turned = Split(test.inputs[::-1], test.labels[::-1], test.captions[::-1], test.ids[::-1])
    judge = Judge(ks=(1,))
    found = judge(encoder, types.SimpleNamespace(test=test, gallery=turned), "test").evaluation
    assert found.scores["recall@1"] < 0.25
    assert (found.neighbors.indices != 199 - np.arange(200)[:, None]).all()
    alone = judge(encoder, types.SimpleNamespace(test=test, gallery=None), "test").evaluation
    assert alone.scores["recall@1"] == found.scores["recall@1"]


def test_an_item_listed_twice_does_not_find_itself(encoder):
    split = noise(40, [f"{i}.png" for i in range(40)])
    twice = Split(
        *(np.concatenate([part, part]) for part in (split.inputs, split.labels)), split.captions * 2, split.ids * 2
    )
    judge = Judge(ks=(1,))
    found = [
        judge(encoder, types.SimpleNamespace(validation=rows), "validation").scores["validation/recall@1"]
        for rows in (split, twice)
    ]
    assert found[0] == found[1] < 0.5


@pytest.mark.parametrize("without", ["test", "gallery"])
def test_without_ids_nothing_is_left_out(encoder, without):
    test = noise(20, [f"{i}.png" for i in range(20)])
    parts = {"test": test, "gallery": test, without: Split(test.inputs, test.labels, test.captions)}
    assert Judge(ks=(1,))(encoder, types.SimpleNamespace(**parts), "test").scores["test/recall@1"] == 1.0


def test_groups_and_levels_of_both_sides_and_what_training_knew_are_heeded(encoder):
    rng = np.random.default_rng(1)
    sides = []
    for first in (0, 30):
        labels = rng.integers(10, size=40)
        inputs = (20 * labels[:, None, None, None] + rng.integers(60, size=(40, 4, 4, 1))).astype(np.uint8)
        ids, groups = (
            [f"{number}" for number in part] for part in (np.arange(first, first + 40), rng.integers(3, size=40))
        )
        levels = np.stack([labels // 5, labels], axis=1)
        sides.append(Split(inputs, labels, tuple(ids), tuple(ids), groups=tuple(groups), levels=levels))
    options = {"ks": (1,), "metrics": ("recall@k", "ndcg@k", "map")}
    rows, searched = (side.inputs.reshape(40, -1).astype(np.float32) for side in sides)
    given = {name: getattr(sides[0], name) for name in ("ids", "groups", "levels")} | {"gallery_embeddings": searched}
    given |= {f"gallery_{name}": getattr(sides[1], name) for name in ("labels", "ids", "groups", "levels")}
    source = types.SimpleNamespace(test=sides[0], gallery=sides[1], train=types.SimpleNamespace(labels=np.arange(4)))
    for unseen_classes, known in ((True, {}), (False, {"known_labels": np.arange(4)})):
        source.unseen_classes = unseen_classes
        found = Judge(**options)(encoder, source, "test")
        assert found.evaluation.scores == evaluate(rows, sides[0].labels, **options, **given, **known).scores
        assert found.drawn == ("classes" if unseen_classes else "queries")
    for name in ("ids", "groups", "levels"):
        without = given | {name: None, f"gallery_{name}": None}
        assert evaluate(rows, sides[0].labels, **options, **without, **known).scores != found.evaluation.scores, name

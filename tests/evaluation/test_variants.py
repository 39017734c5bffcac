"""Prefixes and quantizations against embeddings that were cut or rounded by hand."""

import numpy as np
import pytest

from metric_learning.evaluation import evaluate, evaluate_variants


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(15), 6)
    rows = rng.normal(size=(15, 12))[labels] + 0.9 * rng.normal(size=(90, 12))
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("with_gallery", [False, True])
def test_equals_judging_what_was_changed_by_hand(data, with_gallery):
    rows, labels = data
    queries = slice(0, None, 2) if with_gallery else slice(None)

    def judged(change, distance):
        gallery = {"gallery_embeddings": change(rows[1::2]), "gallery_labels": labels[1::2]} if with_gallery else {}
        return evaluate(change(rows[queries]), labels[queries], distance=distance, ks=(1, 2), **gallery)

    searched = rows[1::2] if with_gallery else rows
    steps = [(min(column), (max(column) - min(column)) / 255) for column in searched.T.tolist()]

    def in_steps(rows):
        return [
            [low + step * min(max(round((x - low) / step), 0), 255) for x, (low, step) in zip(row, steps, strict=True)]
            for row in rows.tolist()
        ]

    expected = {
        "prefix_3": judged(lambda rows: rows[:, :3], "cosine"),
        "prefix_12": judged(lambda rows: rows, "cosine"),
        "int8": judged(in_steps, "cosine"),
        "binary": judged(lambda rows: (rows > 0).astype(float), "squared_euclidean"),
    }
    gallery = {"gallery_embeddings": rows[1::2], "gallery_labels": labels[1::2]} if with_gallery else {}
    options = {"prefixes": (3, 12), "quantizations": ("int8", "binary"), "ks": (1, 2)}
    found = evaluate_variants(rows[queries], labels[queries], **options, **gallery)
    plain = evaluate(rows[queries], labels[queries], ks=(1, 2), **gallery)
    for name, other in expected.items():
        for metric, values in other.per_query.items():
            np.testing.assert_allclose(found.per_query[f"{name}/{metric}"], values)
            assert found.scores[f"{name}/{metric}"] == pytest.approx(other.scores[metric])
    assert {name: score for name, score in found.scores.items() if "/" not in name} == plain.scores
    assert found.scores["prefix_3/map@r"] < found.scores["binary/map@r"] < found.scores["map@r"]
    assert "int8/map@r" in found.intervals(resamples=50)


def test_refuses_what_is_none(data):
    for wrong, message in (
        ({"prefixes": (0,)}, "^prefixes must be numbers of dimensions, at least 1; got 0"),
        ({"prefixes": (13,)}, "^prefixes must be at most the 12 dimensions; got 13"),
        ({"quantizations": ("int4",)}, "^quantizations must be one of int8, binary; got 'int4'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_variants(*data, **wrong)

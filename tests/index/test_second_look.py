"""A second look finds what re-ranking and expansion find on the same vectors, whatever the shards."""

import numpy as np
import pytest

from metric_learning.evaluation import expand_queries, k_reciprocal, search
from metric_learning.index import Index, second_look


@pytest.fixture
def filled():
    """(index of three shards, its vectors, queries)."""
    rng = np.random.default_rng(0)
    rows = (np.repeat(rng.normal(size=(10, 6)), 6, axis=0) + 0.5 * rng.normal(size=(60, 6))).astype(np.float32)
    index = Index(6)
    for part in np.split(np.arange(60), [7, 40]):
        index.add(rows[part], part)
    return index, rows, rows[::9] + np.float32(0.1)


def test_reranking(filled):
    index, rows, queries = filled
    expected = k_reciprocal(queries, rows, 5, depth=60)
    found = second_look(index, queries, 5, rerank=True)
    assert [[hit.id for hit in hits] for hits in found] == expected.indices.astype(str).tolist()
    np.testing.assert_array_equal([[hit.distance for hit in hits] for hits in found], expected.distances)
    assert [[hit.id for hit in hits] for hits in found] != [
        [hit.id for hit in hits] for hits in index.search(queries, 5)
    ]
    assert len(second_look(index, queries, 999, rerank=True)[0]) == 60


def test_expansion(filled):
    index, rows, queries = filled
    expected = search(expand_queries(queries, rows, neighbors=3), rows, 5).indices
    found = second_look(index, queries, 5, expand=3)
    assert [[hit.id for hit in hits] for hits in found] == expected.astype(str).tolist()
    both = second_look(index, queries, 5, expand=3, rerank=True)
    assert [hit.id for hit in both[0]] and both != found


def test_more_than_the_first_hundred_are_ordered_anew():
    rows = np.random.default_rng(0).normal(size=(130, 4)).astype(np.float32)
    index = Index(4)
    index.add(rows, range(130))
    found = second_look(index, rows[:2], 120, rerank=True)
    assert [[hit.id for hit in hits] for hits in found] == k_reciprocal(rows[:2], rows, 120, depth=120).indices.astype(
        str
    ).tolist()
    assert len(second_look(index, rows[:2], 3, expand=999)[0]) == 3  # of more than there are


def test_it_refuses_what_a_search_refuses(filled):
    index, _, queries = filled
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        second_look(index, queries, 0, rerank=True)
    with pytest.raises(ValueError, match="the index is empty"):
        second_look(Index(6), queries, rerank=True)
    with pytest.raises(ValueError, match="distance must be one of .* for k_reciprocal"):
        dot = Index(6, "dot")
        dot.add(queries, range(len(queries)))
        second_look(dot, queries, 2, rerank=True)

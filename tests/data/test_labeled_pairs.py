"""Pairs as people have them: by items or by distance, in Python or in a table."""

import numpy as np
import pytest

from metric_learning.data.labeled_pairs import labeled_pairs, read_pairs


def test_every_item_is_kept_once():
    array = np.zeros(2)
    found = labeled_pairs([("a", "b", True), ("b", array, 0), (array, "a", np.True_)])
    assert found.items[:2] == ["a", "b"] and found.items[2] is array and len(found.items) == 3
    assert found.units.tolist() == [[0, 1], [1, 2], [2, 0]] and found.distances is None
    assert found.same.tolist() == [True, False, True]


def test_distances_have_no_items():
    found = labeled_pairs(iter([(0.25, True), (0.5, False)]))
    assert found.distances.tolist() == [0.25, 0.5] and found.units is None and found.items == []


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "got 0 of lengths none"),
        (
            [("a", "b", True), (0.1, True)],
            r"all be \(item, item, same\) or all \(dist.*; got 2 of lengths 2, 3",
        ),
        ([("a", "b", True), ("a", "c", "yes")], "must end in true or false, .* pair 1 does not"),
    ],
)
def test_what_is_no_pair_is_named(pairs, message):
    with pytest.raises(ValueError, match=message):
        labeled_pairs(pairs)


def test_tables_of_pairs_are_read(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("distance,same\n0.25,true\n0.5,0\n", encoding="utf-8")
    assert read_pairs(file, "features") == [(0.25, True), (0.5, False)]
    file.write_text("first,second,same\na.png,sub/b.png,yes\n", encoding="utf-8")
    assert read_pairs(file, "images") == [(str(tmp_path / "a.png"), str(tmp_path / "sub" / "b.png"), True)]
    assert read_pairs(file, "texts") == [("a.png", "sub/b.png", True)]
    with pytest.raises(ValueError, match="pairs of features must be given as distances: .* has no column distance"):
        read_pairs(file, "features")
    file.write_text("first,second\na,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no column 'same', which pairs asks for"):
        read_pairs(file, "texts")

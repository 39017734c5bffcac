"""A gallery is embedded block by block, and what ends it leaves the blocks that are done."""

import numpy as np
import pytest

from metric_learning.index import Index, fill, filling


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(filling, "_BLOCK", 70)


@pytest.fixture
def items():
    return np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)


def twice(rows):
    return 2 * np.asarray(rows)


def names(items):
    return [f"item {row}" for row in range(len(items))]


@pytest.mark.parametrize("kind", ["exact", "sq8"])
def test_a_killed_one_goes_on_from_what_is_saved(items, tmp_path, kind):
    sizes = []

    def killed(rows):
        sizes.append(len(rows))
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return twice(rows)

    labels = np.arange(200) % 5
    with pytest.raises(KeyboardInterrupt):
        fill(Index(8, kind=kind), killed, list(items), names(items), labels=labels, folder=tmp_path)
    assert sizes == [70, 70, 60] and not list(tmp_path.glob("learned-*"))
    index = Index.load(tmp_path)
    assert index.ids == names(items)[:140]
    rest = [row for row, name in enumerate(names(items)) if name not in index]
    fill(index, twice, items, names(items), labels=labels, rows=rest, folder=tmp_path)
    assert len(list(tmp_path.glob("learned-*"))) == (kind != "exact")
    assert all(isinstance(shard.vectors, np.memmap) for shard in index._shards)
    for found in (index, Index.load(tmp_path)):
        assert found.ids == names(items)
        np.testing.assert_array_equal(found.rows[np.arange(200)], 2 * items)
        assert [(hits[0].id, hits[0].label) for hits in found.search(items, k=1)] == list(
            zip(names(items), labels.astype(str), strict=True)
        )


def test_what_cannot_be_added_is_refused_before_anything_is_embedded(items, tmp_path):
    there = Index(8)
    there.add(items[:1], ["item 7"])
    there.save(tmp_path)
    refused = [
        ({"index": there, "ids": names(items)}, r"1 are there already \(item 7\)"),
        ({"ids": ["a"] * 200}, r"1 are there already \(a\)"),
        ({"ids": ["a"]}, "ids must be one for each of 200 items; got 1"),
        ({"ids": names(items), "labels": ["a"]}, "labels must be one for each of 200 items; got 1"),
        ({"ids": names(items), "folder": tmp_path}, "there is another index in"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            fill(**{"index": Index(8), "embed": pytest.fail, "items": items} | arguments)


def test_items_that_cannot_be_read_are_left_out_also_a_whole_block_of_them(items, tmp_path):
    items[70:150] = np.nan
    index = Index(8)
    fill(index, twice, items, names(items), skip_unreadable=True, folder=tmp_path)
    assert index.ids == Index.load(tmp_path).ids == names(items)[:70] + names(items)[150:]
    with pytest.raises(ValueError, match="n at least 1"):
        fill(Index(8), twice, items[70:80], names(items[:10]), skip_unreadable=True)


def test_without_a_folder_all_or_none_are_added(items):
    items[150] = np.nan
    index = Index(8)
    with pytest.raises(ValueError, match=r"must be finite, .* \(item 150\)"):
        fill(index, twice, items, names(items))
    assert not len(index)

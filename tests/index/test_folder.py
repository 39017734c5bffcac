"""The folder of an index is written by one at a time, and nothing of another is lost."""

import pytest

from metric_learning.index import Index
from metric_learning.index.folder import FILLING, claimed
from metric_learning.index.shard import Shard


def test_of_two_writers_the_second_is_told_and_loses_nothing_of_the_first(rows, tmp_path, filled):
    filled(rows).save(tmp_path)
    first, second = Index.load(tmp_path), Index.load(tmp_path)
    first.add(rows[:1] + 1, ["first"])
    first.save(tmp_path)
    second.add(rows[:1] + 2, ["second"])
    files = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"somebody else has written the index in {tmp_path} since .*; load it again"):
        second.save(tmp_path)
    assert set(tmp_path.iterdir()) == files
    with pytest.raises(ValueError, match=f"there is another index in {tmp_path}; load it and add .* replace=True"):
        filled(rows).save(tmp_path)
    first.threshold = 0.5
    first.save(tmp_path)
    second = Index.load(tmp_path)
    second.add(rows[:1] + 2, ["second"])
    second.save(tmp_path)
    assert Index.load(tmp_path).ids[200:] == ["first", "second"] and second.threshold == 0.5
    filled(rows[:3]).save(tmp_path, replace=True)
    assert len(Index.load(tmp_path)) == 3


def test_one_process_at_a_time_saves(rows, tmp_path, filled):
    index = filled(rows)
    with claimed(tmp_path), pytest.raises(ValueError, match=f"{tmp_path} is in use by process .*; wait for its end"):
        index.save(tmp_path)
    index.save(tmp_path)
    (tmp_path / "vectors-abandoned.npy").touch()
    with claimed(tmp_path, FILLING):  # a program that fills it saves again and again, and is not disturbed
        index.add(rows[:1], ["new"])
        index.save(tmp_path)
        assert (tmp_path / FILLING).exists()
    assert len(list(tmp_path.iterdir())) == 5  # index.json and two files of either shard
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "new", FILLING):
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()


def test_an_index_that_is_saved_while_it_is_loaded_is_loaded_again(rows, tmp_path, monkeypatch, filled):
    filled(rows).save(tmp_path)
    load = Shard.load.__func__

    def late(cls, *arguments):
        monkeypatch.undo()
        filled(rows[:5]).save(tmp_path, replace=True)
        return load(cls, *arguments)

    monkeypatch.setattr(Shard, "load", classmethod(late))
    assert len(Index.load(tmp_path)) == 5

"""Embedding in batches of one shape."""

import sys
import time
import types

import keras
import numpy as np
import pytest

from metric_learning.evaluation import embed, judge


class Doubling(keras.layers.Layer):
    """Doubles its input, adds 100 while training, and counts how often it is traced."""

    traces = 0

    def call(self, inputs, training=None):
        self.traces += 1
        return 2.0 * inputs + (100.0 if training else 0.0)


@pytest.fixture
def encoder():
    layer = Doubling()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    layer.traces = 0
    model.doubling = layer
    return model


@pytest.mark.parametrize("batch_size", [1, 4, 5, 11, 1000])
def test_every_row_once_and_in_order(encoder, batch_size):
    rows = np.arange(33, dtype=np.float32).reshape(11, 3)
    found = embed(encoder, rows, batch_size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 2 * rows)


def test_traces_once_for_all_batches(encoder):
    rows = np.ones((11, 3), np.float32)
    for _ in range(3):
        embed(encoder, rows, 4)
    assert encoder.doubling.traces == 1


def test_gives_float32_whatever_the_encoder_computes_in():
    inputs = keras.Input((3,))
    half = keras.Model(inputs, keras.layers.Dense(2, dtype="float16")(inputs))
    assert embed(half, np.ones((5, 3), np.float32), 2).dtype == np.float32
    brain = keras.Model(inputs, keras.layers.Dense(2, dtype="bfloat16")(inputs))
    assert embed(brain, np.ones((5, 3), np.float32), 2).dtype == np.float32


def test_reads_slices_only(encoder, tmp_path):
    rows = np.arange(33, dtype=np.float32).reshape(11, 3)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(embed(encoder, mapped, 4), 2 * rows)
    mapped._mmap.close()


class Shelf:
    """Rows that are no array; notes what is read of them."""

    def __init__(self, rows, seconds=0.0):
        self.rows, self.seconds, self.reads = rows, seconds, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        self.reads.append(index)
        time.sleep(self.seconds)
        return self.rows[index]


@pytest.mark.parametrize("batch_size", [1, 4, 11])
def test_rows_that_are_no_array_are_read_once_and_in_order(encoder, batch_size):
    shelf = Shelf(np.arange(33, dtype=np.float32).reshape(11, 3), 0.01)
    np.testing.assert_array_equal(embed(encoder, shelf, batch_size), 2 * shelf.rows)
    assert len(shelf.reads) == 1 + -(-11 // batch_size)  # the first row is looked at for its shape


def test_batch_is_smaller_where_memory_is(encoder):
    shelf = Shelf(np.ones((100, 3), np.float32))
    embed(encoder, shelf, memory=1e-6)  # 1,000 bytes
    largest = max(index.stop - index.start for index in shelf.reads[1:])
    assert 1 < largest < 20
    np.testing.assert_array_equal(embed(encoder, shelf, memory=1e-6), embed(encoder, shelf.rows))


def test_batch_is_the_same_however_the_rows_are_kept(encoder):
    """Or else a run from the cache might differ in the last bit."""

    class Noted(np.ndarray):
        def __getitem__(self, index):
            noted.append(index)
            return np.asarray(self)[index]

    noted, shelf = [], Shelf(np.ones((100, 3), np.float32))
    embed(encoder, shelf, memory=1e-6)
    embed(encoder, shelf.rows.view(Noted), memory=1e-6)
    assert sorted(noted, key=str) == sorted(shelf.reads, key=str)


def test_shows_progress_if_asked(encoder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shelf = Shelf(np.ones((11, 3), np.float32), 0.5)
    embed(encoder, shelf, 4)
    assert capsys.readouterr().err == ""
    embed(encoder, shelf, 4, progress=True)
    assert "embed" in capsys.readouterr().err


def test_refuses_nothing_to_embed(encoder):
    with pytest.raises(ValueError, match="got 0 inputs, batch_size=4 and memory=0.5"):
        embed(encoder, np.ones((0, 3), np.float32), 4)
    with pytest.raises(ValueError, match="batch_size=0"):
        embed(encoder, np.ones((2, 3), np.float32), 0)
    with pytest.raises(ValueError, match="memory=0"):
        embed(encoder, np.ones((2, 3), np.float32), memory=0)


def test_judge_keeps_within_its_memory(monkeypatch):
    seen = []
    monkeypatch.setattr(judge, "embed", lambda *arguments, **options: seen.append((arguments[2], options["memory"])))
    monkeypatch.setattr(judge, "evaluate_variants", lambda *arguments, **options: None)
    split = types.SimpleNamespace(inputs=None, labels=np.zeros(1, int), ids=None, groups=None)
    source = types.SimpleNamespace(validation=split, test=split, gallery=split)
    judge.Judge(batch_size=64, memory=0.25)(None, source, "test")
    assert seen == [(64, 0.25)] * 2
    with pytest.raises(ValueError, match="evaluation.memory must be above 0; got 0"):
        judge.Judge(memory=0)

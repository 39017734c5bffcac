"""Embedding in batches of one shape."""

import keras
import numpy as np
import pytest

from metric_learning.evaluation import embed


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


def test_shows_progress_if_asked(encoder, capsys):
    embed(encoder, np.ones((11, 3), np.float32), 4)
    assert capsys.readouterr().err == ""
    embed(encoder, np.ones((11, 3), np.float32), 4, progress=True)
    assert "embed" in capsys.readouterr().err


def test_refuses_nothing_to_embed(encoder):
    with pytest.raises(ValueError, match="got 0 inputs and batch_size=4"):
        embed(encoder, np.ones((0, 3), np.float32), 4)
    with pytest.raises(ValueError, match="batch_size=0"):
        embed(encoder, np.ones((2, 3), np.float32), 0)

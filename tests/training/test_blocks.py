"""Steps on data that are read ahead are those on data in memory, bit for bit, and a step reads its own rows only."""

import logging
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning import encoders, losses
from metric_learning.data import BatchPlan, Split
from metric_learning.data.random_access import RandomAccess
from metric_learning.training import Learner, Loop, blocks

pytestmark = pytest.mark.slow  # together they take a minute or so

RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat(np.arange(6) + 2**24, 10))
IMAGES = RNG.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
PLAN = BatchPlan(LABELS, classes=4, samples=3, seed=0)


class Jitter:
    """As many gray levels darker as the random number says."""

    num_randoms = 1

    def __call__(self, images, randoms):
        return tf.cast(images, tf.float32) - 20.0 * randoms[:, :, None, None]


@pytest.fixture
def asked():
    return []


@pytest.fixture
def on_disk(asked, tmp_path):
    """The images, in a file, with a note of what is read."""
    IMAGES.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=IMAGES.shape)

    def read(rows):
        asked.append((rows.tolist(), threading.get_ident()))
        return np.asarray(mapped[rows])

    return RandomAccess(read, len(IMAGES), IMAGES.shape[1:], np.uint8)


def train(inputs, folder, *, steps=12, seed=0, stop_at=None, **options):
    tf.keras.utils.set_random_seed(seed)
    encoder = encoders.cnn((8, 8, 3), widths=(4,), embedding_dim=4, dropout=0.3)
    learner = Learner(encoder, losses.Triplet(distance="cosine", miner=miners.SemiHard()))
    learner.compile("adam")

    def stop(row):
        if row["step"] == stop_at:
            raise KeyboardInterrupt

    progress = Loop(steps, validate_every=4, steps_per_block=3).run(
        learner,
        Split(inputs, LABELS, ("",) * 60),
        PLAN,
        folder=folder,
        validate=lambda: {"validation/map@r": 0.5},
        augment=Jitter(),
        on_row=stop,
        **options,
    )
    rows = [{**row, "train/items_per_second": 0} for row in progress.history]
    return rows, [variable.numpy() for variable in (*learner.variables, *learner.optimizer.variables)]


def assert_same(one, other):
    assert one[0] == other[0]
    for left, right in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_read_steps_are_those_in_memory_bit_for_bit(on_disk, tmp_path, jit_compile):
    in_memory = train(IMAGES, tmp_path / "memory", jit_compile=jit_compile)
    assert_same(in_memory, train(on_disk, tmp_path / "read", jit_compile=jit_compile))


@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_nothing(on_disk, tmp_path, monkeypatch, threads):
    two = train(on_disk, tmp_path / "two")
    read_ahead = blocks.read_ahead
    monkeypatch.setattr(blocks, "read_ahead", lambda *args, **options: read_ahead(*args, **options, threads=threads))
    assert_same(two, train(on_disk, tmp_path / "others"))


def test_memory_maps_are_read_and_never_loaded(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert_same(train(IMAGES, tmp_path / "memory"), train(mapped, tmp_path / "mapped"))


def test_resumed_run_reads_the_step_it_stands_at(on_disk, asked, tmp_path):
    whole = train(on_disk, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(on_disk, tmp_path / "parts", stop_at=8)
    asked.clear()
    assert_same(whole, train(on_disk, tmp_path / "parts", seed=1, resume=True))
    first = min(asked, key=lambda read: [PLAN.batch(step).tolist() for step in range(30)].index(read[0]))
    assert first[0] == PLAN.batch(8).tolist()


def test_reads_in_threads_only_the_batches_of_the_steps(on_disk, asked, tmp_path):
    before = threading.active_count()
    train(on_disk, tmp_path, steps=4)
    assert threading.get_ident() not in {thread for _, thread in asked}
    batches = [PLAN.batch(step).tolist() for step in range(8)]
    assert all(rows in batches for rows, _ in asked)
    assert 4 <= len(asked) <= 8
    for _ in range(100):
        if threading.active_count() <= before:
            return
        threading.Event().wait(0.02)
    raise AssertionError("the readers outlive the training")


def test_a_batch_that_replicas_cannot_share_is_refused():
    learner = types.SimpleNamespace(distribute_strategy=types.SimpleNamespace(num_replicas_in_sync=5))
    with pytest.raises(ValueError, match="batch.classes x batch.samples must be a multiple of the 5 replicas; got 12"):
        blocks.compile_block(learner, Split(IMAGES, LABELS, ("",) * 60), PLAN)


def test_file_that_breaks_while_training_stops_it_with_its_own_error(tmp_path):
    def read(rows):
        raise ValueError("a.png cannot be read")

    with pytest.raises(ValueError, match="a.png cannot be read"):
        train(RandomAccess(read, 60, (8, 8, 3), np.uint8), tmp_path)


def test_a_trace_for_each_run_of_a_sweep_is_no_mistake():
    def shown(function):
        said = "5 out of the last 5 calls to %s triggered tf.function retracing. Tracing is expensive"
        record = logging.LogRecord("tensorflow", logging.WARNING, "", 0, said, (function,), None)
        return tf.get_logger().filter(record)

    assert shown("<function my_step at 0x1>")
    assert not shown("<function _block_in_memory.<locals>.block at 0x1>")

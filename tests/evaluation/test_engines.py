"""The engines of the search give the same, to the last digit, also of duplicates and in galleries of any size."""

import importlib
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.evaluation.relevance import SameId
from metric_learning.evaluation.search import DISTANCES, Finder, search
from metric_learning.evaluation.tensorflow_search import TensorFlowProposals, full_float32

search_module = importlib.import_module("metric_learning.evaluation.search")  # the package has a function of that name


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("gallery_size", [3, 15, 16, 17, 33, 700])
@pytest.mark.parametrize("k", [1, 2, 60, 650])
def test_engines_agree_to_the_last_digit(name, gallery_size, k):
    rng = np.random.default_rng(gallery_size)
    gallery = rng.normal(size=(gallery_size, 12)).astype(np.float32)
    gallery[gallery_size // 2 :] = gallery[: gallery_size - gallery_size // 2]  # every row twice
    gallery[:: max(1, gallery_size // 5)] = np.round(gallery[:: max(1, gallery_size // 5)])
    queries = np.concatenate([gallery[:40], np.round(rng.normal(size=(30, 12))).astype(np.float32)])
    k = min(k, gallery_size)
    by_faiss, by_tensorflow = (search(queries, gallery, k, distance=name, engine=e) for e in ("faiss", "tensorflow"))
    np.testing.assert_array_equal(by_tensorflow.indices, by_faiss.indices)
    np.testing.assert_array_equal(by_tensorflow.distances, by_faiss.distances)


@pytest.mark.parametrize("select", ["numpy", "tensorflow"])
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("k", [1, 5, 40, 200, 333])
def test_proposals_are_the_nearest(dot, k, select):
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(333, 9)).astype(np.float32), rng.normal(size=(50, 9)).astype(np.float32)
    worst, proposed = TensorFlowProposals(gallery, dot, select)(queries, k)
    for query, farthest, rows in zip(queries.astype(np.float64), worst, proposed, strict=True):
        distances = [-sum(query * row) if dot else sum((query - row) ** 2) for row in gallery.astype(np.float64)]
        assert sorted(rows) == sorted(np.argsort(distances)[:k])
        assert farthest == pytest.approx(sorted(distances)[k - 1], abs=1e-5)


@pytest.mark.parametrize("k", [3, 20, 150])
def test_many_equal_rows_give_as_many_proposals(k):
    rows = np.ones((320, 4), np.float32)
    rows[7], rows[300] = 2.0, 3.0
    worst, proposed = TensorFlowProposals(rows, True, "numpy")(np.ones((5, 4), np.float32), k)
    assert (worst == -4.0).all() and all(len(set(row)) == k and {7, 300} <= set(row) for row in proposed.tolist())


def test_ids_are_left_out_by_both():
    rng = np.random.default_rng(1)
    rows = np.round(rng.normal(size=(400, 3))).astype(np.float32)
    ids = rng.integers(0, 100, size=400)
    found = [
        [block for _, block in Finder(rows, rows, distance="euclidean", left_out=SameId(ids, ids), engine=e).blocks(7)]
        for e in ("faiss", "tensorflow")
    ]
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first.indices, second.indices)
        np.testing.assert_array_equal(first.distances, second.distances)
        assert (ids[first.indices] != ids[: len(first.indices), None]).all()


def test_the_setting_of_float32_is_as_before():
    for enabled in (True, False):
        tf.config.experimental.enable_tensor_float_32_execution(enabled)
        search(np.eye(4), np.eye(4), 1, engine="tensorflow")
        assert tf.config.experimental.tensor_float_32_execution_enabled() == enabled
    tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_first_thread_to_end_leaves_the_others_their_full_float32(enabled):
    is_enabled = tf.config.experimental.tensor_float_32_execution_enabled
    both_began, first_ended = threading.Barrier(2), threading.Event()

    def first():
        with full_float32:
            both_began.wait(10)
        first_ended.set()

    def second():
        with full_float32:
            both_began.wait(10)
            assert first_ended.wait(10)
            return is_enabled()

    tf.config.experimental.enable_tensor_float_32_execution(enabled)
    try:
        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(first), pool.submit(second)]
        assert ends[0].exception() is None and not ends[1].result()
        assert is_enabled() == enabled
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)


def test_of_many_threads_none_meets_or_leaves_tensorfloat():
    is_enabled = tf.config.experimental.tensor_float_32_execution_enabled

    def compute(_):
        with full_float32:
            time.sleep(1e-5)
            return is_enabled()

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(compute, range(500)))
    assert is_enabled()


@pytest.mark.parametrize("engine", ["faiss", "tensorflow"])
def test_a_split_that_is_searched_in_itself_is_held_twice(engine):
    """Once as its rows are compared and once as the engine takes them, beside what was given."""
    rows = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32)
    left_out = SameId(np.arange(len(rows)), np.arange(len(rows)))
    search(rows[:9], rows[:9], 1, engine=engine)  # what is imported and set up once is not counted
    tracemalloc.start()
    try:
        next(iter(Finder(rows, rows, left_out=left_out, engine=engine).blocks(1, block_size=64)))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 1.5 < most / rows.nbytes < 2.5


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("zeros", [0, 3])
def test_a_split_searched_in_itself_is_as_one_searched_in_a_copy(name, zeros):
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    rows[:zeros] = 0.0
    in_itself, in_a_copy = (search(rows, gallery, 40, distance=name) for gallery in (rows, rows.copy()))
    np.testing.assert_array_equal(in_itself.indices, in_a_copy.indices)
    np.testing.assert_array_equal(in_itself.distances, in_a_copy.distances)


def test_a_core_looks_again_at_a_few_rows_at_once(monkeypatch):
    """Of many queries whose neighbors are all equally near, each of which is compared with the whole gallery."""
    monkeypatch.setattr(search_module, "usable_cores", lambda: 2)
    sizes, sorted_keys = [], search_module.Finder._sorted_keys

    def seen(finder, rows, candidates, k=None):
        sizes.append(0 if k is None else candidates.size)
        return sorted_keys(finder, rows, candidates, k)

    monkeypatch.setattr(search_module.Finder, "_sorted_keys", seen)
    found = search(np.ones((2000, 2)), np.ones((4096, 2)), 3, engine="faiss")
    assert (found.indices == [0, 1, 2]).all()
    assert sum(sizes) == 2000 * 4096 and max(sizes) <= 2**18

"""Schedule: the first miner early, the second later, and anchor by anchor in between."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.steps import at_step
from metric_learning.tuples import Pairs, Quadruplets, Triplets, all_pairs, to_pairs, to_quadruplets
from miners import BatchHard, EasyPositive, HardNegatives, HardPairs, QuadrupletMargin, Schedule, SemiHard


def scheduled(miner, step, problem):
    with at_step(step):
        return miner(*problem)


def assert_equal(left, right):
    assert type(left) is type(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def test_before_begin_the_first_works_and_from_end_on_the_second(problems):
    first, then = SemiHard(), SemiHard(farthest_if_none=False)
    miner = Schedule(first, then, begin=10, end=20)
    for problem in problems.values():
        for step in (0, 10):
            assert_equal(scheduled(miner, step, problem), first(*problem))
        for step in (20, 1000):
            assert_equal(scheduled(miner, step, problem), then(*problem))


def test_equal_steps_switch(problems):
    miner = Schedule(BatchHard(), EasyPositive(), begin=7, end=7)
    problem = problems["batch"]
    assert_equal(scheduled(miner, 6, problem), BatchHard()(*problem))
    assert_equal(scheduled(miner, 7, problem), EasyPositive()(*problem))


def test_in_between_each_anchor_has_the_tuples_of_one_of_them(problems):
    miner = Schedule(BatchHard(), EasyPositive(), begin=0, end=100)
    problem = problems["batch"]
    first, then = BatchHard()(*problem), EasyPositive()(*problem)
    goers = set()
    for step in range(20, 80):
        with at_step(step):
            goes_over = miner.goes_over(10).numpy()
            selected = miner(*problem)
        for a in range(10):
            source = then if goes_over[a] else first
            assert all(mixed[a] == field[a] for mixed, field in zip(selected, source, strict=True))
        goers.add(tuple(goes_over))
    assert len(goers) > 50


def test_the_share_grows_evenly_and_every_step_draws_anew():
    miner = Schedule(None, BatchHard(), begin=100, end=300)
    draws = {}
    for step, share in ((100, 0.0), (150, 0.25), (200, 0.5), (250, 0.75), (300, 1.0)):
        with at_step(step):
            draws[step] = miner.goes_over(4000).numpy()
            np.testing.assert_array_equal(draws[step], miner.goes_over(4000))
        assert float(np.mean(draws[step])) == pytest.approx(share, abs=0.04)
    with at_step(201):
        # Of the half that goes over now, about half did so a step before.
        assert np.mean(miner.goes_over(4000).numpy() & draws[200]) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("first", "then", "kind", "slots"),
    [
        (BatchHard(), EasyPositive(), Triplets, 1),
        (BatchHard(), SemiHard(), Triplets, 10),
        (SemiHard(), BatchHard(), Triplets, 10),
        (HardPairs(), HardNegatives(), Pairs, 10),
        (SemiHard(), HardPairs(), Pairs, 10),
        (None, BatchHard(), Pairs, 10),
        (BatchHard(), None, Pairs, 10),
        (QuadrupletMargin(), BatchHard(), Quadruplets, 10),
        (None, QuadrupletMargin(), Pairs, 10),
    ],
)
def test_selections_of_two_kinds_are_brought_to_one(problems, first, then, kind, slots):
    problem = problems["batch"]

    def converted(miner):
        selection = all_pairs(*problem[1:]) if miner is None else miner(*problem)
        if kind is Pairs:
            return to_pairs(selection, 10)
        if kind is Quadruplets:
            return to_quadruplets(selection, problem[0], problem[2], "semi_hard")
        return selection

    for step, miner in ((0, first), (5, then)):
        selected, expected = scheduled(Schedule(first, then, begin=1, end=5), step, problem), converted(miner)
        assert type(selected) is kind and all(field.shape == (10, slots) for field in selected)
        for field, wanted in zip(selected, expected, strict=True):
            width = wanted.shape[1]
            np.testing.assert_array_equal(field[:, :width], wanted)
        if kind is not Pairs:
            assert not np.any(selected.weights[:, expected.weights.shape[1] :])


def test_a_graph_follows_a_step_that_is_a_variable(problems):
    step = tf.Variable(0, dtype=tf.int64)
    miner = Schedule(BatchHard(), EasyPositive(), begin=3, end=6)
    problem = [tf.constant(field) for field in problems["batch"]]
    for compiled in (False, True):

        @tf.function(jit_compile=compiled)
        def select(*problem):
            with at_step(step):
                return miner(*problem)

        for now in (0, 4, 5, 6):
            step.assign(now)
            assert_equal(select(*problem), scheduled(miner, now, problem))
        assert select.experimental_get_tracing_count() == 1


def test_schedules_nest(problems):
    inner = Schedule(BatchHard(), EasyPositive(), begin=2, end=2)
    miner = Schedule(inner, EasyPositive(negative="hard"), begin=4, end=4)
    for step, expected in ((0, BatchHard()), (3, EasyPositive()), (4, EasyPositive(negative="hard"))):
        assert_equal(scheduled(miner, step, problems["batch"]), expected(*problems["batch"]))


@pytest.mark.parametrize("first", [None, HardNegatives(k=3), Schedule(SemiHard(), None, begin=1, end=2)])
def test_a_saved_schedule_is_rebuilt_with_its_miners(first):
    miner = Schedule(first, EasyPositive(negative="hard"), begin=5, end=9)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(miner)))
    assert keras.saving.deserialize_keras_object(saved) == miner


def test_without_a_step_it_says_so(problems):
    miner = Schedule(BatchHard(), EasyPositive(), begin=3, end=6)
    with at_step(None), pytest.raises(RuntimeError, match="needs to know the training step"):
        miner(*problems["batch"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"begin": -1}, "expected 0 <= begin <= end; got begin=-1, end=6"),
        ({"end": 2}, "expected 0 <= begin <= end; got begin=3, end=2"),
        ({"first": "semi_hard"}, "first must be a miner, .*, or None for all pairs; got 'semi_hard'"),
        ({"then": 3}, "then must be a miner.*; got 3"),
        ({"then": BatchHard}, "then must be a miner, such as BatchHard.*; got <class"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Schedule(BatchHard(), EasyPositive(), begin=3, end=6), **arguments)

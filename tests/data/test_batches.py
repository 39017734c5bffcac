"""Every batch is balanced, repeats nothing it need not, and depends on the seed and the step alone."""

import numpy as np
import pytest

from metric_learning.data import BatchPlan

# Unsorted labels far apart, 11 classes of 4 to 14 items: neither divides by the batch.
LABELS = np.random.default_rng(0).permutation(np.concatenate([np.full(4 + c, 2**24 + c) for c in range(11)]))


@pytest.fixture
def plan():
    return BatchPlan(LABELS, classes=4, samples=3, seed=7)


def test_batch_holds_p_classes_of_k_different_items(plan):
    for step in range(40):
        labels = LABELS[plan.batch(step)].reshape(4, 3)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 4
        assert len(set(plan.batch(step))) == 12


def test_epoch_visits_every_class_once_before_the_last_batch_tops_up(plan):
    assert plan.steps_per_epoch == 3
    for epoch in range(5):
        visited = [LABELS[plan.batch(3 * epoch + i)][::3] for i in range(3)]
        assert len(set(np.concatenate(visited)[:11])) == 11


def test_class_hands_out_all_items_before_it_repeats_one():
    items = np.arange(10)
    labels = np.where(items < 4, 1, 0)
    plan = BatchPlan(labels, classes=2, samples=2, seed=3)
    # With P = C every step is an epoch: 4 items of class 1 take two visits, 6 of class 0 take three.
    for visits, label in ((2, 1), (3, 0)):
        for first in range(0, 12, visits):
            seen = np.concatenate([plan.batch(first + i) for i in range(visits)])
            assert sorted(seen[labels[seen] == label]) == sorted(items[labels == label])


def test_item_is_not_repeated_within_a_batch_though_its_class_does_not_divide_by_k():
    labels = np.repeat([0, 1], 5)
    plan = BatchPlan(labels, classes=2, samples=3)
    for step in range(50):
        assert len(set(plan.batch(step))) == 6


def test_batch_of_a_step_does_not_depend_on_the_steps_before(plan):
    forwards = [plan.batch(step) for step in range(30)]
    again = BatchPlan(LABELS, classes=4, samples=3, seed=7)
    for step in reversed(range(30)):
        np.testing.assert_array_equal(again.batch(step), forwards[step])
    np.testing.assert_array_equal(again.block(10, 5), forwards[10:15])


def test_seed_and_epoch_change_the_batches(plan):
    other = BatchPlan(LABELS, classes=4, samples=3, seed=8)
    assert (plan.batch(0) != other.batch(0)).any()
    assert (plan.batch(0) != plan.batch(plan.steps_per_epoch)).any()


def test_small_class_repeats_its_items_and_warns_once():
    labels = np.array([0, 1, 1, 1, 2, 2, 2, 2])
    with pytest.warns(UserWarning, match="1 of 3 training classes have fewer than batch.samples=3") as caught:
        plan = BatchPlan(labels, classes=3, samples=3)
        for step in range(5):
            assert np.count_nonzero(labels[plan.batch(step)] == 0) == 3
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 12}, "batch.classes must be at most the 11 training classes there are; got 12"),
        ({"classes": 1}, "batch.classes must be at least 2"),
        ({"samples": 1}, "batch.samples must be at least 2"),
    ],
)
def test_impossible_batch_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchPlan(LABELS, **{"classes": 4, "samples": 3} | arguments)

"""Views of items without labels: which item stands where in a batch, and by which random numbers each is changed."""

import dataclasses

import numpy as np
import tensorflow as tf

from metric_learning.data import BatchPlan, Split, what_to_learn
from metric_learning.training.blocks import compile_block

ITEMS, VIEWS = 11, 3


class Numbers:
    """An augmentation that shows the random numbers of each view, beside the number of its item."""

    num_randoms = 2

    def __call__(self, inputs, randoms):
        return tf.concat([inputs, randoms], axis=1)


@dataclasses.dataclass
class Reader:
    """In place of a learner: its "losses" are the entries of the batch one after the other, so many each step."""

    entry: int
    distribute_strategy = tf.distribute.get_strategy()

    def update(self, inputs, labels):
        return tf.reshape(inputs, [-1])[self.entry], tf.cast(labels[self.entry // 3], tf.float32)


def batch_of(split, plan, step):
    """Items, labels and random numbers of the rows of a step, read entry by entry out of the compiled block."""
    rows = []
    for row in range(plan.batch_size):
        entries = []
        for column in range(3):
            block = compile_block(Reader(3 * row + column), split, plan, Numbers())
            values, labels = block(plan.block(step, 1), step)
            entries.append(values[0])
        rows.append((int(entries[0]), int(labels[0]), tuple(entries[1:])))
    return rows


def test_each_item_of_a_batch_has_its_views_side_by_side_and_each_view_its_own_numbers():
    split = Split(np.arange(ITEMS, dtype=np.float32)[:, None], np.zeros(ITEMS, np.int64), tuple("abcdefghijk"))
    source = type("Source", (), {"train": split, "kind": "images"})()
    train, names = what_to_learn(source, "items", Numbers())
    assert list(names) == list("abcdefghijk")
    plan = BatchPlan(train.labels, classes=2, samples=VIEWS, seed=5)
    first = batch_of(train, plan, 3)
    assert [item for item, _, _ in first] == [item for item in (first[0][0], first[VIEWS][0]) for _ in range(VIEWS)]
    assert all(item == label for item, label, _ in first)
    assert len({numbers for _, _, numbers in first}) == 2 * VIEWS
    assert batch_of(train, plan, 3) == first  # whatever came before, as in a run that was resumed there
    assert {numbers for _, _, numbers in batch_of(train, plan, 4)}.isdisjoint(numbers for _, _, numbers in first)


def test_an_epoch_shows_every_item_once_in_so_many_views():
    plan = BatchPlan(np.arange(ITEMS), classes=2, samples=VIEWS, seed=5)
    shown = np.concatenate([plan.batch(step) for step in range(plan.steps_per_epoch)])
    counts = {item: int((shown == item).sum()) for item in range(ITEMS)}
    assert sorted(counts.values()) == [VIEWS] * (ITEMS - 1) + [2 * VIEWS]  # one tops up the last batch

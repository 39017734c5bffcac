"""What a weight and a hierarchy of a table do to a loss and to a step, against loops in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.data import BatchPlan, table, what_to_learn
from metric_learning.relations import relate
from metric_learning.training import Learner, blocks

RNG = np.random.default_rng(0)
CLASSES = np.repeat([f"c{i}" for i in range(8)], 6)
PARTS = np.repeat(["train", "train", "train", "train", "validation", "validation", "test", "test"], 6)
ROWS = np.round(RNG.normal(size=(48, 3)), 3)
WEIGHTS = np.round(RNG.uniform(0, 3, 48), 2)
WEIGHTS[::5] = 0.0
RATE = 0.05


@pytest.fixture
def written(tmp_path):
    """`written(**columns)`: a table of features with labels, splits, and these columns."""

    def write(**columns):
        columns = {"a": ROWS[:, 0], "b": ROWS[:, 1], "c": ROWS[:, 2], "label": CLASSES, "split": PARTS} | columns
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        path = tmp_path / "t.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


def contrastive(rows, labels, weights):
    """sum_a w(a) v(a) / B, where the v(a) have the mean over positives plus the mean over negatives as their mean."""
    count = len(rows)
    total = 0.0
    pairs = {True: 0, False: 0}
    for a in range(count):
        for j in range(count):
            pairs[bool(labels[a] == labels[j])] += j != a
    for a in range(count):
        for j in range(count):
            if j != a:
                distance = np.sqrt(((rows[a] - rows[j]) ** 2).sum())
                same = bool(labels[a] == labels[j])
                violation = distance if same else max(2.0 - distance, 0.0)
                total += weights[a] * 0.5 * violation**2 * count / pairs[same]
    return total / count


def one_step(split, plan):
    """The loss of the first step, and the weights of a linear encoder [3, 2] before and after it."""
    inputs = keras.Input((3,))
    dense = keras.layers.Dense(2, use_bias=False, kernel_initializer=keras.initializers.RandomNormal(seed=4))
    learner = Learner(keras.Model(inputs, dense(inputs)), losses.Contrastive(negative_margin=2.0))
    learner.compile(keras.optimizers.SGD(RATE))
    before = dense.kernel.numpy().astype(np.float64)
    found, _ = blocks.compile_block(learner, split, plan)(plan.block(0, 1), 0)
    return float(found[0]), before, dense.kernel.numpy().astype(np.float64)


def test_a_weight_scales_what_an_anchor_costs_and_no_more(written, central_differences):
    """The weights are no shares: they are multiplied with, and the sum is divided by the size of the batch."""
    split = table(written(w=WEIGHTS), features=["a", "b", "c"], weight="w").train
    plan = BatchPlan(split.labels, classes=4, samples=5, seed=1)
    rows = plan.batch(0)
    loss, before, after = one_step(split, plan)

    def expected(weights):
        inputs = split.inputs[rows].astype(np.float64)
        return lambda kernel: contrastive(inputs @ kernel, split.labels[rows], weights)

    weighted, plain = expected(split.weights[rows].astype(np.float64)), expected(np.ones(20))
    assert loss == pytest.approx(weighted(before), rel=1e-5) and abs(loss / plain(before) - 1) > 0.05
    gradient = central_differences(weighted, before)
    np.testing.assert_allclose(after, before - RATE * gradient, atol=1e-6)
    assert np.abs(RATE * (gradient - central_differences(plain, before))).max() > 1e-4


def test_twice_the_weight_is_twice_the_loss_and_none_is_no_loss(written):
    def step(weights):
        split = table(written(w=weights), features=["a", "b", "c"], weight="w").train
        return one_step(split, BatchPlan(split.labels, classes=4, samples=5, seed=1))

    loss, before, after = step(WEIGHTS)
    twice, _, farther = step(2 * WEIGHTS)
    assert twice == pytest.approx(2 * loss, rel=1e-6)
    np.testing.assert_allclose(farther - before, 2 * (after - before), rtol=1e-4, atol=1e-8)
    none, _, still = step(0 * WEIGHTS)
    assert none == 0 and (still == before).all()


KINDS = [f"{kind}/{name}" for kind, name in zip(np.repeat(["x", "x/y", "z", "z"], 12), CLASSES, strict=True)]


def grade(one, other):
    """Levels that two paths share, over the levels of either; the last level of a shorter path is repeated."""
    one, other = (path.split("/") + [path.split("/")[-1]] * (3 - len(path.split("/"))) for path in (one, other))
    shared = 0
    while shared < 3 and one[: shared + 1] == other[: shared + 1]:
        shared += 1
    return shared / (6 - shared)


def test_losses_see_the_classes_of_a_hierarchy_unless_they_are_given_all_of_it(written):
    source = table(written(kind=KINDS), features=["a", "b", "c"], hierarchy="kind")
    split, names = what_to_learn(source, "classes", None)
    assert split.labels.ndim == 1 and len(names) == 4

    split, names = what_to_learn(source, "hierarchy", None)
    assert split.labels.dtype == bool and split.labels.shape == (24, len(names)) and len(names) == 4 + 3 + 1
    assert (split.labels.sum(axis=1) == 3).all()
    expected = [[grade(one, other) for other in KINDS[:24]] for one in KINDS[:24]]
    assert sorted({round(each, 3) for row in expected for each in row}) == [0.2, 0.5, 1.0]
    np.testing.assert_allclose(relate(split.labels).grades, expected, rtol=1e-6)
    plan = BatchPlan(split.labels, classes=4, samples=3)
    assert sorted(source.train.labels[plan.batch(0)]) == np.repeat(source.train.classes, 3).tolist()


def test_a_loss_that_takes_grades_pulls_kin_by_how_near_they_are(written):
    """SupCon by its formula: of every positive j, the share grade(a, j) of log-softmax."""
    source = table(written(kind=KINDS), features=["a", "b", "c"], hierarchy="kind")
    labels = what_to_learn(source, "hierarchy", None)[0].labels
    rows = ROWS[:24] @ RNG.normal(size=(3, 3))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kinds = [*KINDS[:24]]
    extra = RNG.normal(size=(2, 3))  # all share the level x, so that two of another one are needed as negatives
    unit = np.concatenate([unit, extra / np.linalg.norm(extra, axis=1, keepdims=True)])
    labels = np.concatenate([np.pad(labels, ((0, 0), (0, 1))), np.eye(labels.shape[1] + 1, dtype=bool)[[-1, -1]]])
    kinds += ["w/c9", "w/c9"]
    values = []
    for a in range(26):
        others = [j for j in range(26) if j != a]
        sum_of_all = sum(np.exp(unit[a] @ unit[j] / 0.5) for j in others)
        total = weight = 0.0
        for j in others:
            share = 1.0 if kinds[a] == kinds[j] == "w/c9" else grade(kinds[a], kinds[j])
            total -= share * np.log(np.exp(unit[a] @ unit[j] / 0.5) / sum_of_all)
            weight += share
        values.append(total / weight)
    found = losses.SupCon(temperature=0.5)(labels, tf.constant(unit, tf.float32))
    assert float(found) == pytest.approx(np.mean(values), rel=1e-5)


def test_data_without_a_hierarchy_is_refused(written):
    source = table(written(), features=["a", "b", "c"])
    with pytest.raises(ValueError, match="labels=hierarchy needs data with one, such as data=table data.hierarchy="):
        what_to_learn(source, "hierarchy", None)
    with pytest.raises(ValueError, match="labels must be classes, hierarchy or items; got 'levels'"):
        what_to_learn(source, "levels", None)

"""Second negatives against loops over every row."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.tuples import Quadruplets, Triplets, thresholds, to_quadruplets

pytestmark = pytest.mark.slow  # together they take a minute or so


@pytest.fixture(params=["loop", "sort"], autouse=True)
def way(request, monkeypatch):
    """Both ways of looking for a semi-hard one."""
    monkeypatch.setattr(thresholds, "MOST_FOR_A_SECOND_NEGATIVE_LOOP", {"loop": 10**6, "sort": -1}[request.param])
    monkeypatch.setattr(thresholds, "SLOTS", 3)
    return request.param


def test_quadruplets_stay_as_they_are(batch, masks):
    quadruplets = Quadruplets(*[tf.zeros([10, 1], tf.int32)] * 3, *[tf.zeros([10, 1])] * 2)
    assert to_quadruplets(quadruplets, tf.zeros([10, 10]), masks(batch.labels)[1]) is quadruplets


@pytest.fixture
def check_completion(masks):
    def check(labels, ref_labels, distances, triplets, kind="hard"):
        """The second negative is the nearest row, to the negative, of a class that is neither's; if "semi_hard", the
        nearest beyond the distance of the positive, or else the farthest."""
        refs = labels if ref_labels is None else ref_labels
        _, negative_mask = masks(labels, ref_labels)
        completed = to_quadruplets(triplets, distances, negative_mask, kind)
        for before, after in zip(triplets, (completed.positive, completed.negative, completed.weights), strict=True):
            np.testing.assert_array_equal(before, after)
        found = 0
        for a, slot in np.argwhere(triplets.weights.numpy()):
            n = completed.negative[a, slot].numpy()
            third = [m for m in range(len(labels)) if labels[m] not in (labels[a], refs[n])]
            if not third:
                assert completed.second_weights[a, slot] == 0.0
                continue
            found += 1
            assert completed.second_weights[a, slot] == triplets.weights[a, slot]
            expected = min(third, key=lambda m: distances[m, n])
            if kind == "semi_hard":
                farther = [m for m in third if distances[m, n] > distances[a, completed.positive[a, slot].numpy()]]
                expected = min(farther or [max(third, key=lambda m: distances[m, n])], key=lambda m: distances[m, n])
            assert completed.second_negative[a, slot] == expected
        assert not np.any(completed.second_weights.numpy()[triplets.weights.numpy() == 0.0])
        return found

    return check


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
@pytest.mark.parametrize("seed", range(5))
def test_quadruplets_are_completed_by_the_nearest_row_of_a_third_class(seed, kind, random_triplets, check_completion):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2**24, 2**24 + 4, size=14)
    distances = rng.normal(size=(14, 14)).astype(np.float32)  # of any sign, and not symmetric
    assert check_completion(labels, None, distances, random_triplets(labels, seed=seed), kind) > 15


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
@pytest.mark.parametrize("seed", range(5))
def test_quadruplets_with_references_are_completed_by_a_row_of_the_batch(seed, kind, random_triplets, check_completion):
    rng = np.random.default_rng(seed)
    labels, ref_labels = rng.integers(0, 4, size=9), rng.integers(0, 6, size=12)
    distances = rng.normal(size=(9, 12)).astype(np.float32)
    triplets = random_triplets(labels, ref_labels, seed=seed)
    assert check_completion(labels, ref_labels, distances, triplets, kind) > 5


def test_two_classes_have_no_third(random_triplets, check_completion):
    labels = np.array([0, 1, 0, 1, 1])
    distances = np.random.default_rng(32).normal(size=(5, 5)).astype(np.float32)
    triplets = random_triplets(labels)
    assert np.sum(triplets.weights) > 0.0
    for kind in ("hard", "semi_hard"):
        assert check_completion(labels, None, distances, triplets, kind) == 0


def test_a_class_without_references_can_be_the_third(masks):
    labels, ref_labels = np.array([0, 1, 2]), np.array([0, 1, 1])
    distances = np.array([[0.0, 5.0, 6.0], [5.0, 0.0, 1.0], [7.0, 3.0, 2.0]], np.float32)
    triplets = Triplets(*map(tf.constant, ([[0], [1], [0]], [[1], [0], [0]], [[1.0], [1.0], [0.0]])))
    completed = to_quadruplets(triplets, distances, masks(labels, ref_labels)[1])
    assert completed.second_negative.numpy()[:2].tolist() == [[2], [2]]
    assert completed.second_weights.numpy().tolist() == [[1.0], [1.0], [0.0]]


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_rows_of_several_classes_are_completed_by_one_alike_to_neither(kind, compiled):
    rng = np.random.default_rng(40)
    hot = (rng.random((16, 8)) < 0.2).astype(int)
    alike = hot @ hot.T > 0
    joined = alike.astype(int) @ alike.astype(int) > 0  # by a row of both: no reason to be of one class
    assert (joined & ~alike & ~np.eye(16, dtype=bool)).sum() > 20
    negative_mask = ~alike & ~np.eye(16, dtype=bool)
    distances = rng.normal(size=(16, 16)).astype(np.float32)
    assert negative_mask.any(axis=1).all()
    negative = np.array([rng.choice(np.flatnonzero(row), 8) for row in negative_mask])
    weights = np.ones((16, 8), np.float32)
    positive = rng.integers(0, 16, size=(16, 8)).astype(np.int32)
    triplets = Triplets(*map(tf.constant, (positive, negative.astype(np.int32), weights)))
    complete = tf.function(lambda *given: to_quadruplets(*given, kind), jit_compile=compiled)
    completed = complete(triplets, tf.constant(distances), tf.constant(negative_mask))
    found = 0
    for a, slot in np.argwhere(weights):
        n, p = negative[a, slot], positive[a, slot]
        third = [m for m in range(16) if m not in (a, n) and not hot[m] @ hot[n] and not hot[m] @ hot[a]]
        assert (completed.second_weights[a, slot] > 0.0) == bool(third)
        if third:
            beyond = distances[a, p] if kind == "semi_hard" else -np.inf
            farther = [m for m in third if distances[m, n] > beyond]
            wanted = (
                min(farther, key=lambda m: distances[m, n]) if farther else max(third, key=lambda m: distances[m, n])
            )
            assert completed.second_negative[a, slot] == wanted
            found += 1
    assert found > 100


@pytest.mark.parametrize("kind", ["hard", "semi_hard"])
def test_compiled_for_any_number_of_rows_it_finds_the_same(kind, masks, random_triplets):
    rng = np.random.default_rng(41)
    labels = rng.integers(0, 5, size=20)
    distances = rng.normal(size=(20, 20)).astype(np.float32)
    triplets, negative_mask = random_triplets(labels, slots=7), masks(labels)[1]
    expected = to_quadruplets(triplets, distances, negative_mask, kind)
    assert np.sum(expected.second_weights) > 20.0

    def complete(positive, negative, weights, distances, negative_mask):
        return to_quadruplets(Triplets(positive, negative, weights), distances, negative_mask, kind)

    matrix = tf.TensorSpec([None, None])
    integers = tf.TensorSpec([None, None], tf.int32)
    unknown = [integers, integers, matrix, matrix, tf.TensorSpec([None, None], tf.bool)]
    for compiled in (tf.function(complete, input_signature=unknown), tf.function(complete, jit_compile=True)):
        found = compiled(*triplets, tf.constant(distances), tf.constant(negative_mask))
        np.testing.assert_array_equal(found.second_weights, expected.second_weights)
        valid = expected.second_weights.numpy() > 0.0
        np.testing.assert_array_equal(found.second_negative.numpy()[valid], expected.second_negative.numpy()[valid])

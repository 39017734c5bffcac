"""Angular against angles measured on the rows themselves."""

import math

import numpy as np
import pytest

from miners import Angular


def oracle(labels, rows, degrees):
    """{(a, p): the negatives n of the largest angle above the threshold}, from the coordinates."""
    chosen = {}
    for a, p in np.ndindex(len(rows), len(rows)):
        if a == p or labels[a] != labels[p]:
            continue
        middle = (rows[a] + rows[p]) / 2
        angles = {
            n: math.atan2(np.linalg.norm(rows[a] - rows[p]), 2 * np.linalg.norm(rows[n] - middle))
            for n in range(len(rows))
            if labels[n] != labels[a]
        }
        largest = max(angles.values(), default=0.0)
        if largest > math.radians(degrees):
            chosen[a, p] = {n for n, angle in angles.items() if angle > largest - 1e-9}
    return chosen


def problem_of(labels, rows, distance="euclidean"):
    if distance == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        distances = 1.0 - rows @ rows.T
    else:
        distances = np.linalg.norm(rows[:, None] - rows, axis=-1)
        distances = np.square(distances) if distance == "squared_euclidean" else distances
    same = np.equal.outer(labels, labels)
    return distances.astype(np.float32), same & ~np.eye(len(rows), dtype=bool), ~same


def chosen_by(miner, problem):
    positive, negative, weights = (x.numpy() for x in miner(*problem))
    assert np.isin(weights, [0.0, 1.0]).all()
    return {(a, positive[a, s]): negative[a, s] for a, s in np.argwhere(weights)}


def check(miner, problem, expected):
    found = chosen_by(miner, problem)
    assert set(found) == set(expected)
    assert all(n in expected[pair] for pair, n in found.items())


@pytest.mark.parametrize("degrees", [5.0, 20.0, 45.0])
@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
def test_takes_the_negative_of_the_largest_angle(batch, batch_with_duplicates, distance, degrees):
    for labels, rows in (batch, batch_with_duplicates):
        check(Angular(degrees, distance), problem_of(labels, rows, distance), oracle(labels, rows, degrees))


def test_cosine_measures_the_rows_brought_to_unit_length(batch):
    labels, rows = batch
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = oracle(labels, unit, 20.0)
    check(Angular(20.0, "cosine"), problem_of(labels, rows, "cosine"), expected)
    assert expected != oracle(labels, rows, 20.0)


def test_the_threshold_and_the_negative_matter_on_these_inputs(batch):
    sizes = [len(oracle(*batch, degrees)) for degrees in (5.0, 20.0, 45.0)]
    assert 0 < sizes[2] < sizes[1] <= sizes[0]
    distances, _, negative_mask = problem_of(*batch)
    nearest = np.where(negative_mask, distances, np.inf).argmin(axis=1)
    assert any(n != nearest[a] for (a, _), n in chosen_by(Angular(5.0), problem_of(*batch)).items())


def test_many_positives_of_an_anchor_and_another_scale():
    rng = np.random.default_rng(17)
    labels, rows = rng.integers(0, 2, size=40), rng.normal(size=(40, 3))
    expected = oracle(labels, rows, 30.0)
    assert 0 < len(expected) < np.equal.outer(labels, labels).sum() - 40
    for scale in (1.0, 1e3):
        check(Angular(30.0), problem_of(labels, scale * rows), expected)


def test_by_hand():
    # a = (-1, 0), p = (1, 0): the middle is 0. n at (0, 2) is seen under atan(2 / 4) = 26.57 degrees.
    rows = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    problem = problem_of(np.array([0, 0, 1]), rows)
    assert chosen_by(Angular(26.5), problem) == {(0, 1): 2, (1, 0): 2}
    assert chosen_by(Angular(26.6), problem) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"angle": 0}, r"angle must be in \(0, 90\) degrees; got 0"),
        ({"angle": 90}, "angle must be in .*; got 90"),
        ({"distance": "dot"}, "distance must be one of euclidean, .*; got 'dot'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Angular(**arguments)


def test_references_that_are_not_the_anchors_are_refused():
    with pytest.raises(ValueError, match="needs the anchors as references; got 2 anchors and 3"):
        Angular()(np.zeros((2, 3), np.float32), np.zeros((2, 3), bool), np.ones((2, 3), bool))

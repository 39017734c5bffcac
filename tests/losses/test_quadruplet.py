"""The quadruplet loss against loops over every quadruplet, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Quadruplet
from metric_learning.tuples import Pairs, Quadruplets, Triplets
from miners import BatchHard


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[name]


def every_triplet(labels, ref_labels=None):
    refs = labels if ref_labels is None else ref_labels
    return [
        (a, p, n, 1.0)
        for a in range(len(labels))
        for p in range(len(refs))
        for n in range(len(refs))
        if labels[a] == refs[p] and (ref_labels is not None or a != p) and labels[a] != refs[n]
    ]


def every_quadruplet(labels, ref_labels=None):
    """(a, p, n, m, weight): three classes, m being a row of the batch and n one of the references."""
    refs = labels if ref_labels is None else ref_labels
    return [
        (a, p, n, m, 1.0)
        for a in range(len(labels))
        for p in range(len(refs))
        if labels[a] == refs[p] and (ref_labels is not None or a != p)
        for n in range(len(refs))
        for m in range(len(labels))
        if len({labels[a], refs[n], labels[m]}) == 3
    ]


def completion(triplets, labels, rows, distance, kind="semi_hard"):
    """Each triplet with an m of a third class: the one nearest to its n ("hard"), or of those farther from n than p
    is from a, and where there is none, the farthest ("semi_hard")."""
    quadruplets = []
    for a, p, n, weight in triplets:
        third = [m for m in range(len(labels)) if len({labels[a], labels[n], labels[m]}) == 3]
        if third:
            to = {m: distance_of(rows[m], rows[n], distance) for m in third}
            m = min(third, key=to.get)
            if kind == "semi_hard":
                farther = [m for m in third if to[m] > distance_of(rows[a], rows[p], distance)]
                m = min(farther, key=to.get) if farther else max(third, key=to.get)
            quadruplets.append((a, p, n, m, weight))
    return quadruplets


def margins_of(labels, rows, weights, distance):
    """Eq. 6: w times the gap of the mean distances of negatives and positives, at least 0."""
    sides = {True: [], False: []}
    for a in range(len(rows)):
        for j in range(len(rows)):
            if a != j:
                sides[labels[a] == labels[j]].append(distance_of(rows[a], rows[j], distance))
    gap = max(np.mean(sides[False]) - np.mean(sides[True]), 0.0)
    return [weight * gap for weight in weights]


def oracle(
    rows,
    triplets,
    quadruplets,
    refs=None,
    *,
    margin=0.2,
    second_margin=0.1,
    average="selected",
    distance="squared_euclidean",
):
    """One value per anchor; their mean is the mean over triplets plus the mean over quadruplets."""
    refs = rows if refs is None else refs
    sums, counts = np.zeros((2, len(rows))), [0.0, 0.0]
    terms = [(0, a, p, (rows[a], refs[n]), margin, w) for a, p, n, w in triplets]
    terms += [(1, a, p, (rows[m], refs[n]), second_margin, w) for a, p, n, m, w in quadruplets]
    for which, a, p, negatives, alpha, weight in terms:
        apart = distance_of(*negatives, distance)
        cost = max(distance_of(rows[a], refs[p], distance) - apart + alpha, 0.0)
        sums[which, a] += weight * cost
        if average == "selected" or cost > 0.0:
            counts[which] += weight
    return sum(len(rows) * side / count for side, count in zip(sums, counts, strict=True) if count)


OPTIONS = {
    "fixed": {},
    "wide first": {"margin": 0.6},
    "wide second": {"second_margin": 0.7},
    "euclidean": {"distance": "euclidean"},
    "active": {"average": "active"},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


@options
def test_all_quadruplets_equal_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch

    def expected(rows):
        return oracle(rows, every_triplet(labels), every_quadruplet(labels), **arguments)

    agrees(Quadruplet(**arguments), expected, labels, rows)


@pytest.mark.parametrize("kind", ["semi_hard", "hard"])
@options
def test_completed_triplets_equal_loops_with_their_gradient(batch, arguments, kind, agrees):
    labels, rows = batch
    distance = arguments.get("distance", "squared_euclidean")
    triplets = []
    for a in range(10):
        own = [triplet for triplet in every_triplet(labels) if triplet[0] == a]
        triplets += own[a % 3 : a % 3 + 1] + own[-1:]
    positive, negative, weights = np.zeros((3, 10, 2))
    for a in range(10):
        for slot, (_, p, n, weight) in enumerate(t for t in triplets if t[0] == a):
            positive[a, slot], negative[a, slot], weights[a, slot] = p, n, weight
    selection = Triplets(
        tf.constant(positive, tf.int32),
        tf.constant(negative, tf.int32),
        tf.constant(weights, tf.float32),
    )
    quadruplets = completion(triplets, labels, rows, distance, kind)
    assert quadruplets != completion(triplets, labels, rows, distance, "hard" if kind == "semi_hard" else "semi_hard")

    def expected(rows):
        return oracle(rows, triplets, quadruplets, **arguments)

    loss = Quadruplet(miner=lambda *_: selection, second_negative=kind, **arguments)
    agrees(loss, expected, labels, rows)


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    tuples = every_triplet(labels), every_quadruplet(labels)
    values = [oracle(rows, *tuples, **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@pytest.mark.parametrize("miner", [None, BatchHard()], ids=["all", "batch hard"])
@pytest.mark.parametrize("distance", ["squared_euclidean", "euclidean"])
def test_adaptive_margins_follow_the_batch_as_constants(batch, miner, distance, agrees):
    labels, rows = batch
    weights = (1.0, 0.5)
    # Farther apart, for a gap between the means that is above 0.
    rows = rows + 0.5 * np.round(8 * np.cos(labels[:, None] * [1.0, 2.0, 3.0])) / 8
    margin, second_margin = margins_of(labels, rows, weights, distance)
    assert margin == 2.0 * second_margin > 0.1
    triplets, quadruplets = every_triplet(labels), every_quadruplet(labels)
    if miner is not None:
        hardest = []
        for a in sorted({triplet[0] for triplet in triplets}):
            to = [distance_of(rows[a], row, distance) for row in rows]
            p = max((p for b, p, _, _ in triplets if b == a), key=lambda p: to[p])
            n = min((n for b, _, n, _ in triplets if b == a), key=lambda n: to[n])
            hardest.append((a, p, n, 1.0))
        triplets, quadruplets = hardest, completion(hardest, labels, rows, distance)

    def expected(shifted):
        arguments = {"margin": margin, "second_margin": second_margin, "distance": distance}
        return oracle(shifted, triplets, quadruplets, **arguments)

    loss = Quadruplet(adaptive_weights=weights, distance=distance, miner=miner)
    agrees(loss, expected, labels, rows)


def test_adaptive_margins_are_zero_while_negatives_are_nearer_than_positives():
    labels, rows = [0, 0, 1, 2], [[0.0], [3.0], [1.0], [1.5]]
    adaptive = Quadruplet(adaptive_weights=(1.0, 0.5))
    np.testing.assert_allclose(
        adaptive.call(labels, rows), Quadruplet(margin=0.0, second_margin=0.0).call(labels, rows)
    )


def test_a_memory_bank_completes_with_rows_of_the_batch(batch, bank, agrees):
    labels, rows = batch
    triplets, quadruplets = (every(labels, bank.labels) for every in (every_triplet, every_quadruplet))

    def expected(rows):
        return oracle(rows, triplets, quadruplets, bank.embeddings)

    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Quadruplet(), expected, labels, rows, **references)


def test_pairs_of_a_miner_stand_for_all_their_quadruplets(batch, agrees):
    labels, rows = batch
    kept = np.random.default_rng(9).integers(0, 3, size=(10, 10)).astype(np.float32)
    same = np.equal.outer(labels, labels)
    positive, negative = kept * (same & ~np.eye(10, dtype=bool)), kept * ~same
    triplets = [(a, p, n, positive[a, p] * negative[a, n]) for a, p, n, _ in every_triplet(labels)]
    quadruplets = [(a, p, n, m, positive[a, p] * negative[m, n]) for a, p, n, m, _ in every_quadruplet(labels)]

    def expected(rows):
        return oracle(rows, triplets, quadruplets, average="active")

    pairs = Pairs(tf.constant(positive), tf.constant(negative))
    loss = Quadruplet(miner=lambda *_: pairs, average="active")
    agrees(loss, expected, labels, rows)


def test_quadruplets_of_a_miner_stay_as_they_are(batch):
    labels, rows = batch
    a, p, n, m, _ = every_quadruplet(labels)[17]
    columns = np.zeros((3, 10, 1), np.int32)
    columns[:, a, 0] = p, n, m
    weights = np.zeros((10, 1), np.float32)
    weights[a] = 1.0
    selection = Quadruplets(*map(tf.constant, [*columns, weights, weights]))
    loss = Quadruplet(margin=2.0, second_margin=2.0, miner=lambda *_: selection)
    expected = oracle(rows, [(a, p, n, 1.0)], [(a, p, n, m, 1.0)], margin=2.0, second_margin=2.0)
    np.testing.assert_allclose(loss.call(labels, rows), expected, atol=2e-6)


@pytest.mark.parametrize("miner", [None, BatchHard()], ids=["all", "batch hard"])
def test_two_classes_have_triplets_but_no_quadruplets(batch, miner):
    labels, rows = np.where(batch.labels == batch.labels[0], 0, 1), batch.embeddings
    wide, narrow = (Quadruplet(second_margin=s, miner=miner)(labels, rows) for s in (9.0, 0.0))
    assert wide == narrow > 0.0


@pytest.mark.parametrize("miner", [None, BatchHard()], ids=["all", "batch hard"])
def test_negatives_of_one_class_are_no_quadruplet(miner):
    # Rows 2 and 3 are one class: only 4 completes them, from far away.
    labels, rows = [0, 0, 1, 1, 2], [[0.0], [1.0], [5.0], [5.1], [50.0]]
    loss = Quadruplet(margin=0.0, second_margin=9.0, miner=miner, distance="euclidean")
    assert loss(labels, rows) == 0.0


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    for arguments in OPTIONS.values():
        expected = oracle(rows, every_triplet(labels), every_quadruplet(labels), **arguments)
        np.testing.assert_allclose(Quadruplet(**arguments).call(labels, rows), expected, atol=3e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"second_margin": -0.1}, "second_margin must be at least 0; got -0.1"),
        ({"adaptive_weights": (1.0,)}, "adaptive_weights must be two numbers .*; got"),
        ({"adaptive_weights": (1.0, -0.5)}, "adaptive_weights must be two numbers .*; got"),
    ],
    ids=["margin", "one weight", "negative weight"],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Quadruplet(**arguments)

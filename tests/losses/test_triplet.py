"""The triplet loss against loops over every triplet, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Triplet
from metric_learning.tuples import Pairs, Triplets
from miners import BatchHard, DistanceWeighted, Schedule, SemiHard


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square)}[name]


def every_triplet(labels, ref_labels=None, own=None):
    """(anchor, positive, negative, weight), own(a, j) telling which reference is the anchor itself."""
    refs = labels if ref_labels is None else ref_labels
    own = own or (lambda a, j: ref_labels is None and a == j)
    return [
        (a, p, n, 1.0)
        for a in range(len(labels))
        for p in range(len(refs))
        for n in range(len(refs))
        if labels[a] == refs[p] and not own(a, p) and labels[a] != refs[n]
    ]


def oracle(
    rows,
    triplets,
    refs=None,
    *,
    margin=0.2,
    soft=False,
    scale=1.0,
    swap=False,
    average="selected",
    distance="squared_euclidean",
):
    """One value per anchor whose mean is the mean over the triplets."""
    refs = rows if refs is None else refs
    values, count = np.zeros(len(rows)), 0.0
    for a, p, n, weight in triplets:
        to_negative = distance_of(rows[a], refs[n], distance)
        if swap:
            to_negative = min(to_negative, distance_of(refs[p], refs[n], distance))
        difference = distance_of(rows[a], refs[p], distance) - to_negative
        if soft:
            cost = math.log1p(math.exp(scale * (difference + margin))) / scale
        else:
            cost = max(difference + margin, 0.0)
        values[a] += weight * cost
        if average == "selected" or cost > 0.0:
            count += weight
    return values * len(rows) / count


def hardest(labels, rows, distance):
    """Hermans et al., eq. 5, as a list of triplets."""
    chosen = []
    for a in range(len(labels)):
        to = [distance_of(rows[a], row, distance) for row in rows]
        positives = [j for j in range(len(labels)) if labels[j] == labels[a] and j != a]
        negatives = [j for j in range(len(labels)) if labels[j] != labels[a]]
        if positives and negatives:
            p, n = max(positives, key=lambda j: to[j]), min(negatives, key=lambda j: to[j])
            chosen.append((a, p, n, 1.0))
    return chosen


def mixed(labels):
    """Three slots an anchor: valid triplets with weights of 0, 1 and 2, some of them twice."""
    rng = np.random.default_rng(3)
    positive, negative = np.zeros((2, len(labels), 3), np.int32)
    weights = np.zeros((len(labels), 3), np.float32)
    for a in range(len(labels)):
        choices = [(p, n) for b, p, n, _ in every_triplet(labels) if b == a]
        for slot in range(3 if choices else 0):
            positive[a, slot], negative[a, slot] = choices[rng.integers(len(choices))]
            weights[a, slot] = rng.integers(3)
    listed = [(a, positive[a, s], negative[a, s], float(weights[a, s])) for a in range(len(labels)) for s in range(3)]
    tensors = Triplets(*map(tf.constant, (positive, negative, weights)))
    return tensors, listed


OPTIONS = {
    "hinge": {},
    "wide margin": {"margin": 0.5},
    "euclidean": {"distance": "euclidean"},
    "soft": {"soft": True, "margin": 0.0},
    "sharp": {"soft": True, "scale": 8.0},
    "swap": {"swap": True},
    "soft swap": {"swap": True, "soft": True, "scale": 4.0, "distance": "euclidean"},
    "active": {"average": "active"},
    "active swap": {"average": "active", "swap": True},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


@options
def test_all_triplets_equal_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch

    def expected(rows):
        return oracle(rows, every_triplet(labels), **arguments)

    agrees(Triplet(**arguments), expected, labels, rows)


@options
def test_selected_triplets_equal_loops_with_their_gradient(batch, arguments, agrees):
    labels, rows = batch
    tensors, listed = mixed(labels)

    def expected(rows):
        return oracle(rows, listed, **arguments)

    loss = Triplet(miner=lambda *_: tensors, **arguments)
    agrees(loss, expected, labels, rows)


@pytest.mark.parametrize("distance", ["squared_euclidean", "euclidean"])
def test_batch_hard_triplet_is_that_of_the_paper(batch, distance, agrees):
    labels, rows = batch

    def expected(shifted):
        return oracle(shifted, hardest(labels, rows, distance), distance=distance)

    loss = Triplet(distance=distance, miner=BatchHard())
    agrees(loss, expected, labels, rows)


def test_the_batch_has_active_and_inactive_triplets_and_the_swap_matters(batch):
    labels, rows = batch
    costs = {}
    for swap in (False, True):
        costs[swap] = [oracle(rows, [triplet], swap=swap).sum() / len(rows) for triplet in every_triplet(labels)]
        assert 0.2 < np.mean(np.array(costs[swap]) > 0.0) < 0.9
    assert np.sum(np.array(costs[True]) > np.array(costs[False])) > 10


def test_every_hyperparameter_changes_the_value(batch):
    labels, rows = batch
    values = [oracle(rows, every_triplet(labels), **arguments).mean() for arguments in OPTIONS.values()]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@pytest.mark.parametrize("average", ["selected", "active"])
def test_a_pair_selection_stands_for_all_triplets_of_its_anchor(batch, average, agrees):
    labels, rows = batch
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    same = np.equal.outer(labels, labels)
    positive, negative = counts[0] * (same & ~np.eye(10, dtype=bool)), counts[1] * ~same
    listed = [(a, p, n, float(positive[a, p] * negative[a, n])) for a, p, n, _ in every_triplet(labels)]
    pairs = Pairs(tf.constant(positive), tf.constant(negative))

    def expected(rows):
        return oracle(rows, listed, average=average)

    loss = Triplet(miner=lambda *_: pairs, average=average)
    agrees(loss, expected, labels, rows)


def test_a_reference_may_be_positive_and_negative_at_once(batch, agrees):
    labels, rows = batch
    counts = np.random.default_rng(5).integers(0, 2, size=(2, 10, 10)).astype(np.float32) * (
        1.0 - np.eye(10, dtype="f4")
    )
    listed = [
        (a, p, n, float(counts[0, a, p] * counts[1, a, n])) for a in range(10) for p in range(10) for n in range(10)
    ]
    assert np.sum(counts[0] * counts[1]) > 10.0

    def expected(rows):
        return oracle(rows, listed)

    agrees(Triplet(miner=lambda *_: Pairs(*map(tf.constant, counts))), expected, labels, rows)


def test_duplicate_rows_are_ordinary_rows(batch_with_duplicates):
    labels, rows = batch_with_duplicates
    for arguments in OPTIONS.values():
        expected = oracle(rows, every_triplet(labels), **arguments)
        np.testing.assert_allclose(Triplet(**arguments).call(labels, rows), expected, atol=2e-6)


@pytest.mark.parametrize("average", ["selected", "active"])
def test_a_memory_bank_gives_the_triplets_of_anchor_and_bank(batch, bank, average, agrees):
    labels, rows = batch
    triplets = every_triplet(labels, bank.labels)

    def expected(rows):
        return oracle(rows, triplets, bank.embeddings, average=average)

    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(Triplet(average=average), expected, labels, rows, **references)


def test_a_bank_row_of_the_anchors_id_is_no_positive(batch):
    labels, rows = batch
    ids, ref_ids = np.arange(10) + 100, np.array([103, 100, 999, 102])
    ref_labels, refs = labels[[3, 0, 1, 2]], rows[[3, 0, 1, 2]] + 0.25
    triplets = every_triplet(labels, ref_labels, lambda a, j: ids[a] == ref_ids[j])
    assert len(triplets) < len(every_triplet(labels, ref_labels))
    loss = Triplet(margin=0.5)
    values = loss.call(labels, rows, ref_labels=ref_labels, ref_embeddings=refs, ids=ids, ref_ids=ref_ids)
    np.testing.assert_allclose(values, oracle(rows, triplets, refs, margin=0.5), atol=2e-6)


def test_multi_hot_rows_are_alike_when_they_share_a_class(batch):
    rows = batch.embeddings[:5]
    hot = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])
    shared = hot @ hot.T > 0
    triplets = [
        (a, p, n, 1.0)
        for a in range(5)
        for p in range(5)
        for n in range(5)
        if shared[a, p] and a != p and not shared[a, n]
    ]
    assert (1, 0, 2) in [triplet[:3] for triplet in triplets]  # 0 is alike to 1 and 2, which are not
    np.testing.assert_allclose(Triplet().call(hot, rows), oracle(rows, triplets), atol=2e-6)


def test_soft_tends_to_the_hinge_as_scale_grows(batch):
    hinge = Triplet()(*batch)
    assert abs(Triplet(soft=True, scale=200.0)(*batch) - hinge) < 0.01
    assert Triplet(soft=True, scale=2.0)(*batch) > hinge + 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": -0.1}, "margin must be at least 0; got -0.1"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"average": "all"}, "average must be one of selected, active; got 'all'"),
        ({"distance": "l2"}, "distance must be one of cosine, .*; got 'l2'"),
        ({"miner": "batch_hard"}, "miner must be a callable or None; got 'batch_hard'"),
        (
            {"miner": DistanceWeighted(8)},
            "told that distances are euclidean, and the loss .* squared_",
        ),
        ({"miner": Schedule(None, DistanceWeighted(8), 0, 9)}, "DistanceWeighted is told that distances are euclidean"),
        ({"miner": SemiHard}, r"miner must be an object, such as SemiHard\(\); got the class SemiHard"),
    ],
    ids=["margin", "scale", "average", "distance", "miner", "its distance", "in a schedule", "class of miners"],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Triplet(**arguments)


def test_swap_with_references_is_refused(batch, bank):
    with pytest.raises(ValueError, match="swap=True .* takes no ref_embeddings"):
        Triplet(swap=True)(*batch, ref_labels=bank.labels, ref_embeddings=bank.embeddings)

"""The N-pairs loss against the paper's pairs, written out, and against its soft form over all rows."""

import math

import numpy as np
import pytest

from metric_learning.losses import NPairs


def product(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def similarity_of(x, y, distance):
    if distance == "dot":
        return product(x, y)
    return product(x, y) / math.sqrt(product(x, x) * product(y, y))


def paper(anchors, positives):
    """Multi-class N-pair loss of f_i and f_i+, one pair of each class: one value per pair."""
    return [
        math.log(
            1.0 + sum(math.exp(product(f, other) - product(f, own)) for j, other in enumerate(positives) if j != i)
        )
        for i, (f, own) in enumerate(zip(anchors, positives, strict=True))
    ]


def one_per_class(labels, ref_labels=None, *, symmetric=False, **_):
    """{anchor: {candidate: target}} by counting the rows of each class one by one."""
    own_batch = ref_labels is None
    refs = labels if own_batch else ref_labels
    members = {}
    for j, label in enumerate(refs):
        members.setdefault(label, []).append(j)
    table, seen = {}, {}
    for a, label in enumerate(labels):
        number = seen.setdefault(label, 0)
        seen[label] += 1
        if symmetric or number % 2 == 0:
            candidates = [rows[(number + 1) % len(rows)] for rows in members.values()]
            table[a] = {j: float(refs[j] == label) for j in candidates if not own_batch or j != a}
    return table


def all_rows(labels, ref_labels=None, **_):
    refs = labels if ref_labels is None else ref_labels
    return {
        a: {j: float(other == label) for j, other in enumerate(refs) if ref_labels is not None or j != a}
        for a, label in enumerate(labels)
    }


def oracle(rows, table, refs=None, *, scale=1.0, l2_weight=0.0, distance="dot", **_):
    """One value per row: cross-entropies of the targets, scaled to the mean over anchors, and squared lengths."""
    refs = rows if refs is None else refs
    values, counted = np.zeros(len(rows)), 0
    for a, targets in table.items():
        total = sum(targets.values())
        if total == 0.0 or all(targets.values()):
            continue
        powers = {j: math.exp(scale * similarity_of(rows[a], refs[j], distance)) for j in targets}
        everything = sum(powers.values())
        values[a] = -sum(t / total * math.log(powers[j] / everything) for j, t in targets.items())
        counted += 1
    return values * len(rows) / counted + l2_weight * np.array([product(row, row) for row in rows])


OPTIONS = {
    "paper": {},
    "symmetric": {"symmetric": True},
    "l2": {"l2_weight": 0.3},
    "scale": {"scale": 4.0},
    "cosine": {"distance": "cosine"},
    "all": {"one_per_class": False},
    "all, scaled": {"one_per_class": False, "scale": 3.0, "distance": "cosine", "l2_weight": 0.1},
}
options = pytest.mark.parametrize("arguments", OPTIONS.values(), ids=OPTIONS)


def table_of(arguments, *labels):
    return (one_per_class if arguments.get("one_per_class", True) else all_rows)(*labels, **arguments)


@options
def test_values_equal_loops_with_their_gradient(batch, agrees, arguments):
    table = table_of(arguments, batch.labels)
    agrees(NPairs(**arguments), lambda rows: oracle(rows, table, **arguments), *batch)


def test_every_hyperparameter_changes_the_value(batch):
    values = [
        oracle(batch.embeddings, table_of(arguments, batch.labels), **arguments).mean()
        for arguments in OPTIONS.values()
    ]
    assert len(np.unique(np.round(values, 4))) == len(OPTIONS)


@options
def test_references_are_numbered_within_their_class_too(batch, bank, agrees, arguments):
    table = table_of(arguments, batch.labels, bank.labels)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    agrees(NPairs(**arguments), lambda rows: oracle(rows, table, bank.embeddings, **arguments), *batch, **references)


@options
def test_the_batch_as_its_own_references_is_the_plain_call(batch, arguments):
    labels, rows = batch
    loss, ids = NPairs(**arguments), np.arange(10)
    values = loss.call(labels, rows, ref_labels=labels, ref_embeddings=rows, ids=ids, ref_ids=ids)
    np.testing.assert_allclose(values, loss.call(labels, rows), rtol=1e-6)


@pytest.mark.parametrize("order", ["pair by pair", "anchors first", "mixed"])
def test_two_rows_a_class_are_exactly_the_loss_of_the_paper(batch, order):
    rows = batch.embeddings
    anchors, positives = rows[:5], rows[5:]
    places = {
        "pair by pair": [0, 5, 1, 6, 2, 7, 3, 8, 4, 9],
        "anchors first": list(range(10)),
        "mixed": [3, 0, 1, 5, 2, 4, 8, 6, 9, 7],
    }[order]
    labels = np.array([place % 5 for place in places])
    wanted = paper(anchors, positives)
    np.testing.assert_allclose(NPairs()(labels, rows[places]), np.mean(wanted), rtol=1e-5)
    both_ways = (np.mean(wanted) + np.mean(paper(positives, anchors))) / 2
    np.testing.assert_allclose(NPairs(symmetric=True)(labels, rows[places]), both_ways, rtol=1e-5)
    assert abs(both_ways - np.mean(wanted)) > 1e-3


def test_four_rows_a_class_are_the_mean_of_two_such_losses(batch):
    rows = np.random.default_rng(2).normal(size=(12, 3))
    labels = np.repeat([0, 1, 2], 4)
    halves = [np.mean(paper(rows[start::4], rows[start + 1 :: 4])) for start in (0, 2)]
    np.testing.assert_allclose(NPairs()(labels, rows), np.mean(halves), rtol=1e-5)


def test_anchors_against_the_positives_of_another_encoder_are_the_loss_of_the_paper(batch):
    anchors, positives = batch.embeddings[:5], batch.embeddings[5:]
    for one in (True, False):
        loss = NPairs(one_per_class=one)
        value = loss(np.arange(5), anchors, ref_labels=np.arange(5), ref_embeddings=positives)
        np.testing.assert_allclose(value, np.mean(paper(anchors, positives)), rtol=1e-5)


def test_by_hand():
    """f_0 = (1, 0), f_0+ = (2, 1), f_1+ = (1, 3): 1 - 2 for row 0; f_1 = (0, 1): 1 - 3; mean of two logarithms."""
    rows = [[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [1.0, 3.0]]
    wanted = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2
    assert wanted == pytest.approx(0.2201, abs=1e-4)
    np.testing.assert_allclose(NPairs()([0, 1, 0, 1], rows), wanted, rtol=1e-6)


TAGS = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])


def test_grades_are_the_shares_of_the_targets(batch, agrees):
    def jaccard(a, j):
        return (TAGS[a] & TAGS[j]).sum() / (TAGS[a] | TAGS[j]).sum()

    table = {a: {j: jaccard(a, j) for j in range(7) if j != a} for a in range(7)}
    assert len({grade for targets in table.values() for grade in targets.values()}) >= 5
    agrees(NPairs(one_per_class=False), lambda rows: oracle(rows, table), TAGS, batch.embeddings[:7])


REFUSED = {
    "l2_weight": ({"l2_weight": -1}, "l2_weight must be at least 0; got -1"),
    "scale": ({"scale": 0}, "scale must be above 0; got 0"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_values_that_make_no_sense_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        NPairs(**arguments)


def test_calls_that_make_no_sense_are_refused(batch):
    with pytest.raises(ValueError, match="one_per_class=True needs labels"):
        NPairs()(TAGS, batch.embeddings[:7])
    with pytest.raises(ValueError, match="must be given together"):
        NPairs()(*batch, ref_labels=[0])

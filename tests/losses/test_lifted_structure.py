"""The lifted structure losses and the angular loss, against loops over pairs with all their negatives, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Angular, GeneralizedLiftedStructure, LiftedStructure, Triplet
from metric_learning.tuples import Pairs, thresholds


def distance_of(x, y, name="euclidean"):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return math.sqrt(square) if name == "euclidean" else square


def grouped(pairs):
    """Pairs (anchor, reference, weight) as {anchor: [(reference, weight)]}."""
    return {a: [(j, weight) for b, j, weight in pairs if b == a] for a in {a for a, _, _ in pairs}}


def lifted_oracle(rows, positives, negatives, refs=None, *, margin=1.0, scale=1.0, distance="euclidean"):
    """1/2 [J]+^2 of each positive pair; a row of a bank has the anchors for negatives, any other its own."""
    bank, refs = refs is not None, rows if refs is None else refs
    values = np.zeros(len(rows))
    by_anchor = grouped(negatives)
    by_reference = grouped([(j, a, weight) for a, j, weight in negatives])
    for i, j, weight in positives:
        terms = [(distance_of(rows[i], refs[k], distance), w) for k, w in by_anchor.get(i, [])]
        if bank:
            terms += [(distance_of(rows[a], refs[j], distance), w) for a, w in by_reference.get(j, [])]
        else:
            terms += [(distance_of(rows[j], rows[k], distance), w) for k, w in by_anchor.get(j, [])]
        if terms:
            total = sum(w * math.exp(scale * (margin - d)) for d, w in terms)
            pull = distance_of(rows[i], refs[j], distance) + math.log(total) / scale
            values[i] += weight * 0.5 * max(pull, 0.0) ** 2
    return values * len(rows) / sum(weight for _, _, weight in positives)


def generalized_oracle(rows, positives, negatives, refs=None, *, margin=1.0, scale=1.0, distance="euclidean"):
    """[log sum_p exp(d) + log sum_n exp(margin - d)]+ of each anchor that has both."""
    refs = rows if refs is None else refs
    values, valid = np.zeros(len(rows)), 0
    by_positive, by_negative = grouped(positives), grouped(negatives)
    for a in range(len(rows)):
        if a in by_positive and a in by_negative:
            near = sum(math.exp(scale * distance_of(rows[a], refs[p], distance)) for p, _ in by_positive[a])
            far = sum(math.exp(scale * (margin - distance_of(rows[a], refs[n], distance))) for n, _ in by_negative[a])
            values[a] = max(math.log(near) + math.log(far), 0.0) / scale
            valid += 1
    return values * len(rows) / valid


def angular_oracle(rows, positives, negatives, refs=None, *, angle=45.0):
    """log(1 + sum_n exp(f)) of each positive pair, by the paper's f, over the anchor's negatives."""

    def unit(row):
        return [value / math.sqrt(sum(x * x for x in row)) for value in row]

    def product(x, y):
        return sum(a * b for a, b in zip(x, y, strict=True))

    anchors = [unit(row) for row in rows]
    refs = anchors if refs is None else [unit(row) for row in refs]
    tangent = math.tan(math.radians(angle))
    values = np.zeros(len(rows))
    by_anchor = grouped(negatives)
    for a, p, weight in positives:
        middle = [x + y for x, y in zip(anchors[a], refs[p], strict=True)]
        total = sum(
            w
            * math.exp(4 * tangent**2 * product(middle, refs[n]) - 2 * (1 + tangent**2) * product(anchors[a], refs[p]))
            for n, w in by_anchor.get(a, [])
        )
        values[a] += weight * math.log(1 + total)
    return values * len(rows) / sum(weight for _, _, weight in positives)


CASES = {
    "lifted": (LiftedStructure, lifted_oracle, {}),
    "lifted margin": (LiftedStructure, lifted_oracle, {"margin": 0.3}),
    "lifted scale": (LiftedStructure, lifted_oracle, {"scale": 5.0}),
    "lifted squared distance": (LiftedStructure, lifted_oracle, {"distance": "squared_euclidean", "scale": 2.0}),
    "generalized": (GeneralizedLiftedStructure, generalized_oracle, {}),
    "generalized margin": (GeneralizedLiftedStructure, generalized_oracle, {"margin": 0.0, "scale": 3.0}),
    "generalized scale": (GeneralizedLiftedStructure, generalized_oracle, {"scale": 5.0}),
    "generalized squared": (GeneralizedLiftedStructure, generalized_oracle, {"distance": "squared_euclidean"}),
    "angular": (Angular, angular_oracle, {}),
    "angular narrow": (Angular, angular_oracle, {"angle": 20.0}),
    "angular wide": (Angular, angular_oracle, {"angle": 60.0}),
}
cases = pytest.mark.parametrize(("kind", "oracle", "arguments"), CASES.values(), ids=CASES)


@cases
def test_all_pairs_equal_loops_with_their_gradient(batch, every_pair, agrees, kind, oracle, arguments):
    pairs = every_pair(batch.labels)
    agrees(kind(**arguments), lambda rows: oracle(rows, *pairs, **arguments), *batch, atol=1e-5)


@cases
def test_a_memory_bank_gives_the_pairs_of_anchor_and_bank(batch, bank, every_pair, agrees, kind, oracle, arguments):
    pairs = every_pair(batch.labels, bank.labels)
    references = {"ref_labels": bank.labels, "ref_embeddings": bank.embeddings}
    loss = kind(**arguments)
    agrees(loss, lambda rows: oracle(rows, *pairs, bank.embeddings, **arguments), *batch, atol=1e-5, **references)


@cases
def test_a_pair_counts_as_its_weight_says_and_in_a_set_once(batch, every_pair, agrees, kind, oracle, arguments):
    counts = np.random.default_rng(8).integers(0, 3, size=(2, 10, 10)).astype(np.float32)
    weights, listed = np.zeros((2, 10, 10), np.float32), []
    for side, pairs in enumerate(every_pair(batch.labels)):
        listed.append([(a, j, float(counts[side, a, j])) for a, j, _ in pairs if counts[side, a, j]])
        for a, j, weight in listed[side]:
            weights[side, a, j] = weight
    loss = kind(miner=lambda *_: Pairs(*map(tf.constant, weights)), **arguments)
    agrees(loss, lambda rows: oracle(rows, *listed, **arguments), *batch, atol=1e-5)


@cases
def test_duplicate_rows_share_the_gradient(batch_with_duplicates, every_pair, kind, oracle, arguments):
    labels, rows = batch_with_duplicates
    expected = oracle(rows, *every_pair(labels), **arguments)
    variable = tf.Variable(rows, dtype=tf.float32)
    with tf.GradientTape() as tape:
        values = kind(**arguments).call(labels, variable)
        total = tf.reduce_sum(values)
    np.testing.assert_allclose(values, expected, atol=1e-4)
    gradient = tape.gradient(total, variable).numpy()
    np.testing.assert_allclose(gradient[6], gradient[2], atol=1e-4)


def test_every_hyperparameter_changes_the_value(batch, every_pair):
    labels, rows = batch
    values = [oracle(rows, *every_pair(labels), **arguments).mean() for _, oracle, arguments in CASES.values()]
    assert len(np.unique(np.round(values, 4))) == len(CASES)


def test_there_are_active_and_inactive_terms(batch, every_pair):
    labels, rows = batch
    paired = [a for a in range(10) if list(labels).count(labels[a]) > 1]
    for oracle, arguments in ((lifted_oracle, {"margin": 0.3, "scale": 5.0}), (generalized_oracle, {"margin": 0.0})):
        values = oracle(rows, *every_pair(labels), **arguments)
        assert values.max() > 0.0
    far = np.concatenate([rows, [[9.0, 9.0, 9.0], [9.1, 9.0, 9.0]]])
    labels = np.concatenate([labels, [7, 7]])
    for kind, oracle in ((LiftedStructure, lifted_oracle), (GeneralizedLiftedStructure, generalized_oracle)):
        values = kind().call(labels, far)
        assert not np.any(values[-2:]) and np.all(values.numpy()[paired] > 0.0)
        np.testing.assert_allclose(values, oracle(far, *every_pair(labels)), atol=1e-4)


def test_lifted_by_hand():
    # J = 1 + log(exp(1 - 3) + exp(1 - 2)) for the pair, in both directions; the third row has no positive.
    j = 1 + math.log(math.exp(-2) + math.exp(-1))
    np.testing.assert_allclose(
        LiftedStructure().call([0, 0, 1], [[0.0], [1.0], [3.0]]), [0.75 * j**2] * 2 + [0], rtol=1e-5
    )


def test_generalized_by_hand():
    values = GeneralizedLiftedStructure().call([0, 0, 1], [[0.0], [0.5], [1.25]])
    np.testing.assert_allclose(values, [1.5 * 0.25, 1.5 * 0.75, 0.0], rtol=1e-5)
    # Two positives at 1 and two negatives at 2: log 2e + log 2/e.
    rows = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]
    value = GeneralizedLiftedStructure().call([0, 0, 0, 1, 2], rows)[0]
    np.testing.assert_allclose(value, math.log(4) * 5 / 3, rtol=1e-5)


def test_a_large_scale_makes_generalized_lifted_the_batch_hard_triplet(batch, every_pair):
    labels, rows = batch
    positives, negatives = (grouped(pairs) for pairs in every_pair(labels))
    hardest = [
        max(distance_of(rows[a], rows[p]) for p, _ in positives[a])
        - min(distance_of(rows[a], rows[n]) for n, _ in negatives[a])
        for a in positives
    ]
    expected = np.mean([max(difference + 0.2, 0.0) for difference in hardest])
    np.testing.assert_allclose(GeneralizedLiftedStructure(margin=0.2, scale=2000.0)(labels, rows), expected, atol=2e-3)
    assert Triplet(margin=0.2, distance="euclidean")(labels, rows) < expected


def test_angular_by_hand():
    # At 45 degrees: f = 4 (a + p).n - 4 a.p = 0 - 4. The lengths of the rows do not count, the negative's neither.
    rows = [[2.0, 0.0], [0.5, 0.0], [0.0, 7.0]]
    expected = 1.5 * math.log(1 + math.exp(-4))
    np.testing.assert_allclose(Angular().call([0, 0, 1], rows), [expected, expected, 0.0], rtol=1e-5)
    rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]  # f = 4 * 1 - 4 * 0
    np.testing.assert_allclose(Angular()([0, 0, 1], rows), math.log(1 + math.exp(4)), rtol=1e-5)


def test_angular_of_many_positives_is_a_product_of_all_rows(batch, every_pair, agrees, monkeypatch):
    monkeypatch.setattr(thresholds, "MOST_FOR_A_PRODUCT_LOOP", 2)  # a class of the batch has 4 rows
    agrees(Angular(), lambda rows: angular_oracle(rows, *every_pair(batch.labels)), *batch, atol=1e-5)


def test_angular_counts_a_negative_only_where_both_ends_have_it(batch):
    """Rows of two classes: c is a negative of a, but not of its positive p, so that no triangle of the three is one."""
    rows = np.array([[1.0, 0.2], [0.3, 1.0], [0.8, -0.4], [-0.2, 0.9]])
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def cost(a, p, n):
        return math.log(1 + math.exp(4 * (units[a] + units[p]) @ units[n] - 4 * units[a] @ units[p]))

    # The pairs are 0-1 and 1-2, in both directions, and row 3 is the only negative of both ends.
    expected = np.array([cost(0, 1, 3), cost(1, 0, 3) + cost(1, 2, 3), cost(2, 1, 3), 0.0])
    np.testing.assert_allclose(Angular().call(labels, rows), expected, rtol=1e-5)
    references = {"ref_labels": labels, "ref_embeddings": rows, "ids": [1, 2, 3, 4], "ref_ids": [1, 2, 3, 4]}
    np.testing.assert_allclose(Angular().call(labels, rows, **references), expected, rtol=1e-5)


BAD = {
    "margin": (LiftedStructure, {"margin": -1}, "margin must be at least 0; got -1"),
    "scale": (LiftedStructure, {"scale": 0}, "scale must be above 0; got 0"),
    "margin of generalized": (GeneralizedLiftedStructure, {"margin": -1}, "margin must be at least 0; got -1"),
    "scale of generalized": (GeneralizedLiftedStructure, {"scale": 0}, "scale must be above 0; got 0"),
    "angle": (Angular, {"angle": 0.0}, "angle must be above 0 and at most 60 degrees; got 0.0"),
    "wide angle": (Angular, {"angle": 61.0}, "angle must be above 0 and at most 60 degrees; got 61.0"),
    "distance": (Angular, {"distance": "euclidean"}, "distance must be cosine .* got 'euclidean'"),
}


@pytest.mark.parametrize(("kind", "arguments", "message"), BAD.values(), ids=BAD)
def test_wrong_arguments_are_refused_by_name(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)

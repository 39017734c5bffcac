"""The manifold loss against random walks that are walked, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import Manifold


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def walked(nodes, walk, temperature):
    """Where walks from each node end: (1 - walk) times the sum of the powers of the normalized graph."""
    size = len(nodes)
    edges = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if i != j:
                edges[i, j] = math.exp(max(cosine(nodes[i], nodes[j]), 0.0) / temperature)
    degrees = edges.sum(axis=1)
    graph = np.array([[edges[i, j] / math.sqrt(degrees[i] * degrees[j]) for j in range(size)] for i in range(size)])
    reached, power = np.zeros((size, size)), np.eye(size)
    for _ in range(120 if walk < 0.85 else 400):
        reached += power
        power = walk * power @ graph
    return (1 - walk) * reached


def proxy_losses(similarities, own, margin):
    values = []
    for mine, row in zip(own, similarities, strict=True):
        if not mine:
            values.append(0.0)
            continue
        target = sum(row[k] for k in mine) / len(mine)
        ahead = [s - target + margin for k, s in enumerate(row) if k not in mine]
        assert min(abs(difference) for difference in ahead) > 3e-6, "too near to the step for float32"
        values.append(math.log(1 + sum(math.exp(difference) for difference in ahead if difference >= 0)))
    return np.array(values)


def oracle(own, context_weight=1.0, walk=0.8, temperature=0.5, margin=0.0005):
    def expected(rows, proxies):
        reached = walked([*rows, *proxies], walk, temperature)
        count = len(rows)
        intrinsic = proxy_losses(reached[:count, count:], own, margin)
        context = [[cosine(reached[i], reached[count + k]) for k in range(len(proxies))] for i in range(count)]
        return intrinsic + context_weight * proxy_losses(context, own, margin)

    return expected


ARGUMENTS = [
    {},
    {"context_weight": 0.3},
    {"context_weight": 0.0},
    {"walk": 0.95},
    {"temperature": 0.1},
    {"margin": 0.2},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(Manifold, **arguments), oracle([[label] for label in labels], **arguments), labels, rows, atol=2e-5)


def test_classes_share_proxies(classes, learned, agrees):
    labels, rows = classes
    loss = learned(Manifold, num_proxies=3, seed=4)
    proxies = loss.proxies_of_classes()
    assert loss.layers[0].vectors.shape == (3, 3)
    np.testing.assert_array_equal(proxies.sum(axis=0), [2, 2, 2])
    np.testing.assert_array_equal(proxies.sum(axis=1), [1] * 6)
    agrees(loss, oracle([[int(np.argmax(proxies[label]))] for label in labels]), labels, rows, atol=2e-5)


def test_another_seed_draws_other_classes(learned):
    drawn = {learned(Manifold, num_proxies=3, seed=seed).proxies_of_classes().tobytes() for seed in (0, 0, 1, 2, 3)}
    assert 3 <= len(drawn) <= 4


def test_a_row_of_several_classes_has_their_mean_similarity(classes, learned, agrees):
    labels, rows = classes
    several = [[label, 3] if index % 3 else [] for index, label in enumerate(labels)]
    multi_hot = np.array([[c in own for c in range(6)] for own in several], np.float32)
    agrees(learned(Manifold), oracle(several), multi_hot, rows, atol=2e-5)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(Manifold, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 4))) == len(ARGUMENTS)


def test_by_hand(learned):
    loss = learned(Manifold, margin=0.01)
    # All nodes are one point, so all proxies are reached alike: log(1 + 5 e^.01), of walks and of rows.
    loss.layers[0].vectors.assign(np.ones((6, 3)))
    np.testing.assert_allclose(loss([0], np.ones((1, 3))), 2 * math.log(1 + 5 * math.exp(0.01)), rtol=1e-5)


def test_broken_embeddings_give_nan_and_no_error(classes, learned):
    labels, rows = classes
    rows = np.where(np.arange(10)[:, None] == 3, np.nan, rows)
    assert np.isnan(learned(Manifold)(labels, rows))
    assert np.isnan(tf.function(learned(Manifold))(labels, rows))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_proxies": 1}, "num_proxies must be at least 2; got 1"),
        ({"num_proxies": 7}, "num_proxies must be at most num_classes=6; got 7"),
        ({"context_weight": -1}, "context_weight must be at least 0; got -1"),
        ({"walk": 1.0}, r"walk must be in \[0, 1\); got 1.0"),
        ({"temperature": 0}, "temperature must be above 0; got 0"),
        ({"margin": -1}, "margin must be at least 0; got -1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Manifold(num_classes=6, embedding_dim=3, **arguments)

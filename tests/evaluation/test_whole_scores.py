"""Clustering, verification and geometry against loops over the definitions, in float64."""

import math

import numpy as np
import pytest

from metric_learning.evaluation import evaluate, verification
from metric_learning.evaluation.clustering import clustering, clustering_scores
from metric_learning.evaluation.geometry import geometry
from metric_learning.evaluation.relevance import Relevance


@pytest.fixture
def clusters():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), [12, 9, 6, 5, 3, 3, 1, 1])
    return (rng.normal(size=(8, 5))[labels] + 0.7 * rng.normal(size=(40, 5))).astype(np.float32), labels


def entropy(shares):
    return -sum(share * math.log(share) for share in shares if share)


def test_clustering_scores_equal_loops():
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 4, size=60)
    clusters = np.where(rng.uniform(size=60) < 0.6, classes, rng.integers(0, 3, size=60))
    found = clustering_scores(classes, clusters)
    table = [[sum((classes == c) & (clusters == k)) / 60 for k in range(4)] for c in range(4)]
    by_class, by_cluster = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    information = entropy(by_class) + entropy(by_cluster) - entropy([cell for row in table for cell in row])
    mean = (entropy(by_class) + entropy(by_cluster)) / 2
    assert found["nmi"] == found["v_measure"] == pytest.approx(information / mean)
    assert found["homogeneity"] == pytest.approx(information / entropy(by_class))
    assert found["completeness"] == pytest.approx(information / entropy(by_cluster))
    agree, both, either = 0, 0, [0, 0]
    for i in range(60):
        for j in range(i):
            same = classes[i] == classes[j], clusters[i] == clusters[j]
            both += all(same)
            either = [count + is_same for count, is_same in zip(either, same, strict=True)]
            agree += 1
    chance = either[0] * either[1] / agree
    assert found["ari"] == pytest.approx((both - chance) / (sum(either) / 2 - chance))
    # By chance: the mean over random orders of the same clusters.
    shuffled = [clustering_scores(classes, rng.permutation(clusters))["nmi"] for _ in range(400)]
    assert found["ami"] == pytest.approx((found["nmi"] - np.mean(shuffled)) / (1 - np.mean(shuffled)), abs=0.01)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_k_means_finds_classes_that_are_far_apart(distance):
    labels = np.repeat(np.arange(10), 20)
    rows = 30 * np.eye(10)[labels] + np.random.default_rng(0).normal(size=(200, 10))
    found = clustering(rows, labels, distance)
    assert found["nmi"][0] > 0.93 and all(0 <= high - low < 0.8 for _, (low, high) in found.values())
    assert found == clustering(rows, labels, distance)
    if distance == "cosine":  # lengths say nothing
        lengths = np.random.default_rng(1).uniform(0.1, 9, size=(200, 1))
        assert clustering(lengths * rows, labels, distance)["nmi"][0] == pytest.approx(found["nmi"][0])


def test_verification_equals_loops_over_thresholds():
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(0.4, 0.2, 50).round(2), rng.normal(0.8, 0.2, 90).round(2)
    wins = [1.0 if p < n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    assert verification.roc_auc(positive, negative) == pytest.approx(np.mean(wins))
    rates = []
    for threshold in sorted({-math.inf, *positive, *negative}):
        rates.append((np.mean(negative <= threshold), np.mean(positive <= threshold), threshold))
    for far in (0.0, 0.05, 0.1, 1.0):
        best = max(tar for rate, tar, _ in rates if rate <= far)
        assert verification.tar_at_far(positive, negative, far) == pytest.approx(best)
    far, tar, threshold = min(rates, key=lambda rate: abs(rate[0] - 1 + rate[1]))
    assert verification.equal_error(positive, negative) == pytest.approx((threshold, (far + 1 - tar) / 2))
    assert verification.equal_error_rate(positive, negative) == pytest.approx((far + 1 - tar) / 2)
    far, tar, threshold = max(rates, key=lambda rate: rate[1] - rate[0])
    assert verification.best_threshold(positive, negative) == pytest.approx((threshold, (tar + 1 - far) / 2))
    with pytest.raises(ValueError, match="there must be pairs of both kinds; got 0 positive, 90 negative"):
        verification.roc_auc([], negative)


@pytest.mark.parametrize("seed", range(20))
def test_the_equal_error_is_the_best_of_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    positive = rng.integers(0, 12, rng.integers(1, 9)) / 8
    negative = rng.integers(0, 12, rng.integers(1, 9)) / 8 + rng.integers(-1, 2)
    gaps = {}
    for threshold in {*positive, *negative}:
        wrong = np.mean(negative <= threshold), np.mean(positive > threshold)
        gaps[threshold] = abs(wrong[0] - wrong[1]), sum(wrong) / 2
    threshold, rate = verification.equal_error(positive, negative)
    assert gaps[threshold][0] == pytest.approx(min(gap for gap, _ in gaps.values()))
    assert rate == pytest.approx(gaps[threshold][1])


def test_the_equal_error_lies_between_two_positives_however_many_negatives_there_are():
    negative = np.arange(2**20 + 1) / 2**20
    assert verification.equal_error([0.1, 0.9], negative) == pytest.approx((0.5, 0.5), abs=1e-5)


@pytest.mark.parametrize("drawn", [False, True])
def test_pairs_are_those_that_a_search_may_find(clusters, drawn, monkeypatch):
    rows, labels = clusters
    if drawn:
        monkeypatch.setattr(verification, "_MOST_PAIRS", 10)
        monkeypatch.setattr(verification, "_DRAWN_PAIRS", 20_000)
    ids, groups = np.arange(40) // 2, np.arange(40) % 3
    both = {"ids": ids, "gallery_ids": ids, "groups": groups, "gallery_groups": groups}
    found = verification.verification(rows, rows, Relevance(labels, labels, (40, 40), **both), "euclidean")
    positive, negative = [], []
    for i in range(40):
        for j in range(40):
            if ids[i] != ids[j] and not (labels[i] == labels[j] and groups[i] == groups[j]):
                (positive if labels[i] == labels[j] else negative).append(math.dist(rows[i], rows[j]))
    expected = verification.roc_auc(positive, negative)
    assert 0.6 < expected < 0.95
    assert found["roc_auc"][0] == pytest.approx(expected, abs=0.01 if drawn else 1e-6)


def test_geometry_equals_loops(clusters):
    rows, labels = clusters
    found = {name: score for name, (score, _) in geometry(3 * rows, labels).items()}
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    pairs = [(i, j, sum((unit[i] - unit[j]) ** 2)) for i in range(40) for j in range(40) if i != j]
    assert found["alignment"] == pytest.approx(np.mean([d for i, j, d in pairs if labels[i] == labels[j]]))
    assert found["uniformity"] == pytest.approx(math.log(np.mean([math.exp(-2 * d) for _, _, d in pairs])), rel=1e-4)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    assert found["effective_rank"] == pytest.approx(math.exp(entropy(values / values.sum())))


def test_a_collapse_is_said():
    rng = np.random.default_rng(0)
    rows = np.array([1.0, 2, 3]) + 1e-3 * rng.normal(size=(40, 3))
    with pytest.warns(UserWarning, match="the embeddings have collapsed: .* uniformity -0.00"):
        evaluate(rows, np.arange(40) // 2, metrics=["recall@k", "geometry"])
    on_a_line = rng.normal(size=(40, 1)) * np.array([[1.0, 2, 3]])
    with pytest.warns(UserWarning, match="their effective rank is 1.0"):
        geometry(on_a_line, np.arange(40) // 2)


@pytest.mark.slow
def test_intervals_are_those_of_other_classes():
    """The width of intervals against what really happens when 30 classes are drawn anew, 150 times."""
    rng = np.random.default_rng(3)
    scores, errors = [], []
    for _ in range(150):
        labels = np.repeat(np.arange(30), 5)
        spread = rng.uniform(0.1, 1.2, size=(30, 1))[labels]  # some classes are hard
        rows = rng.normal(size=(30, 6))[labels] + spread * rng.normal(size=(150, 6))
        found = geometry(rows, labels)
        found |= {
            f"v/{name}": score
            for name, score in verification.verification(
                rows, rows, Relevance(labels, labels, (150, 150), ids=np.arange(150), gallery_ids=np.arange(150))
            ).items()
        }
        scores.append({name: score for name, (score, _) in found.items()})
        errors.append({name: (high - low) / 3.92 for name, (_, (low, high)) in found.items()})
    for name in ("alignment", "uniformity", "effective_rank", "v/roc_auc", "v/best_accuracy", "v/tar@far=0.1"):
        true = np.std([each[name] for each in scores])
        assert 0.6 * true < np.mean([each[name] for each in errors]) < 1.6 * true, name

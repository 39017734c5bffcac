"""Intervals: against resampling by hand, and how often they hold on planted data."""

import numpy as np
import pytest
from scipy import stats

from metric_learning.evaluation import evaluate
from metric_learning.evaluation.intervals import around, intervals
from metric_learning.evaluation.relevance import Relevance
from metric_learning.evaluation.verification import verification


@pytest.fixture
def planted():
    """300 queries of 30 classes of different sizes, with good and bad classes; one column with gaps."""
    rng = np.random.default_rng(0)
    classes = rng.choice(30, size=300, p=rng.dirichlet(np.full(30, 2.0)))
    chance = rng.uniform(0.2, 0.9, size=30)[classes]
    columns = {"hit": (rng.uniform(size=300) < chance).astype(float), "soft": chance + 0.05 * rng.normal(size=300)}
    return columns | {"gaps": np.where(rng.uniform(size=300) < 0.3, np.nan, columns["hit"])}, classes


@pytest.mark.parametrize("over", ["classes", "queries"])
@pytest.mark.parametrize("macro", [False, True])
def test_equals_resampling_by_hand(planted, over, macro):
    columns, classes = planted
    rng = np.random.default_rng(1)
    found = intervals(columns, classes, over=over, macro=macro, resamples=4000)
    present = np.unique(classes)
    for name, values in columns.items():
        means = []
        for _ in range(1500):
            if over == "classes":
                drawn = [np.flatnonzero(classes == c) for c in rng.choice(present, size=len(present))]
            else:
                rows = rng.integers(300, size=300)
                drawn = [rows[classes[rows] == c] for c in present] if macro else [rows]
            groups = [values[rows] for rows in drawn if np.isfinite(values[rows]).any()]
            means.append(
                np.mean([np.nanmean(group) for group in groups]) if macro else np.nanmean(np.concatenate(groups))
            )
        low, high = np.percentile(means, [2.5, 97.5])
        assert found[name] == pytest.approx((low, high), abs=0.2 * (high - low)), name


@pytest.mark.parametrize("count", [4, 40])
def test_holds_for_new_classes_in_about_95_of_100(count):
    """Scores of classes drawn from a population whose mean is .6."""
    rng = np.random.default_rng(2)
    hold, classes = 0, np.repeat(np.arange(count), 10)
    for trial in range(200):
        chance = rng.beta(3, 2, size=count)[classes]
        hits = (rng.uniform(size=len(classes)) < chance).astype(float)
        low, high = intervals({"hit": hits}, classes, seed=trial)["hit"]
        hold += low <= 0.6 <= high
    assert 180 <= hold <= 198
    narrow = intervals({"hit": hits}, classes, over="queries")["hit"]
    assert narrow[1] - narrow[0] < 0.8 * (high - low)


def test_is_the_same_each_time_and_knows_nothing_of_nothing(planted):
    columns, classes = planted
    assert intervals(columns, classes) == intervals(columns, classes)
    assert np.isnan(intervals({"none": np.full(4, np.nan)}, np.arange(4))["none"]).all()
    with pytest.raises(ValueError, match="over must be one of classes, queries; got 'rows'"):
        intervals(columns, classes, over="rows")


def test_every_score_but_the_counts_has_one():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(20), 6)
    rows = rng.normal(size=(20, 8))[labels] + 0.8 * rng.normal(size=(120, 8))
    wanted = ["recall@k", "ndcg@k", "map", "minp", "map@r", "macro", "clustering", "verification", "geometry"]
    found = evaluate(rows, labels, metrics=wanted, known_labels=np.arange(10))
    bounds = found.intervals(resamples=300)
    without = {"queries", "queries_without_positives"}
    assert list(bounds) == [name for name in found.scores if name not in without]
    for name, (low, high) in bounds.items():
        # At most a bias of the bootstrap away.
        assert low - 0.02 <= found.scores[name] <= high + 0.02 and high - low < 2, name
        assert high > low or found.scores[name] in (0, 1), name


def test_no_interval_leaves_the_range_of_its_score():
    """Four classes nearly perfectly apart: 1.96 standard errors would reach beyond 1."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 6)
    rows = np.eye(4)[labels] + 0.35 * rng.normal(size=(24, 4))
    found = evaluate(rows, labels, metrics=["recall@k", "clustering", "verification", "geometry"])
    ranges = {"ari": (-1, 1), "ami": (-1, 1), "alignment": (0, 4), "uniformity": (-8, 0), "effective_rank": (1, 4)}
    for name, (low, high) in found.intervals().items():
        least, most = ranges.get(name.rpartition("/")[2], (0, 1))
        assert least <= low <= found.scores[name] <= high <= most or name.endswith("best_threshold"), name
    assert found.intervals()["clustering/nmi"][1] == 1.0 > found.scores["clustering/nmi"]
    by_chance = evaluate(rng.normal(size=(24, 4)), labels, metrics=["recall@k", "clustering"])
    for name in ("clustering/ari", "clustering/ami"):  # which may be negative
        assert by_chance.intervals()[name][0] <= by_chance.scores[name] < 0, name


def test_what_drawing_again_shifts_is_moved_to_the_score():
    draws = np.linspace(0.2, 0.4, 101)
    low, high = around(draws, 0.7, 10_000)
    assert (low, high) == pytest.approx((0.605, 0.795), abs=1e-3)
    assert around(draws, 0.95, 10_000, 0.0, 1.0)[1] == 1.0


def several_labels(seed=0, rows=60, classes=5):
    rng = np.random.default_rng(seed)
    labels = rng.uniform(size=(rows, classes)) < 0.3
    labels[np.arange(rows), rng.integers(classes, size=rows)] = True
    return rng.normal(size=(rows, 4)) + labels @ rng.normal(size=(classes, 4)), labels.astype(int)


def test_of_several_labels_means_are_over_labels_and_queries_are_drawn():
    rows, labels = several_labels()
    found = evaluate(rows, labels, metrics=["recall@k", "map@r", "macro"], ks=(1,))
    table = found.by_class()
    for c in range(5):
        members = labels[:, c] > 0
        assert table["class"][c] == c and table["queries"][c] == members.sum()
        assert table["map@r"][c] == pytest.approx(np.mean(found.per_query["map@r"][members]))
    assert found.scores["macro/map@r"] == pytest.approx(np.mean(table["map@r"]))
    by_query = intervals(found.per_query, np.arange(60), over="queries")
    assert found.intervals(over="classes")["map@r"] == found.intervals(over="queries")["map@r"] == by_query["map@r"]
    means, rng = [], np.random.default_rng(1)
    for _ in range(1000):
        drawn = rng.integers(60, size=60)
        values, of = found.per_query["map@r"][drawn], labels[drawn]
        means.append(np.mean([values[of[:, c] > 0].mean() for c in range(5)]))
    low, high = np.percentile(means, [2.5, 97.5])
    assert found.intervals()["macro/map@r"] == pytest.approx((low, high), abs=0.2 * (high - low))
    with pytest.raises(ValueError, match="over must be queries where a row has several classes"):
        intervals(found.per_query, labels > 0)


def test_of_several_labels_nothing_is_by_combination():
    rows, labels = several_labels()
    with pytest.raises(ValueError, match=r"metrics=\[clustering\] needs one label a row"):
        evaluate(rows, labels, metrics=["recall@k", "clustering"])
    with pytest.raises(ValueError, match="known_labels need one label a row; got several"):
        evaluate(rows, labels, known_labels=[0, 1])
    scores = evaluate(rows, labels, metrics=["recall@k", "geometry"]).scores
    assert "geometry/alignment" not in scores and scores["geometry/uniformity"] < 0


@pytest.mark.slow
def test_verification_of_several_labels_is_as_sure_as_other_items_would_make_it():
    aucs, widths = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = np.eye(6, dtype=int)[rng.integers(6, size=80)] | np.eye(6, dtype=int)[rng.integers(6, size=80)]
        rows = labels @ np.eye(6) + 0.8 * rng.normal(size=(80, 6))
        found = evaluate(rows, labels, metrics=["recall@k", "verification"], ks=(1,))
        aucs.append(found.scores["verification/roc_auc"])
        low, high = found.intervals(resamples=10)["verification/roc_auc"]
        widths.append((high - low) / 3.92)
    assert 0.6 * np.std(aucs) < np.mean(widths) < 1.7 * np.std(aucs)


def best_of_all_classes(spread, varied, dimensions):
    """The threshold of the highest TAR - FAR of classes around normal places, whose spreads are log-normal."""
    spreads = spread * np.exp(varied * stats.norm.ppf((np.arange(100) + 0.5) / 100))
    squares = np.square(spreads)
    thresholds = np.linspace(0.2, 6.0, 1000)
    lengths = np.square(thresholds)[:, None]
    tar = stats.chi2.cdf(lengths / (2 * squares), dimensions).mean(axis=1)
    of_two = np.add.outer(squares, squares)[np.triu_indices(100)]
    far = stats.chi2.cdf(lengths / (2 + of_two), dimensions).mean(axis=1)
    return thresholds[(tar - far).argmax()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "each", "spread", "varied", "dimensions", "width"),
    [
        (5, 8, 0.5, 0.5, 6, 1.3),  # overlapping classes
        (10, 5, 0.3, 0.3, 8, 0.9),  # few classes, apart: their farthest pair is often nearer than the best threshold
        (40, 5, 0.3, 0.3, 8, 0.4),
        (60, 4, 0.15, 0.3, 16, 0.8),  # hardly any other pair is as near as those of one class, which are 1 in 80
    ],
)
def test_the_interval_of_the_best_threshold_holds_that_of_all_classes(classes, each, spread, varied, dimensions, width):
    true = best_of_all_classes(spread, varied, dimensions)
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(classes), each)
    own = np.arange(len(labels))
    options = {"ids": own, "gallery_ids": own}
    relevance = Relevance(labels, labels, (len(own), len(own)), **options)
    held, widths = 0, []
    for _ in range(100):
        spreads = spread * np.exp(varied * rng.normal(size=(classes, 1)))[labels]
        rows = rng.normal(size=(classes, dimensions))[labels] + spreads * rng.normal(size=(len(labels), dimensions))
        threshold, (low, high) = verification(rows, rows, relevance, "euclidean")["best_threshold"]
        assert low <= threshold <= high
        held += low <= true <= high
        widths.append((high - low) / true)
    assert held >= 92
    assert np.mean(widths) < width

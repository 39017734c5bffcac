"""A threshold does what it promises: on planted data whose rates are known, and against slow loops."""

import numpy as np
import pytest

from metric_learning.evaluation import calibrate, nearest_of_all, nearest_of_pairs, rates_at
from metric_learning.evaluation.calibration import RATES, summary
from metric_learning.evaluation.nearest import Nearest
from metric_learning.report.pictures import threshold_curves


def planted(rng, classes, per_class):
    """Queries whose classes differ in how often they are right and how far they are, and in nothing else."""
    hardness = rng.beta(2, 8, size=classes)
    labels = np.repeat(np.arange(classes), per_class)
    right = rng.random(len(labels)) > hardness[labels]
    spread = np.where(right, rng.gamma(2, 0.1, len(labels)), rng.gamma(6, 0.1, len(labels))) + 0.1 * hardness[labels]
    strangers = np.where(right, spread + rng.gamma(3, 0.1, len(labels)), spread)
    there = np.ones(len(labels), bool)
    units = np.stack([labels, rng.integers(classes, size=len(labels))], axis=1)
    return Nearest(spread, right, strangers, there, there, units)


def families(rng, closeness, count=38, of=4, per_class=8):
    """Rows in six dimensions of classes that come in families, some of them close: (rows, labels)."""
    apart = np.exp(closeness * rng.normal(size=count))
    centers = 3 * rng.normal(size=(count, 1, 6)) + apart[:, None, None] * rng.normal(size=(count, of, 6))
    spread = 0.45 * np.exp(0.25 * rng.normal(size=count * of))
    labels = np.repeat(np.arange(count * of), per_class)
    return centers.reshape(-1, 6)[labels] + spread[labels, None] * rng.normal(size=(len(labels), 6)), labels


def slow_rates(rows, labels, threshold, searched=None, searched_labels=None):
    """float64 loops from the definitions, with euclidean distances."""
    matched = right = found = accepted = answerable = 0
    gallery = list(enumerate(rows if searched is None else searched))
    names = labels if searched is None else searched_labels
    for i, row in enumerate(rows.astype(np.float64)):
        others = [(np.sqrt(((row - it) ** 2).sum()), names[j]) for j, it in gallery if searched is not None or j != i]
        nearest = min(others)
        if nearest[0] <= threshold:
            matched += 1
            right += nearest[1] == labels[i]
        if any(label == labels[i] for _, label in others):
            answerable += 1
            found += nearest[0] <= threshold and nearest[1] == labels[i]
        accepted += min(distance for distance, label in others if label != labels[i]) <= threshold
    rates = {"precision": right / matched, "recall": found / answerable, "far": accepted / len(rows)}
    return rates | {"frr": 1 - rates["recall"]}


@pytest.mark.parametrize("threshold", [0.4, 0.8, 1.5])
def test_rates_are_those_of_slow_loops(clusters, threshold):
    rows, labels = clusters
    found = rates_at(nearest_of_all(rows, labels, distance="euclidean"), threshold)
    assert found == pytest.approx(slow_rates(rows, labels, threshold))
    assert 0 < found["far"] < 1 and 0 < found["recall"] < 1
    named = rates_at(nearest_of_all(rows, [f"class {label}" for label in labels], distance="euclidean"), threshold)
    assert named == found


@pytest.mark.parametrize("threshold", [0.4, 0.8])
def test_rates_in_a_gallery_are_those_of_slow_loops(clusters, threshold):
    rows, labels = clusters
    queries, gallery = np.s_[::3], np.s_[1::3]
    searched = {"gallery": rows[gallery], "gallery_labels": labels[gallery]}
    found = rates_at(nearest_of_all(rows[queries], labels[queries], distance="euclidean", **searched), threshold)
    expected = slow_rates(rows[queries], labels[queries], threshold, rows[gallery], labels[gallery])
    assert found == pytest.approx(expected)
    # A query that is in the gallery does not find itself.
    both = {"gallery": rows, "gallery_labels": labels, "gallery_ids": np.arange(len(rows)), "ids": np.arange(len(rows))}
    with_itself = nearest_of_all(rows, labels, distance="euclidean", **both)
    assert rates_at(with_itself, threshold) == pytest.approx(slow_rates(rows, labels, threshold))


def test_what_shares_a_group_is_not_found(clusters):
    rows, labels = clusters
    groups = np.arange(len(rows)) % 2
    found = nearest_of_all(rows, labels, groups=groups, distance="euclidean")
    for i, row in enumerate(rows.astype(np.float64)):
        allowed = [j for j in range(len(rows)) if j != i and (labels[j] != labels[i] or groups[j] != groups[i])]
        nearest = min(allowed, key=lambda j: ((row - rows[j]) ** 2).sum())
        assert found.distances[i] == pytest.approx(np.sqrt(((row - rows[nearest]) ** 2).sum()), rel=1e-5)
        assert found.right[i] == (labels[nearest] == labels[i])


def test_named_families_are_the_units(clusters):
    rows, labels = clusters
    families = {label: "even" if label % 2 == 0 else "odd" for label in range(10)}
    units = nearest_of_all(rows, labels, families=families).units
    assert len(np.unique(units)) == 4  # even, odd, and the classes 10 and 11
    assert len({unit for unit, label in zip(units[:, 0], labels, strict=True) if label in (0, 2, 8)}) == 1


def kept_promises(draw, fresh, target, times):
    """How often no false promise is made for fresh data, and by how much promises could be bolder on average."""
    ((rate, value),) = target.items()
    kept, off = 0, []
    for _ in range(times):
        try:
            found = calibrate(draw(), **target)
        except ValueError:  # nothing is promised, and so nothing broken
            kept += 1
            continue
        truth = np.mean([rates_at(nearest, found.threshold)[rate] for nearest in fresh])
        kept += truth >= value if rate != "far" else truth <= value
        off.append(abs(truth - value))
    assert len(off) > times / 4
    return kept, np.mean(off)


@pytest.mark.slow
@pytest.mark.parametrize("target", [{"precision": 0.95}, {"recall": 0.6}, {"far": 0.05}])
def test_a_promise_holds_on_fresh_data_in_95_of_100_simulations(target):
    """Truth: the rate at the threshold on 80,000 fresh queries of 10,000 fresh classes of the same kind."""
    rng = np.random.default_rng(1)
    kept, off = kept_promises(lambda: planted(rng, 150, 8), [planted(rng, 10_000, 8)], target, 100)
    assert kept >= 95
    assert off < 0.06  # nor does it promise much less than it could


@pytest.mark.slow
@pytest.mark.parametrize(("target", "closeness"), [({"precision": 0.93}, 0.3), ({"far": 0.1}, 0.6)])
def test_a_promise_holds_where_classes_are_taken_for_each_other(target, closeness):
    """38 families of four classes: each is query and stranger at once. Truth: the mean of 40 fresh sets of the size.
    95 of 100 are due, and 92 come nearly always; with bounds that see the query alone 72 to 86."""
    rng = np.random.default_rng(4)

    def draw():
        return nearest_of_all(*families(rng, closeness=closeness), distance="euclidean")

    kept, off = kept_promises(draw, [draw() for _ in range(40)], target, 100)
    assert kept >= 92
    assert off < 0.1


@pytest.mark.slow
def test_intervals_hold_the_truth_in_about_95_of_100():
    rng = np.random.default_rng(2)
    fresh = planted(rng, 20_000, 10)
    held = []
    for _ in range(60):
        found = calibrate(planted(rng, 150, 8), best_f1=True)
        truth = rates_at(fresh, found.threshold)
        held.append([low <= truth[name] <= high for name, (_, low, high) in found.rates.items()])
    assert (np.mean(held, axis=0) >= 0.9).all(), np.mean(held, axis=0)


@pytest.mark.slow
def test_the_interval_of_the_threshold_holds_where_the_rate_is_what_was_seen():
    rng = np.random.default_rng(6)
    fresh = planted(rng, 20_000, 10)
    grid = np.linspace(0.01, 1.5, 300)
    true = np.array([rates_at(fresh, threshold)["far"] for threshold in grid])
    held, width = 0, []
    for _ in range(60):
        found = calibrate(planted(rng, 150, 8), far=0.3)
        low, high = found.interval
        held += low <= np.interp(found.rates["far"][0], true, grid) <= high
        width.append(high - low)
    assert held >= 54
    assert 0 < np.mean(width) < 0.15


def test_the_best_f1_is_the_best_there_is():
    nearest = planted(np.random.default_rng(3), 40, 6)
    found = calibrate(nearest, best_f1=True)

    def f1(threshold):
        rates = rates_at(nearest, threshold)
        return 2 * rates["precision"] * rates["recall"] / (rates["precision"] + rates["recall"])

    assert f1(found.threshold) == pytest.approx(max(map(f1, np.sort(nearest.distances))))
    low, high = found.interval
    assert low < found.threshold < high and max(f1(low / 2), f1(2 * high)) < f1(found.threshold) - 0.02


def test_pairs_are_queries_with_one_candidate():
    rng = np.random.default_rng(7)
    items = rng.integers(60, size=(4000, 2))
    same = rng.random(4000) < 0.3
    distances = np.where(same, rng.gamma(2, 0.1, 4000), rng.gamma(9, 0.1, 4000))
    nearest = nearest_of_pairs(distances, same, items)
    found = calibrate(nearest, far=0.05)
    accepted = nearest.distances <= found.threshold
    rates = {"precision": same[accepted].mean(), "recall": accepted[same].mean(), "far": accepted[~same].mean()}
    assert {name: found.rates[name][0] for name in rates} == pytest.approx(rates)
    assert rates["far"] < 0.05 < found.rates["far"][2] + 0.01
    assert (found.queries, found.classes) == (4000, 60)
    alone = calibrate(nearest_of_pairs(distances, same), far=0.05)  # no two of which go together
    assert alone.threshold >= found.threshold and alone.classes == 4000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, 0.2], [1, 0]), r"same \[n\], true or false; got \[2\] and int64"),
        (([0.1, np.nan], [True, False]), "distances of pairs must be finite; pair 1 is not, of 1 such pairs"),
        (([0.1, 0.2], [True, True]), "pairs must be some the same and some not; got 2 of 2 the same"),
        (([0.1, 0.2], [True, False], [1, 2]), r"units must be \[2, 2\], the two of each pair; got \[2\]"),
    ],
)
def test_pairs_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        nearest_of_pairs(*map(np.array, arguments))


def possible(said, rate):
    """What an error says that can be promised."""
    return float(str(said.value).rpartition(f"{rate}=")[2].removesuffix(" can"))


def test_what_cannot_be_promised_is_refused_with_what_can():
    nearest = planted(np.random.default_rng(4), 30, 4)
    with pytest.raises(
        ValueError, match="precision=0.999 cannot be promised with 95% confidence by 120 queries of 30"
    ) as said:
        calibrate(nearest, precision=0.999)
    assert 0.5 < possible(said, "precision") < 0.999
    for rate, value, next_to in (("precision", 0.999, 1e-4), ("recall", 0.999, 1e-4), ("far", 1e-4, -1e-4)):
        with pytest.raises(ValueError, match=f"{rate}={value:g} cannot be promised") as said:
            calibrate(nearest, **{rate: value})
        can = possible(said, rate)
        seen, low, high = calibrate(nearest, **{rate: can}).rates[rate]
        assert low < can < seen if rate != "far" else seen < can < high
        with pytest.raises(ValueError, match=f"{rate}=.* cannot be promised"):
            calibrate(nearest, **{rate: can + next_to})
    for target, message in (
        ({}, "needs one of precision, recall, far and best_f1=True; got none"),
        ({"precision": 0.9, "recall": 0.9}, "got precision, recall"),
        ({"accuracy": 0.9}, "got accuracy"),
        ({"recall": 1.5}, "recall must be between 0 and 1; got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            calibrate(nearest, **target)
    with pytest.raises(ValueError, match="at least 2 classes, one of them with 2 items; got 1 classes of at most 3"):
        nearest_of_all(np.eye(3), [5, 5, 5])
    with pytest.raises(ValueError, match="gallery needs gallery_labels"):
        nearest_of_all(np.eye(3), [5, 5, 5], gallery=np.eye(3))


def test_the_picture_is_drawn_and_the_summary_is_plain(tmp_path):
    found = calibrate(planted(np.random.default_rng(5), 60, 6), recall=0.5)
    assert threshold_curves(tmp_path / "t.png", found, distance="cosine").stat().st_size > 10_000
    kept = summary(found)
    assert kept["target"] == "recall" and kept["value"] == 0.5 and kept["classes"] == 60 and "curve" not in kept
    assert [type(rate) for rate in kept["rates"].values()] == [list] * 4 and list(kept["rates"]) == list(RATES)
    assert kept["interval"][0] <= kept["threshold"] <= kept["interval"][1]

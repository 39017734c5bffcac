"""A threshold does what it promises: on planted data whose rates are known, and against slow loops."""

import numpy as np
import pytest

from metric_learning.evaluation import calibrate, nearest_of_all, rates_at
from metric_learning.evaluation.calibration import Nearest, bound, design_effect, summary
from metric_learning.report.pictures import threshold_curves


def planted(rng, classes, per_class):
    """Queries whose classes differ in how often they are right and how far they are."""
    hardness = rng.beta(2, 8, size=classes)
    labels = np.repeat(np.arange(classes), per_class)
    right = rng.random(len(labels)) > hardness[labels]
    spread = np.where(right, rng.gamma(2, 0.1, len(labels)), rng.gamma(6, 0.1, len(labels))) + 0.1 * hardness[labels]
    strangers = np.where(right, spread + rng.gamma(3, 0.1, len(labels)), spread)
    return Nearest(spread, right, strangers, np.ones(len(labels), bool), labels)


def slow_rates(rows, labels, threshold):
    """float64 loops from the definitions, with euclidean distances."""
    matched = right = found = accepted = answerable = 0
    for i, row in enumerate(rows.astype(np.float64)):
        others = [(np.sqrt(((row - other) ** 2).sum()), labels[j]) for j, other in enumerate(rows) if j != i]
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
def test_rates_are_those_of_slow_loops(threshold):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 2])
    rows = (rng.normal(size=(12, 3))[labels] + 0.4 * rng.normal(size=(len(labels), 3))).astype(np.float32)
    found = rates_at(nearest_of_all(rows, labels, distance="euclidean"), threshold)
    assert found == pytest.approx(slow_rates(rows, labels, threshold))
    assert 0 < found["far"] < 1 and 0 < found["recall"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("target", [{"precision": 0.95}, {"recall": 0.6}, {"far": 0.05}])
def test_a_promise_holds_on_fresh_data_in_95_of_100_simulations(target):
    """Truth: the rate at the threshold on 80,000 fresh queries of 10,000 fresh classes of the same kind."""
    rng = np.random.default_rng(1)
    fresh = planted(rng, 10_000, 8)
    ((rate, value),) = target.items()
    kept, shortfall = 0, []
    for _ in range(100):
        found = calibrate(planted(rng, 150, 8), resamples=10, **target)
        truth = rates_at(fresh, found.threshold)[rate]
        kept += truth >= value if rate != "far" else truth <= value
        shortfall.append(abs(truth - value))
    assert kept >= 95
    assert np.mean(shortfall) < 0.06  # nor does it promise much less than it could


def test_intervals_hold_the_truth_in_about_95_of_100_simulations():
    rng = np.random.default_rng(2)
    fresh = planted(rng, 20_000, 10)
    held = []
    for _ in range(100):
        found = calibrate(planted(rng, 150, 8), best_f1=True)
        truth = rates_at(fresh, found.threshold)
        held.append([low <= truth[name] <= high for name, (_, low, high) in found.rates.items()])
    assert (np.mean(held, axis=0) >= 0.85).all(), np.mean(held, axis=0)


def test_the_best_f1_is_the_best_there_is():
    nearest = planted(np.random.default_rng(3), 40, 6)
    found = calibrate(nearest, best_f1=True)

    def f1(threshold):
        rates = rates_at(nearest, threshold)
        return 2 * rates["precision"] * rates["recall"] / (rates["precision"] + rates["recall"])

    assert f1(found.threshold) == pytest.approx(max(map(f1, np.sort(nearest.distances))))


def test_what_cannot_be_promised_is_refused_with_what_can():
    nearest = planted(np.random.default_rng(4), 30, 4)
    with pytest.raises(
        ValueError, match="precision=0.999 cannot be promised with 95% confidence by 120 queries of 30"
    ) as said:
        calibrate(nearest, precision=0.999)
    can = float(str(said.value).rpartition("precision=")[2].removesuffix(" can"))
    assert 0.5 < can < 0.999
    assert calibrate(nearest, precision=can).rates["precision"][0] >= can
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


def test_bounds_are_those_of_tables():
    """Zero errors in n: 1 - .05^(1/n), the exact form of the rule of three; 8 of 10: Clopper and Pearson's own example
    form, from sums of binomial probabilities."""
    assert bound(59, 59, lower=True) == pytest.approx(0.05 ** (1 / 59))
    assert bound(0, 59, lower=False) == pytest.approx(1 - 0.05 ** (1 / 59))
    from math import comb

    low = bound(8, 10, lower=True)
    assert sum(comb(10, i) * low**i * (1 - low) ** (10 - i) for i in range(8, 11)) == pytest.approx(0.05)


def test_the_design_effect_is_the_size_of_classes_that_go_together():
    """All of a class right or all wrong: n queries of a class are worth one. Independent ones are worth themselves."""
    rng = np.random.default_rng(0)
    together = np.where(rng.random(4000) < 0.3, 6, 0)
    assert design_effect(together, np.full(4000, 6)) == pytest.approx(6, rel=0.02)
    assert design_effect(rng.binomial(6, 0.3, 4000), np.full(4000, 6)) == pytest.approx(1, abs=0.05)
    assert design_effect([3, 3], [3, 3]) == 1.0


def test_the_picture_is_drawn_and_the_summary_is_plain(tmp_path):
    found = calibrate(planted(np.random.default_rng(5), 60, 6), recall=0.5)
    assert threshold_curves(tmp_path / "t.png", found, distance="cosine").stat().st_size > 10_000
    kept = summary(found)
    assert kept["target"] == "recall" and kept["value"] == 0.5 and kept["classes"] == 60 and "curve" not in kept
    assert [type(rate) for rate in kept["rates"].values()] == [list] * 4

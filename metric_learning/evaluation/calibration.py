"""From distances to decisions: up to which distance the nearest item is taken for a match, and what that promises.

A query is matched if its nearest neighbor is within the threshold, and rightly so if that is of its class. With n(t)
queries that are matched at threshold t and r(t) of them rightly,

    precision(t) = r(t) / n(t)
    recall(t) = r(t) / queries that have something of their class to find
    FAR(t), false accept rate = share of the queries that are matched when nothing of their class is there to find
    FRR(t), false reject rate = 1 - recall(t)

Queries of one class succeed and fail together, so that they are worth fewer than they are: the bounds below count
n / d queries, d being by how much the spread between classes exceeds that of independent queries (the design effect
of cluster samples; Kish, "Survey Sampling", 1965), and are those of Clopper and Pearson, "The use of confidence or
fiducial limits illustrated in the case of the binomial", Biometrika 1934.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from metric_learning.evaluation.search import search

TARGETS = ("precision", "recall", "far")
CONFIDENCE = 0.95


class Nearest(NamedTuple):
    """What decisions are made of, for each of n queries.

    Attributes:
        distances: float32, to the nearest neighbor.
        right: bool, whether that is of the query's class.
        strangers: float32, to the nearest neighbor of any other class.
        has_positive: bool, whether something of the query's class is there to find.
        labels: int64, the class of the query.
    """

    distances: np.ndarray
    right: np.ndarray
    strangers: np.ndarray
    has_positive: np.ndarray
    labels: np.ndarray


class Calibration(NamedTuple):
    """A threshold and what it does on the data that it was chosen by.

    Attributes:
        threshold: the largest distance that counts as a match.
        target: "precision", "recall", "far" or "best_f1".
        value: that was asked for; None for best_f1.
        rates: "precision", "recall", "far" and "frr" at the threshold, each (value, low, high) with the interval of
            95 % by a bootstrap over classes.
        curve: "threshold", "precision", "recall", "far", "frr", [T] each, for a picture.
        queries, classes: how many it rests on.
    """

    threshold: float
    target: str
    value: float | None
    rates: dict[str, tuple[float, float, float]]
    curve: dict[str, np.ndarray]
    queries: int
    classes: int


def nearest_of_all(embeddings: ArrayLike, labels: ArrayLike, *, distance: str = "cosine") -> Nearest:
    """Each row as a query among all the others, see `Nearest`.

    Args:
        embeddings: [n, D].
        labels: [n] integers.
        distance: see `search`.

    Raises:
        ValueError: fewer than two classes, or none with two rows.
    """
    embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels, np.int64)
    sizes = np.unique(labels, return_inverse=True, return_counts=True)
    size_of = sizes[2][sizes[1]]
    if len(sizes[2]) < 2 or size_of.max() < 2:
        raise ValueError(
            f"a threshold is calibrated on at least 2 classes, one of them with 2 items; got {len(sizes[2])} classes "
            f"of at most {size_of.max(initial=0)}"
        )
    own = np.arange(len(labels))
    found = next_to(embeddings, distance, own)
    strangers = next_to(embeddings, distance, labels)
    return Nearest(found[0], labels[found[1]] == labels, strangers[0], size_of > 1, labels)


def next_to(embeddings: np.ndarray, distance: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance float32 [n] and number int64 [n] of the nearest row of another id."""
    found = search(embeddings, embeddings, k=1, distance=distance, query_ids=ids, gallery_ids=ids)
    return found.distances[:, 0], found.indices[:, 0]


def calibrate(nearest: Nearest, *, resamples: int = 1000, seed: int = 0, **target: float | bool) -> Calibration:
    """Chooses the threshold.

    Args:
        nearest: of a split that nothing is judged on, such as validation.
        resamples, seed: of the bootstrap that gives the intervals.
        target: one of

            precision=0.99: the largest threshold at which the precision is at least that with 95 % confidence.
            recall=0.9: the smallest at which the recall is, likewise.
            far=0.001: the largest at which the false accept rate is at most that, likewise.
            best_f1=True: where precision and recall have the largest harmonic mean; it promises nothing.

    Raises:
        ValueError: no or another target; one that cannot be promised, with what can be.
    """
    if len(target) != 1 or next(iter(target)) not in (*TARGETS, "best_f1"):
        raise ValueError(
            f"calibrate needs one of {', '.join(TARGETS)} and best_f1=True; got {', '.join(target) or 'none'}"
        )
    ((name, value),) = target.items()
    if name != "best_f1" and not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name} must be between 0 and 1; got {value}")
    curve = curve_of(nearest)
    thresholds = curve["threshold"]
    if name == "best_f1":
        both = curve["precision"] + curve["recall"]
        chosen = int(np.argmax(2 * curve["precision"] * curve["recall"] / np.where(both > 0, both, 1.0)))
    else:
        chosen = _promised(nearest, name, float(value), thresholds)
    threshold = float(thresholds[chosen])
    rates = {rate: _with_interval(nearest, rate, threshold, resamples, seed) for rate in (*TARGETS, "frr")}
    of_target = None if name == "best_f1" else float(value)
    counts = {"queries": len(nearest.labels), "classes": len(np.unique(nearest.labels))}
    return Calibration(threshold, name, of_target, rates, curve, **counts)


def curve_of(nearest: Nearest) -> dict[str, np.ndarray]:
    """What each threshold does: "threshold" ascending, "precision", "recall", "far", "frr", float64 [T] each."""
    thresholds = _candidates(nearest)
    return {"threshold": thresholds} | {rate: _rate(nearest, rate, thresholds) for rate in (*TARGETS, "frr")}


def summary(calibration: Calibration) -> dict[str, Any]:
    """What is kept of it, as plain data: all but the curve."""
    kept = calibration._asdict()
    del kept["curve"]
    return kept | {"rates": {name: list(rate) for name, rate in calibration.rates.items()}}


def rates_at(nearest: Nearest, threshold: float) -> dict[str, float]:
    """ "precision", "recall", "far" and "frr" of a threshold; NaN for the precision of no match at all."""
    return {rate: float(_rate(nearest, rate, np.array([threshold]))[0]) for rate in (*TARGETS, "frr")}


def _candidates(nearest: Nearest, most: int = 2000) -> np.ndarray:
    """Ascending distances to choose among: all that occur, or so many of them."""
    found = np.unique(np.concatenate([nearest.distances, nearest.strangers]))
    found = found[np.isfinite(found)]
    return found if len(found) <= most else found[np.linspace(0, len(found) - 1, most).astype(int)]


def _successes_and_trials(nearest: Nearest, rate: str, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """bool [n] each: which queries count, and which of them have what the rate is the share of."""
    matched = nearest.distances <= threshold
    if rate == "precision":
        return matched & nearest.right, matched
    if rate == "far":
        return nearest.strangers <= threshold, np.ones(len(matched), bool)
    hit = matched & nearest.right & nearest.has_positive
    return hit if rate == "recall" else nearest.has_positive & ~hit, nearest.has_positive


def _counts(nearest: Nearest, rate: str, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Successes and trials of all queries at each threshold, [T] each."""
    both = [_successes_and_trials(nearest, rate, threshold) for threshold in thresholds]
    return np.array([found[0].sum() for found in both]), np.array([found[1].sum() for found in both])


def _rate(nearest: Nearest, rate: str, thresholds: np.ndarray) -> np.ndarray:
    successes, trials = _counts(nearest, rate, thresholds)
    return np.divide(successes, trials, out=np.full(len(trials), np.nan), where=trials > 0)


def _by_class(nearest: Nearest, rate: str, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Successes and trials of each class, [C] float64 each."""
    numbers = np.unique(nearest.labels, return_inverse=True)[1]
    successes, trials = _successes_and_trials(nearest, rate, threshold)
    return np.bincount(numbers, successes), np.bincount(numbers, trials)


def design_effect(successes: ArrayLike, trials: ArrayLike) -> float:
    """How many queries are worth one independent query: the variance of the share over classes against a binomial one.

    Args:
        successes, trials: [C] of each class.

    Returns:
        At least 1; 1 where nothing varies.
    """
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    total, classes = trials.sum(), np.count_nonzero(trials)
    share = successes.sum() / max(total, 1.0)
    if classes < 2 or not 0.0 < share < 1.0:
        return 1.0
    between = classes / (classes - 1) * np.square(successes - share * trials).sum() / total**2
    return max(1.0, float(between / (share * (1.0 - share) / total)))


def bound(successes: float, trials: float, *, lower: bool, confidence: float = CONFIDENCE) -> float:
    """The one-sided bound of Clopper and Pearson of a share, also of parts of successes and trials.

    Returns:
        In [0, 1]; 0 or 1 where there is nothing to go by.
    """
    if trials <= 0:
        return 0.0 if lower else 1.0
    if lower:
        return 0.0 if successes <= 0 else float(beta.ppf(1 - confidence, successes, trials - successes + 1))
    return 1.0 if successes >= trials else float(beta.ppf(confidence, successes + 1, trials - successes))


def _promised(nearest: Nearest, rate: str, value: float, thresholds: np.ndarray) -> int:
    """The number of the threshold of `calibrate`."""
    lower = rate != "far"
    effect = max(design_effect(*_by_class(nearest, rate, t)) for t in np.quantile(thresholds, [0.25, 0.5, 0.75, 1.0]))
    successes, trials = _counts(nearest, rate, thresholds)
    bounds = np.array(
        [bound(s / effect, n / effect, lower=lower) for s, n in zip(successes, trials, strict=True)],
    )
    kept = np.flatnonzero(bounds >= value if lower else bounds <= value)
    if len(kept):
        return int(kept[0] if rate == "recall" else kept[-1])
    best = int(np.argmax(bounds) if lower else np.argmin(bounds))
    can = np.floor(1e4 * bounds[best]) / 1e4 if lower else np.ceil(1e4 * bounds[best]) / 1e4
    raise ValueError(
        f"{rate}={value:g} cannot be promised with {CONFIDENCE:.0%} confidence by {len(nearest.labels):,} queries of "
        f"{len(np.unique(nearest.labels)):,} classes; {rate}={can:.4f} can"
    )


def _with_interval(nearest, rate, threshold, resamples, seed) -> tuple[float, float, float]:
    """(value, low, high): the share, and its interval of 95 % over classes drawn anew."""
    successes, trials = _by_class(nearest, rate, threshold)
    if not trials.sum():
        return float("nan"), 0.0, 1.0
    drawn = np.random.default_rng(seed).multinomial(len(trials), np.full(len(trials), 1 / len(trials)), resamples)
    counted = drawn @ trials
    shares = np.divide(drawn @ successes, counted, out=np.full(resamples, np.nan), where=counted > 0)
    low, high = np.nanquantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(successes.sum() / trials.sum()), float(low), float(high)

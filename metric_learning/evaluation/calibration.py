"""From distances to decisions: up to which distance the nearest item is taken for a match, and what that promises.

A query is matched if its nearest neighbor is within the threshold, and rightly so if that is of its class. With n(t)
queries that are matched at threshold t and r(t) of them rightly,

    precision(t) = r(t) / n(t)
    recall(t) = r(t) / queries that have something of their class to find
    FAR(t), false accept rate = share of the queries that are matched when nothing of their class is there to find
    FRR(t), false reject rate = 1 - recall(t)

Of a labeled pair, one of the two is the query and the other all there is to find. How sure these shares are, although
queries go together, is the matter of `promises`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from metric_learning.evaluation.nearest import Nearest
from metric_learning.evaluation.promises import Sureness, Units, counts, share_of, shares, sureness

TARGETS = ("precision", "recall", "far")
RATES = (*TARGETS, "frr")
CONFIDENCE = 0.95
_TWO_SIDED = (1 + CONFIDENCE) / 2


class Calibration(NamedTuple):
    """A threshold and what it does on the data that it was chosen by.

    Attributes:
        threshold: the largest distance that counts as a match.
        interval: (low, high) of the threshold at 95 %: where other classes could have had the rate that it has here (or
            of best_f1, an F1 that these cannot tell from the best).
        target: "precision", "recall", "far" or "best_f1".
        value: that was asked for; None for best_f1.
        rates: "precision", "recall", "far" and "frr" at the threshold, each (value, low, high) with its interval of
            95 %.
        curve: "threshold", "precision", "recall", "far", "frr", [T] each, for a picture.
        queries, classes: how many it rests on; of pairs their number, and that of the items that they are of.
    """

    threshold: float
    interval: tuple[float, float]
    target: str
    value: float | None
    rates: dict[str, tuple[float, float, float]]
    curve: dict[str, np.ndarray]
    queries: int
    classes: int


def calibrate(nearest: Nearest, **target: float | bool) -> Calibration:
    """Chooses the threshold.

    Args:
        nearest: of a split that nothing is judged on, such as validation, see `nearest_of_all`; or of labeled pairs,
            see `nearest_of_pairs`.
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
    curve, units = curve_of(nearest), Units(nearest.units)
    thresholds = curve["threshold"]
    found = {rate: sureness(share_of(nearest, rate), units, thresholds) for rate in TARGETS}
    found["frr"] = found["recall"]._replace(share=1 - found["recall"].share)
    if name == "best_f1":
        chosen, as_good = _best_f1(nearest, units, thresholds)
    else:
        chosen = _promised(found[name], name, float(value), len(nearest.units))
        # Woodruff, "Confidence intervals for medians and other position measures", JASA 1952
        low, high = _interval(found[name])
        as_good = (low <= found[name].share[chosen]) & (found[name].share[chosen] <= high)
    ends = thresholds[np.flatnonzero(as_good)[[0, -1]]]
    return Calibration(
        float(thresholds[chosen]),
        (float(ends[0]), float(ends[1])),
        name,
        None if name == "best_f1" else float(value),
        {rate: _with_interval(each.at(chosen)) for rate, each in found.items()},
        curve,
        queries=len(nearest.units),
        classes=units.count,
    )


def curve_of(nearest: Nearest) -> dict[str, np.ndarray]:
    """What each threshold does: "threshold" ascending, "precision", "recall", "far", "frr", float64 [T] each."""
    thresholds = _candidates(nearest)
    return {"threshold": thresholds} | {rate: shares(share_of(nearest, rate), thresholds) for rate in RATES}


def summary(calibration: Calibration) -> dict[str, Any]:
    """What is kept of it, as plain data: all but the curve."""
    kept = calibration._asdict()
    del kept["curve"]
    return kept | {
        "interval": list(calibration.interval),
        "rates": {name: list(rate) for name, rate in calibration.rates.items()},
    }


def chosen_on(calibration: Calibration, of: str) -> str:
    """What a threshold was chosen on, in words; `of` "items" in a gallery or "pairs"."""
    wanted = calibration.target if calibration.value is None else f"{calibration.target}={calibration.value:g}"
    if of == "pairs":
        return (
            f"for {wanted} on {calibration.queries:,} labeled pairs, so of two items put side by side and not of the "
            "nearest in a gallery"
        )
    return (
        f"for {wanted} on {calibration.queries:,} items of {calibration.classes:,} classes, so of the "
        "nearest in a gallery like theirs"
    )


def rates_at(nearest: Nearest, threshold: float) -> dict[str, float]:
    """ "precision", "recall", "far" and "frr" of a threshold; NaN for the precision of no match at all."""
    return {rate: float(shares(share_of(nearest, rate), np.array([threshold]))[0]) for rate in RATES}


def _candidates(nearest: Nearest, most: int = 2000) -> np.ndarray:
    """Ascending distances to choose among: all that occur, or so many of them."""
    found = np.unique(np.concatenate([nearest.distances, nearest.strangers])).astype(np.float64)
    found = found[np.isfinite(found)]
    return found if len(found) <= most else found[np.linspace(0, len(found) - 1, most).astype(int)]


def _interval(found: Sureness) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) at 95 %, [T] each."""
    low, high = (found.bound(lower=lower, confidence=_TWO_SIDED) for lower in (True, False))
    return low, high


def _with_interval(found: Sureness) -> tuple[float, float, float]:
    (low,), (high,) = _interval(found)
    return float(found.share[0]), float(low), float(high)


def _promised(found: Sureness, rate: str, value: float, queries: int) -> int:
    """The number of the threshold of `calibrate`.

    FAR and recall only grow with the threshold, so theirs is the last before the bound first fails, coming from the
    side where it holds: then only a bound that errs where the truth is the value itself breaks the promise.
    """
    lower = rate != "far"
    bounds = found.bound(lower=lower, confidence=CONFIDENCE)
    holds = bounds >= value if lower else bounds <= value
    if holds.any():
        kept = np.flatnonzero(holds)
        if rate == "precision":
            return int(kept[-1])
        together = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
        return int(together[0][-1] if rate == "far" else together[-1][0])
    best = bounds.max() if lower else bounds.min()
    can = np.floor(1e4 * best) / 1e4 if lower else np.ceil(1e4 * best) / 1e4
    raise ValueError(
        f"{rate}={value:g} cannot be promised with {CONFIDENCE:.0%} confidence by {queries:,} queries of "
        f"{found.units:,} classes; {rate}={can:.4f} can"
    )


def _best_f1(nearest: Nearest, units: Units, thresholds: np.ndarray) -> tuple[int, np.ndarray]:
    """The number of the threshold of the best F1, and bool [T] where F1 is within the standard error of the
    difference."""
    share = share_of(nearest, "f1")
    f1 = shares(share, thresholds)
    best = int(np.argmax(f1))
    trials = counts(share.trials, thresholds)
    successes, tried = (units.sums(part, thresholds[[best]]) for part in share)
    of_best = (successes - f1[best] * tried) / trials[best]
    as_good = np.zeros(len(thresholds), bool)
    for block in units.blocks(thresholds):
        successes, tried = (units.sums(part, thresholds[block]) for part in share)
        off = (successes - f1[block] * tried) / trials[block] - of_best
        as_good[block] = f1[best] - f1[block] <= norm.ppf(_TWO_SIDED) * np.sqrt(units.variance(off))
    return best, as_good

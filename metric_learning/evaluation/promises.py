"""How sure a share of decisions is: bounds that hold although decisions go together.

Decisions are not independent: queries of one class succeed and fail together, and a class is the query of some
decisions and the nearest stranger of others. With e the part of a decision that is not its expectation, and u the
units, each of which takes part in decisions in either place, the variance of their sum is at most about

    V = sum_u (sum of e over the decisions that u takes part in)^2

which is that of dyadic data (Fafchamps and Gubert, "The formation of risk sharing networks", J. Development Economics
2007; Aronow, Samii and Assenova, "Cluster-robust variance estimation for dyadic data", Political Analysis 2015), but
that decisions of the same two units count twice, on the safe side: it cannot fall below 0, and holds where false
accepts are few. A share is then as sure as one of n_eff independent decisions,

    n_eff = p (1 - p) / V(p) (t_inf / t_df)^2

at most as many as there are, df being the number of units less one (Korn and Graubard, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data", Survey Methodology 1998), and
its bounds are those of Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 1934.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv
from scipy.stats import norm, t

from metric_learning.evaluation.nearest import Nearest

_CELLS = 2**22  # of decisions by thresholds that are held at once


class Share(NamedTuple):
    """What a rate is the share of, as distances from which on a decision counts.

    Attributes:
        successes, trials: (weight, float64 [n]) each; a decision counts `weight` at all thresholds that are at least
            the distance, so always at -inf and never at inf.
    """

    successes: Sequence[tuple[float, np.ndarray]]
    trials: Sequence[tuple[float, np.ndarray]]


def share_of(nearest: Nearest, rate: str) -> Share:
    """What "precision", "recall", "far", "frr" or "f1" is the share of."""
    never, always = np.inf, -np.inf
    distances = nearest.distances.astype(np.float64)
    hits = np.where(nearest.right & nearest.has_positive, distances, never)
    if rate == "precision":
        return Share([(1.0, np.where(nearest.right, distances, never))], [(1.0, distances)])
    if rate == "far":
        accepted = np.where(nearest.has_stranger, nearest.strangers, never).astype(np.float64)
        return Share([(1.0, accepted)], [(1.0, np.where(nearest.has_stranger, always, never))])
    answerable = np.where(nearest.has_positive, always, never)
    if rate == "recall":
        return Share([(1.0, hits)], [(1.0, answerable)])
    if rate == "frr":
        return Share([(1.0, answerable), (-1.0, hits)], [(1.0, answerable)])
    return Share([(2.0, hits)], [(1.0, distances), (1.0, answerable)])  # F1 = 2 hits / (matched + answerable)


def shares(share: Share, thresholds: np.ndarray) -> np.ndarray:
    """[T], NaN where nothing is tried."""
    successes, trials = (counts(part, thresholds) for part in share)
    return np.divide(successes, trials, out=np.full(len(trials), np.nan), where=trials > 0)


def counts(part: Sequence[tuple[float, np.ndarray]], thresholds: np.ndarray) -> np.ndarray:
    """[T], the weights that count at each threshold."""
    found = (weight * np.searchsorted(np.sort(starts), thresholds, side="right") for weight, starts in part)
    return np.sum(list(found), axis=0)


class Units:
    """Of what the decisions are: classes, families of them, or the items of pairs.

    Args:
        units: int64 [n, 2], see `Nearest`.

    Attributes:
        count: how many there are.
    """

    def __init__(self, units: np.ndarray) -> None:
        names, numbers = np.unique(units, return_inverse=True)
        first, second = numbers.reshape(-1, 2).T
        self.count = len(names)
        self._decisions = np.concatenate([np.arange(len(first)), np.flatnonzero(first != second)])
        self._units = np.concatenate([first, second[first != second]])

    def sums(self, part: Sequence[tuple[float, np.ndarray]], thresholds: np.ndarray) -> np.ndarray:
        """float64 [u, T], the weights that count at each of the ascending thresholds, of the decisions that each unit
        takes part in."""
        found = np.zeros((self.count, len(thresholds)))
        for weight, starts in part:
            first = np.searchsorted(thresholds, starts)[self._decisions]  # the first threshold that reaches the start
            kept = first < len(thresholds)
            cells = self._units[kept] * len(thresholds) + first[kept]
            found += weight * np.bincount(cells, minlength=found.size).reshape(found.shape)
        return np.cumsum(found, axis=1)

    def variance(self, sums: np.ndarray) -> np.ndarray:
        """[T], of the sum of all decisions, from their sums [u, T] by unit less their expectation."""
        return np.square(sums).sum(axis=0) * self.count / max(self.count - 1, 1)

    def blocks(self, thresholds: np.ndarray) -> list[slice]:
        """Of thresholds, so many at once as may be held for all units."""
        step = max(1, _CELLS // self.count)
        return [slice(start, start + step) for start in range(0, len(thresholds), step)]


class Sureness(NamedTuple):
    """A share at each of T thresholds, and how sure it is.

    Attributes:
        share: [T]; NaN where nothing is tried.
        worth: [T], as many independent decisions would be as sure; 0 where nothing is tried.
        units: how many units all decisions are of.
    """

    share: np.ndarray
    worth: np.ndarray
    units: int

    def at(self, number: int) -> Sureness:
        """Of one of the thresholds."""
        return Sureness(self.share[[number]], self.worth[[number]], self.units)

    def bound(self, *, lower: bool, confidence: float) -> np.ndarray:
        """[T], one-sided."""
        worth = self.worth * (norm.ppf(confidence) / t.ppf(confidence, max(self.units - 1, 1))) ** 2
        return bound(np.nan_to_num(self.share) * worth, worth, lower=lower, confidence=confidence)


def sureness(share: Share, units: Units, thresholds: np.ndarray) -> Sureness:
    """How sure a share is at ascending thresholds.

    Where all or none of the decisions succeed, nothing varies, and each is worth what it is at the next threshold where
    something does.
    """
    found, trials = shares(share, thresholds), counts(share.trials, thresholds)
    worth = np.full(len(thresholds), np.nan)
    binomial = found * (1 - found) * trials
    for block in units.blocks(thresholds):
        successes, tried = (units.sums(part, thresholds[block]) for part in share)
        variance = units.variance(successes - found[block] * tried)
        np.divide(binomial[block], variance, out=worth[block], where=(binomial[block] > 0) & (variance > 0))
    known = np.flatnonzero(~np.isnan(worth))
    if len(known):
        worth = worth[known[np.minimum(np.searchsorted(known, np.arange(len(worth))), len(known) - 1)]]
    return Sureness(found, trials * np.minimum(np.nan_to_num(worth, nan=1.0), 1.0), units.count)


def bound(successes: ArrayLike, trials: ArrayLike, *, lower: bool, confidence: float) -> np.ndarray:
    """The one-sided bound of Clopper and Pearson of shares, also of parts of successes and trials.

    Returns:
        In [0, 1]; 0 or 1 where there is nothing to go by.
    """
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    if lower:
        some = successes > 0
        low = betaincinv(np.where(some, successes, 1), np.where(some, trials - successes, 0) + 1, 1 - confidence)
        return np.where(some, low, 0.0)
    some = successes < trials
    return np.where(some, betaincinv(successes + 1, np.where(some, trials - successes, 1), confidence), 1.0)

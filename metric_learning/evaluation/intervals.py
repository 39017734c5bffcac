"""How sure a score is: 95 % intervals by the bootstrap.

Scores are of classes and queries that somebody happened to have. Where the classes are a sample, as unseen ones are,
classes are drawn again with all their queries, which holds both kinds of chance: that of classes and that of queries.
Where the classes are given and stay the same, queries are drawn again.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; Davison and Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8: of nested samples, drawing whole clusters comes nearest to the truth.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from metric_learning.checks import check_choice

OVER = ("classes", "queries")
_LEVELS = (2.5, 97.5)
_BLOCK_CELLS = 2**22  # weights held at once

# The count of one item in a sample as large as what is drawn from is Poisson(1), nearly: looked up by 16 random bits.
_CHANCES = np.cumsum(np.exp(-1) / np.array([1, 1, 2, 6, 24, 120, 720, 5040]))
_COUNTS = np.searchsorted(_CHANCES, (np.arange(2**16) + 0.5) / 2**16).astype(np.float32)


def intervals(
    per_query: Mapping[str, np.ndarray],
    classes: np.ndarray,
    *,
    over: str = "classes",
    macro: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of means over queries.

    Args:
        per_query: name -> [n] values, NaN for queries that do not count.
        classes: [n] integers, the class of each query; or [n, C] bool of several, which overlap and so cannot be drawn.
        over: "classes" or "queries", what is drawn again.
        macro: of means over classes, of the means over their queries.
        resamples: how often.
        seed: of the draws.

    Returns:
        Name -> (low, high), the 2.5th and the 97.5th percentile, a little farther apart where there are few classes (or
        queries) to draw from, as these then seem too sure; NaN where fewer than two count.

    Raises:
        ValueError: `over` is neither, or classes that overlap.

    Example:
        >>> low, high = intervals({"recall@1": np.array([0.0, 1.0] * 50)}, np.arange(100))["recall@1"]
        >>> round(low, 1), round(high, 1)
        (0.4, 0.6)
    """
    check_choice(OVER, over=over)
    values = np.stack(list(per_query.values()), axis=1)
    counted = ~np.isnan(values)
    values = np.where(counted, values, 0.0)
    members = np.asarray(classes)
    if members.ndim == 1:
        members = np.unique(classes, return_inverse=True)[1].reshape(-1)
    elif over == "classes":
        raise ValueError("over must be queries where a row has several classes, as these overlap; got 'classes'")
    sums, counts = by_class(values, members), by_class(counted, members)
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    if over == "queries" and macro:
        # To first order a mean over classes moves by what each query is off the mean of its class.
        present = np.maximum(np.count_nonzero(counts, axis=0), 1)
        center = means.sum(axis=0) / present
        parts = 1 / np.maximum(counts, 1)
        off = (values * _of_rows(parts, members) - _of_rows(means * parts, members)) * counted / present
        sums, counts = off * len(values) + np.where(counted.any(axis=0), center, np.nan), np.ones_like(values)
    elif over == "queries":
        sums, counts = values, counted
    elif macro:
        sums, counts = means, (counts > 0).astype(float)
    # Of both at once: many queries have the same values, but which of them differ by metric.
    both = np.concatenate([sums, counts], axis=1).astype(np.float32)
    rng = np.random.default_rng(seed)
    found = []
    step = max(1, _BLOCK_CELLS // max(len(both), 1))
    for start in range(0, resamples, step):
        weights = _COUNTS[rng.integers(0, 2**16, size=(min(step, resamples - start), len(both)), dtype=np.uint16)]
        drawn, held = np.split(weights @ both, 2, axis=1)
        found.append(np.divide(drawn, held, out=np.full_like(drawn, np.nan), where=held > 0))
    held = counts.sum(axis=0)
    estimates = np.divide(sums.sum(axis=0), held, out=np.full(len(held), np.nan), where=held > 0)
    units = np.count_nonzero(counts, axis=0)
    ranges = (reduce(np.where(counted, values, estimates), axis=0) for reduce in (np.min, np.max))
    table = np.concatenate(found).T
    return {name: bounds_of(*parts) for name, *parts in zip(per_query, table, estimates, units, *ranges, strict=True)}


def bounds_of(
    means: np.ndarray, estimate: float, units: int, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    """A 95 % interval from an estimate's resamples [r]: their percentiles, farther from the estimate by what few units
    make them too near (Student's t for the normal, and the n - 1 of a variance), within the range of the score."""
    if units < 2 or np.isnan(means).all():
        return float("nan"), float("nan")
    wider = stats.t.ppf(0.975, units - 1) / stats.norm.ppf(0.975) * np.sqrt(units / (units - 1))
    bounds = estimate + wider * (np.nanpercentile(means, _LEVELS) - estimate)
    low, high = np.clip(bounds, least, most)
    return float(low), float(high)


def around(
    resamples: np.ndarray, estimate: float, units: int, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    """`bounds_of` resamples moved so that their mean is the estimate, where drawing again shifts the score: fewer
    classes are left in a resample, which alone changes an entropy."""
    if units < 2 or np.isnan(resamples).all():
        return float("nan"), float("nan")
    return bounds_of(resamples - np.nanmean(resamples) + estimate, estimate, units, least, most)


def by_class(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """[C, M] float64, the sums of values [n, M] over the rows of each class, from numbers [n] of 0 to C - 1, or from
    [n, C] bool where rows are of several."""
    if numbers.ndim == 2:
        return numbers.T.astype(np.float64) @ np.asarray(values, np.float64)
    size = int(numbers.max(initial=-1)) + 1
    return np.stack([np.bincount(numbers, column, size) for column in np.asarray(values, np.float64).T], axis=1)


def _of_rows(table, members):
    """[n, M], of a table [C, M] by class what is of each row, summed where it has several classes."""
    return table[members] if members.ndim == 1 else members.astype(np.float64) @ table

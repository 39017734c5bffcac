"""Distances of pairs of equal and of different items: their overlap is what a match by threshold gets wrong."""

import dataclasses
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.names import numbered
from metric_learning.evaluation.rows import paired_distances
from metric_learning.evaluation.verification import equal_error
from metric_learning.labels import are_alike, label_array, rarest_class

PAIRS = 100_000  # of each kind: shares of them have a standard error of .2 % at most
_BINS = 120


@dataclasses.dataclass(frozen=True, eq=False)
class PairDistances:
    """The distances of pairs by one encoder.

    Attributes:
        near: float32 [p], of pairs of one class.
        far: float32 [q], of pairs of two.
    """

    near: np.ndarray
    far: np.ndarray

    @cached_property
    def equal_error(self) -> tuple[float, float]:
        """(threshold, rate): where the share of near pairs beyond it equals the share of far pairs within it."""
        return equal_error(self.near, self.far)

    @cached_property
    def overlap(self) -> float:
        """Common area of the two histograms, from 0 (apart) to 1 (the same)."""
        edges = self.edges(_BINS)
        shares = [np.histogram(values, edges)[0] / len(values) for values in (self.near, self.far)]
        return float(np.minimum(*shares).sum())

    @cached_property
    def medians(self) -> tuple[float, float]:
        return float(np.median(self.near)), float(np.median(self.far))

    def edges(self, bins: int) -> np.ndarray:
        """Of bins of equal width over all distances."""
        low, high = min(self.near.min(), self.far.min()), max(self.near.max(), self.far.max())
        return np.linspace(low, high if high > low else low + 1, bins + 1)


def pairs_of_encoders(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    distance: str = "cosine",
    untrained_embeddings: ArrayLike | None = None,
) -> dict[str, PairDistances]:
    """The distances of pairs, after and before training.

    Args:
        embeddings: [n, D].
        labels: [n] integers, or [n, C] of several classes a row.
        ids: [n] integers or strings, which item each row is; rows of one item are no pair. None: each its own.
        distance: a name of `metric_learning.distances`.
        untrained_embeddings: [n, D'] of the same items before training.

    Returns:
        "Untrained", if there are such embeddings, and "Trained" -> `PairDistances`, of the same pairs.

    Raises:
        ValueError: no two items share a label, or all do.
    """
    labels = label_array(labels)
    positives, negatives = sample_pairs(rarest_class(labels))
    if labels.ndim == 2:
        negatives = negatives[~are_alike(labels[negatives[:, 0]] > 0, labels[negatives[:, 1]] > 0)]
    if ids is not None:
        (ids,) = numbered("ids", ids)
        positives, negatives = (pairs[ids[pairs[:, 0]] != ids[pairs[:, 1]]] for pairs in (positives, negatives))
    if not len(positives) or not len(negatives):
        raise ValueError("a report needs pairs of equal and of different labels; found none of one")
    encoders: dict[str, ArrayLike] = {"Trained": embeddings}
    if untrained_embeddings is not None:
        encoders = {"Untrained": untrained_embeddings} | encoders
    return {
        name: PairDistances(*(paired_distances(rows, rows, pairs.T, distance) for pairs in (positives, negatives)))
        for name, rows in encoders.items()
    }


def sample_pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Up to `PAIRS` pairs of equal and of different labels, drawn from all alike, the same on every call.

    Returns:
        (positives, negatives): [p, 2] and [q, 2] int64 rows; no row is paired with itself, no pair occurs twice.
    """
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], labels[order], side="right")  # of the class at each place of the order
    places = np.arange(len(labels))
    positives, negatives = _drawn(places + 1, ends), _drawn(ends, np.full_like(ends, len(labels)))
    return order[positives], order[negatives]


def _drawn(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Some of the pairs of each place with those from its first up to its last, which are numbered, not made."""
    counts = np.cumsum(last - first)
    total = int(counts[-1]) if len(counts) else 0
    rng = np.random.default_rng(0)
    numbers = rng.choice(total, min(total, PAIRS), replace=False) if total else np.zeros(0, np.int64)
    places = np.searchsorted(counts, numbers, side="right")
    pairs = np.stack([places, last[places] - (counts[places] - numbers)], axis=1)
    return rng.permuted(pairs, axis=1)  # a distance may depend on which is the first

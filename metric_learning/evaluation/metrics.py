"""Retrieval metrics as pure functions of the hit table: who searched, and how, does not matter
here.

Every function gives one value per query and NaN for a query without positives, one without any relevant gallery
row, so that means leave those out and can count them. The common arguments:

    hits: [n, k] bool, whether the neighbor at rank i = 1..k has the query's label, the query
        itself removed.
    relevant: [n] int, R, the gallery rows with the query's label, the query itself not counted.

With rel(i) in {0, 1} the hit at rank i, P(i) = (1/i) sum_{j<=i} rel(j) is the precision of the
first i neighbors.

References: Musgrave, Belongie, Lim, "A Metric Learning Reality Check", ECCV 2020,
https://arxiv.org/abs/2003.08505 (R-precision, MAP@R); Jegou, Douze, Schmid, "Product Quantization
for Nearest Neighbor Search", TPAMI 2011 (recall@k).
"""

import numpy as np
from numpy.typing import ArrayLike


def recall_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> np.ndarray:
    """Recall@k of metric learning, the same as hit rate and CMC@k: max_{i<=k} rel(i).

    1 if any of the first k neighbors is relevant, else 0. Not the share of the R relevant rows
    found, which information retrieval calls recall.

    Args:
        k: from 1 to the depth of the table.

    Returns:
        [n] float64 of 0 and 1; NaN for queries without positives.

    Raises:
        ValueError: the table is shallower than `k`, or shapes do not fit.

    Example:
        >>> recall_at_k([[False, True, False]], [2], k=2)
        array([1.])
    """
    hits, relevant = _checked(hits, relevant, depth=k)
    return _unless_without_positives(relevant, hits[:, :k].any(axis=1))


def precision_at_1(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """P(1): whether the nearest neighbor is relevant. Equal to recall@1 by definition.

    Returns:
        [n] float64 of 0 and 1; NaN for queries without positives.
    """
    hits, relevant = _checked(hits, relevant, depth=1)
    return _unless_without_positives(relevant, hits[:, 0])


def r_precision(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """P(R) = (1/R) sum_{i<=R} rel(i): the share of relevant rows among the first R, 1 when they all
    come first.

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Raises:
        ValueError: the table is shallower than the largest R.

    Example:
        >>> r_precision([[True, False, True]], [2])
        array([0.5])
    """
    hits, relevant = _checked(hits, relevant)
    ranks = np.arange(1, hits.shape[1] + 1)
    found = np.count_nonzero(hits & (ranks <= relevant[:, None]), axis=1)
    return _unless_without_positives(relevant, found / np.maximum(relevant, 1))


def map_at_r(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """Average precision at R, whose mean over queries is MAP@R: (1/R) sum_{i<=R} P(i) rel(i).

    Unlike R-precision it rewards relevant rows for coming early. Divided by R, not by the hits
    found: one hit at rank 1 with R = 10 gives 0.1 (some libraries say 1.0).

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Raises:
        ValueError: the table is shallower than the largest R.

    Example:
        >>> map_at_r([[True, False, True]], [3])  # (1/1 + 2/3) / 3
        array([0.55555556])
    """
    hits, relevant = _checked(hits, relevant)
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = np.cumsum(counted, axis=1, dtype=np.int32) / ranks
    return _unless_without_positives(relevant, np.einsum("nk,nk->n", precision, counted) / np.maximum(relevant, 1))


def mean_reciprocal_rank(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """Reciprocal rank, whose mean over queries is MRR: 1 / min{i <= k: rel(i) = 1}, and 0 if there
    is no such i.

    k is the depth of the table: a deeper one can only raise the value, by less than 1/k per query.

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Example:
        >>> mean_reciprocal_rank([[False, True], [False, False]], [1, 1])
        array([0.5, 0. ])
    """
    hits, relevant = _checked(hits, relevant, depth=1)
    return _unless_without_positives(relevant, hits.any(axis=1) / (hits.argmax(axis=1) + 1))


def _checked(hits: ArrayLike, relevant: ArrayLike, depth: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of fitting shapes, at least `depth` deep, or as deep as the largest R when None."""
    hits, relevant = np.asarray(hits), np.asarray(relevant)
    if hits.ndim != 2 or hits.dtype != bool or relevant.shape != hits.shape[:1]:
        raise ValueError(
            f"hits must be bool [n, k] and relevant [n]; got {hits.dtype} {list(hits.shape)} and {list(relevant.shape)}"
        )
    wanted = int(relevant.max(initial=0)) if depth is None else depth
    if not 0 < max(wanted, 1) <= hits.shape[1]:
        raise ValueError(f"hits must be at least {wanted} neighbors deep; got {hits.shape[1]}")
    return hits, relevant


def _unless_without_positives(relevant: np.ndarray, values: ArrayLike) -> np.ndarray:
    return np.where(relevant > 0, values, np.nan)

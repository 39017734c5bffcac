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


def recall_of_relevant_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> np.ndarray:
    """Recall@k of information retrieval (scikit-learn, ranx, trec_eval): (1/R) sum_{i<=k} rel(i), the share found.

    At most k/R, so below 1 where R exceeds k.

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Example:
        >>> recall_of_relevant_at_k([[True, False, True]], [4], k=3)  # 2 of 4
        array([0.5])
    """
    hits, relevant = _checked(hits, relevant, depth=k)
    return _unless_without_positives(relevant, np.count_nonzero(hits[:, :k], axis=1) / np.maximum(relevant, 1))


def precision_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> np.ndarray:
    """P(k) = (1/k) sum_{i<=k} rel(i), the share of relevant rows among the first k; P(1) is recall@1.

    Divided by k also where fewer than k rows are relevant, as in trec_eval and ranx.

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Example:
        >>> precision_at_k([[True, False, True, False]], [2], k=4)
        array([0.5])
    """
    hits, relevant = _checked(hits, relevant, depth=k)
    return _unless_without_positives(relevant, np.count_nonzero(hits[:, :k], axis=1) / k)


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
    found = np.count_nonzero(_first_r(hits, relevant), axis=1)
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
    return _unless_without_positives(relevant, _summed_precision(_first_r(hits, relevant)) / np.maximum(relevant, 1))


def map_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> np.ndarray:
    """Average precision at k, whose mean is MAP@k: (1/min(k, R)) sum_{i<=k} P(i) rel(i), as in Open Metric Learning.

    With k = R it is MAP@R. Others divide by R (trec_eval's map_cut) or by the hits found (TensorFlow Similarity).

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Example:
        >>> map_at_k([[True, False, True]], [2], k=3)  # (1/1 + 2/3) / 2
        array([0.83333333])
    """
    hits, relevant = _checked(hits, relevant, depth=k)
    return _unless_without_positives(relevant, _summed_precision(hits[:, :k]) / np.clip(relevant, 1, k))


def mean_average_precision(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """Average precision over the whole ranking, whose mean is MAP (mAP of re-identification, average_precision_score of
    scikit-learn): (1/R) sum_i P(i) rel(i).

    Returns:
        [n] float64 in (0, 1]; NaN for queries without positives.

    Raises:
        ValueError: the table does not hold all R relevant rows of each query.

    Example:
        >>> mean_average_precision([[False, True, False, True]], [2])  # (1/2 + 2/4) / 2
        array([0.5])
    """
    hits, relevant = _complete(hits, relevant)
    return _unless_without_positives(relevant, _summed_precision(hits) / np.maximum(relevant, 1))


def mean_inverse_negative_penalty(hits: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """Inverse negative penalty, whose mean is mINP: R over the rank of the last relevant row. How much a person must
    look through to find them all.

    Ye et al., "Deep Learning for Person Re-identification", TPAMI 2021, https://arxiv.org/abs/2001.04193.

    Returns:
        [n] float64 in (0, 1]; NaN for queries without positives.

    Raises:
        ValueError: the table does not hold all R relevant rows of each query.

    Example:
        >>> mean_inverse_negative_penalty([[False, True, False, True]], [2])  # 2 of 4
        array([0.5])
    """
    hits, relevant = _complete(hits, relevant)
    last = hits.shape[1] - hits[:, ::-1].argmax(axis=1)
    return _unless_without_positives(relevant, relevant / last)


def ndcg_at_k(gains: ArrayLike, at_least: ArrayLike, k: int) -> np.ndarray:
    """Normalized discounted cumulative gain (Jarvelin and Kekalainen 2002): sum_{i<=k} g(i) / log2(i + 1), divided by
    the same sum for the best ranking there is. Linear gains as in scikit-learn; TensorFlow Ranking takes 2^g - 1.

    Args:
        gains: [n, K] whole numbers from 0, how relevant the neighbor at rank i is; hits count 1.
        at_least: [n, G], how many gallery rows have a gain of 1 or more, of 2 or more, ..., of G; [n, 1] of R for hits.
        k: from 1 to K.

    Returns:
        [n] float64 in [0, 1]; NaN for queries for which no row has a gain.

    Example:
        >>> ndcg_at_k([[0, 2, 1]], [[2, 1]], k=3).round(4)  # (2 / log2(3) + 1 / log2(4)) / (2 / log2(2) + 1 / log2(3))
        array([0.6697])
    """
    gains, at_least = np.asarray(gains), np.asarray(at_least)
    if gains.ndim != 2 or at_least.ndim != 2 or len(at_least) != len(gains) or not 1 <= k <= gains.shape[1]:
        raise ValueError(
            f"gains must be [n, {k} or more] and at_least [n, G]; got {list(gains.shape)} and {list(at_least.shape)}"
        )
    discounts = 1 / np.log2(np.arange(2, k + 2))
    # The best ranking holds at rank i a gain of g or more while there are i such rows.
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.clip(at_least, 0, k)].sum(axis=1)
    return np.divide(gains[:, :k] @ discounts, best, out=np.full(len(gains), np.nan), where=best > 0)


def reciprocal_rank_at_k(hits: ArrayLike, relevant: ArrayLike, k: int) -> np.ndarray:
    """Reciprocal rank, whose mean over queries is MRR@k (of TREC and MS MARCO): 1 / min{i <= k: rel(i) = 1}, and 0 if
    there is no such i.

    A larger k can only raise the value, by at most 1 / (k + 1) per query, up to that of the whole ranking.

    Args:
        k: from 1 to the depth of the table; what lies beyond counts nothing.

    Returns:
        [n] float64 in [0, 1]; NaN for queries without positives.

    Raises:
        ValueError: the table is shallower than `k`, or shapes do not fit.

    Example:
        >>> reciprocal_rank_at_k([[False, True, False], [False, False, True]], [1, 1], k=2)
        array([0.5, 0. ])
    """
    hits, relevant = _checked(hits, relevant, depth=k)
    hits = hits[:, :k]
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


def _complete(hits: ArrayLike, relevant: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of fitting shapes that hold every relevant row."""
    hits, relevant = _checked(hits, relevant)
    missing = int(np.count_nonzero(np.count_nonzero(hits, axis=1) < relevant))
    if missing:
        raise ValueError(f"hits must hold all relevant rows; got {missing} of {len(hits)} queries with fewer")
    return hits, relevant


def _first_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """The hits among the first R of each query, as deep as the largest R."""
    ranks = np.arange(1, relevant.max(initial=0) + 1)
    return hits[:, : len(ranks)] & (ranks <= relevant[:, None])


def _summed_precision(hits: np.ndarray) -> np.ndarray:
    """[n], sum_i P(i) rel(i)."""
    precision = np.cumsum(hits, axis=1, dtype=np.int32) / np.arange(1, hits.shape[1] + 1)
    return np.einsum("nk,nk->n", precision, hits)


def _unless_without_positives(relevant: np.ndarray, values: ArrayLike) -> np.ndarray:
    return np.where(relevant > 0, values, np.nan)

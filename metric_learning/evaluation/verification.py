"""Whether the distance of two rows tells if they are of one class: a decision by a threshold.

Of two sets of distances, those of pairs of one class (positive) and of two classes (negative). A pair is accepted at a
distance of at most the threshold. FAR, the false acceptance rate (false positive rate), is the share of negative pairs
accepted; TAR, the true acceptance rate (recall, true positive rate), that of positive ones; FRR is 1 - TAR.
"""

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.distances import pairwise
from metric_learning.evaluation.intervals import around
from metric_learning.evaluation.relevance import Relevance
from metric_learning.evaluation.rows import paired_distances

FARS = (1e-1, 1e-2, 1e-3)
_MOST_PAIRS = 2**25  # up to so many, all are judged
_DRAWN_PAIRS = 2**22  # of each kind, when there are more
_BLOCK_PAIRS = 2**21
_BINS = 512
_RESAMPLES = 400
_MOST_UNITS = 2048  # drawn again at once; more are drawn in groups


def roc_auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive pair is nearer than a negative one, ties counting half.

    Example:
        >>> roc_auc([0.1, 0.4], [0.3, 0.4])  # (1 + 1 + 0 + 1/2) / 4
        0.625
    """
    near, far = _both(positive, negative)
    farther = len(far) - np.searchsorted(far, near, side="right")
    tied = np.searchsorted(far, near, side="right") - np.searchsorted(far, near, side="left")
    return float((farther + tied / 2).mean() / len(far))


def equal_error_rate(positive: ArrayLike, negative: ArrayLike) -> float:
    """EER: (FAR + FRR) / 2 at the threshold where the two are nearest to each other.

    Example:
        >>> equal_error_rate([0.1, 0.2, 0.6], [0.3, 0.7, 0.8])  # at 0.3 a third of either is wrong
        0.3333333333333333
    """
    return equal_error(positive, negative)[1]


def equal_error(positive: ArrayLike, negative: ArrayLike) -> tuple[float, float]:
    """The threshold of `equal_error_rate`, the lowest of such distances, and the rate.

    Example:
        >>> equal_error([0.1, 0.2, 0.6], [0.3, 0.7, 0.8])
        (0.3, 0.3333333333333333)
    """
    near, far = _both(positive, negative)
    # FAR - FRR grows with the threshold. It turns between two positives, or before them, and there at a negative.
    thresholds = np.unique(near)
    passed = _rates(near, far, thresholds)
    place = int(np.searchsorted(passed[0] + passed[1], 1.0))
    start = 0 if place == 0 else np.searchsorted(far, thresholds[place - 1])
    stop = np.searchsorted(far, thresholds[place], side="right")
    thresholds = np.unique(np.concatenate([thresholds, far[start:stop]]))
    fars, tars = _rates(near, far, thresholds)
    place = int(np.abs(fars - (1 - tars)).argmin())
    return float(thresholds[place]), float((fars[place] + 1 - tars[place]) / 2)


def tar_at_far(positive: ArrayLike, negative: ArrayLike, far: float) -> float:
    """The highest TAR of a threshold whose FAR is at most `far` (TPR at FPR, validation rate of FaceNet).

    Example:
        >>> tar_at_far([0.1, 0.2, 0.6], [0.3, 0.7], far=0.5)  # at 0.6
        1.0
    """
    fars, tars, _ = _curve(*_both(positive, negative))
    return float(tars[fars <= far].max(initial=0.0))


def best_threshold(positive: ArrayLike, negative: ArrayLike) -> tuple[float, float]:
    """The threshold of the highest accuracy when positive and negative pairs are equally many, (TAR + 1 - FAR) / 2, and
    that accuracy. The lowest of the distances for which it is reached.

    Example:
        >>> best_threshold([0.1, 0.2, 0.6], [0.3, 0.7, 0.8])
        (0.6, 0.8333333333333334)
    """
    far, tar, thresholds = _curve(*_both(positive, negative))
    place = (tar - far).argmax()
    return float(thresholds[place]), float((tar[place] + 1 - far[place]) / 2)


def verification(
    queries: np.ndarray, gallery: np.ndarray, relevance: Relevance, distance: str = "cosine"
) -> dict[str, tuple[float, tuple[float, float]]]:
    """Scores of telling pairs apart: name -> (score, 95 % interval).

    "roc_auc", "eer", "tar@far=0.1" and so on, "best_threshold" and "best_accuracy", which it reaches. Of all pairs of a
    query and a gallery row that is not left out, up to 2^25; of more, of about 2^22 of each kind, drawn. The interval
    holds the percentiles of drawing the classes again, or of several labels a row the items, 400 times, with the
    distances sorted into 512 bins; that of "best_threshold" the thresholds that these cannot tell from the best.
    """
    pairs = _all_pairs if len(queries) * len(gallery) <= _MOST_PAIRS else _drawn_pairs
    distances, alike, ends = pairs(queries, gallery, relevance, distance)
    positive, negative = distances[alike], distances[~alike]
    if not len(positive) or not len(negative):
        raise ValueError("metrics=[verification] needs pairs of one class and of two; got only one kind")
    threshold, accuracy = best_threshold(positive, negative)
    scores = {"roc_auc": roc_auc(positive, negative), "eer": equal_error_rate(positive, negative)}
    scores |= {f"tar@far={far:g}": tar_at_far(positive, negative, far) for far in FARS}
    scores |= {"best_accuracy": accuracy}
    units = len(np.unique(np.concatenate(relevance.units)))
    resamples, (low, high) = _resamples(distances, alike, ends, _edges(positive, negative), units)
    found = {name: (score, around(resamples[name], score, units, 0.0, 1.0)) for name, score in scores.items()}
    return found | {"best_threshold": (threshold, (min(low, threshold), max(high, threshold)))}


def _both(positive, negative):
    positive, negative = (np.sort(np.asarray(each).reshape(-1)) for each in (positive, negative))
    if not len(positive) or not len(negative):
        raise ValueError(f"there must be pairs of both kinds; got {len(positive)} positive, {len(negative)} negative")
    return positive, negative


def _curve(positive, negative):
    """FAR and TAR at thresholds just below all, and at each distance of a positive pair: between two of these only FAR
    changes, and for the worse."""
    thresholds = np.unique(np.concatenate([[-np.inf], positive]))
    return *_rates(positive, negative, thresholds), thresholds


def _rates(positive, negative, thresholds):
    """FAR and TAR at each threshold."""
    far, tar = (np.searchsorted(each, thresholds, side="right") / len(each) for each in (negative, positive))
    return far, tar


def _all_pairs(queries, gallery, relevance, distance):
    """Distances [p], whether they are of one class [p], and the units of both ends, [2, p]."""
    of_queries, of_gallery = relevance.units
    found = []
    step = max(1, _BLOCK_PAIRS // len(gallery))
    candidates = np.arange(len(gallery))
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        everything = np.broadcast_to(candidates, (len(rows), len(gallery)))
        there = ~relevance(rows, everything)
        table = np.asarray(pairwise(queries[rows], gallery, distance=distance))
        ends = np.broadcast_arrays(of_queries[rows, None], of_gallery[None])
        found.append((table[there], relevance.hits(rows, everything)[there], np.stack([end[there] for end in ends])))
    distances, alike, ends = zip(*found, strict=True)
    return np.concatenate(distances), np.concatenate(alike), np.concatenate(ends, axis=1)


def _drawn_pairs(queries, gallery, relevance, distance):
    """As `_all_pairs`, of pairs drawn: the relevant rows of queries in a drawn order, and any others."""
    rng = np.random.default_rng(0)
    candidates = np.arange(len(gallery))
    firsts, seconds, held = [], [], 0
    step = max(1, _BLOCK_PAIRS // len(gallery))
    order = rng.permutation(len(queries))
    for start in range(0, len(queries), step):
        rows = order[start : start + step]
        everything = np.broadcast_to(candidates, (len(rows), len(gallery)))
        alike = relevance.hits(rows, everything)
        query, row = np.nonzero(alike & ~relevance(rows, everything))
        firsts.append(rows[query])
        seconds.append(row)
        held += len(row)
        if held >= _DRAWN_PAIRS:
            break
    first, second = rng.integers(len(queries), size=_DRAWN_PAIRS), rng.integers(len(gallery), size=_DRAWN_PAIRS)
    unlike = np.concatenate(
        [
            ~relevance.hits(first[part], second[part, None])[:, 0] & ~relevance(first[part], second[part, None])[:, 0]
            for part in np.array_split(np.arange(_DRAWN_PAIRS), 8)
        ]
    )
    query, row = np.concatenate([*firsts, first[unlike]]), np.concatenate([*seconds, second[unlike]])
    alike = np.arange(len(query)) < held
    distances = paired_distances(queries, gallery, (query, row), distance)
    of_queries, of_gallery = relevance.units
    return distances, alike, np.stack([of_queries[query], of_gallery[row]])


def _resamples(distances, alike, ends, edges, units):
    """Each score [r] of classes drawn again with weights w: a pair of class c counts w_c, a pair of classes c and d
    counts w_c w_d, to first order w_c + w_d - 1. And the lowest and the highest of the thresholds that are as good as
    the best."""
    apart = alike & (ends[0] != ends[1])  # of several labels
    ends = ends % _MOST_UNITS  # so many groups vary by chance as their members do
    cells = 2 * np.searchsorted(edges, distances) + alike
    num_classes = int(ends.max()) + 1
    width = 2 * len(edges)
    of_class = np.sum([np.bincount(end * width + cells, minlength=num_classes * width) for end in ends], axis=0)
    of_class = of_class.reshape(num_classes, width).astype(np.float32)
    weights = np.random.default_rng(0).poisson(1.0, size=(_RESAMPLES, num_classes)).astype(np.float32)
    tables = weights @ of_class
    # Of one class 2 w_c, as no share sees the 2.
    positive = np.maximum(tables[:, 1::2] - np.bincount(cells[apart], minlength=width)[1::2], 0.0).cumsum(axis=1)
    negative = np.maximum(tables[:, ::2] - np.bincount(cells, minlength=width)[::2], 0.0).cumsum(axis=1)
    there = (positive[:, -1] > 0) & (negative[:, -1] > 0)
    far, tar = (each[there] / each[there, -1:] for each in (negative, positive))
    middle = (np.diff(far, prepend=0.0, axis=1) * (tar + np.pad(tar, ((0, 0), (1, 0)))[:, :-1]) / 2).sum(axis=1)
    gap = np.abs(far + tar - 1).argmin(axis=1)[:, None]
    found = {
        "roc_auc": middle,
        "eer": (np.take_along_axis(far - tar, gap, 1)[:, 0] + 1) / 2,
        "best_accuracy": ((tar - far).max(axis=1) + 1) / 2,
    }
    for share in FARS:
        found[f"tar@far={share:g}"] = np.array([np.interp(share, f, t) for f, t in zip(far, tar, strict=True)])
    counts = np.bincount(cells, minlength=width).reshape(-1, 2).cumsum(axis=0)
    seen = counts / counts[-1]
    return found, _as_good(edges, seen[:, 1] - seen[:, 0], tar - far, units)


def _edges(positive, negative):
    """The upper ends of the bins: at even shares of either kind, however rare it is, and at ever smaller ones of the
    nearest negative and the farthest positive pairs, between which the best threshold lies."""
    even = np.linspace(0, 1, _BINS // 4 + 1)[1:]
    edges = []
    for distances, farthest in ((positive, True), (negative, False)):
        drawn = distances[:: max(1, len(distances) // 2**18)]
        few = np.geomspace(1 / len(drawn), 1, _BINS // 4)
        edges.append(np.quantile(drawn, np.concatenate([even, 1 - few if farthest else few])))
    return np.unique(np.append(np.concatenate(edges), max(positive.max(), negative.max())))


def _as_good(edges, seen, drawn, units):
    """The lowest and the highest of the thresholds `edges` [b] whose TAR - FAR, seen [b], is below the best by no more
    than chance may put it: by the standard error of the difference, of what was drawn [r, b]. The best of what is drawn
    would be too sure: it jumps, and never beyond the farthest pair."""
    best = seen.argmax()
    error = (drawn[:, [best]] - drawn).std(axis=0)
    good = edges[seen[best] - seen <= 1.96 * error * np.sqrt(units / (units - 1))]
    return float(good[0]), float(good[-1])

"""Labels that look wrong: items that lie among the items of one other class, and not among those of their own.

Plain neighbors voting ask which class is the commonest nearby, and call every item of a small or wide class wrong. Here
each class gives evidence of its own, by how near its nearest members are for where they are: with distances d and s(i)
the one to the 20th nearest neighbor of i (of few rows, of a tenth of them), an item j is evidence of

    a(i, j) = exp(-d(i, j)^2 / (s(i) s(j)))

for its class, and a class gives the mean over its nearest members: over a quarter of them, at least 2 and at most 10.
The own class and the best of the others then compare as

    agreement = other / (other + own + neither)

where neither is a quarter of what the best class of an item gives on average: an item that is near to nothing is
strange, not mislabeled.

The evidence is that of Zelnik-Manor and Perona, "Self-Tuning Spectral Clustering", NIPS 2004. That labels are to be
judged by models that have not seen them is from Northcutt, Jiang and Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", JAIR 2021 (arXiv 1911.00068).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.checks import check_whole, check_within
from metric_learning.evaluation.gallery import Gallery
from metric_learning.evaluation.names import numbered
from metric_learning.evaluation.relevance import SameId
from metric_learning.evaluation.search import Finder
from metric_learning.labels import class_array

NEAREST_SCALE, SCALE = 3, 20  # the neighbor whose distance is the scale of a row
NEITHER = 0.25
AT_LEAST, NEIGHBORS = 0.6, 200
FEWEST, MOST, SHARE = 2, 10, 4  # members of a class that are asked: a quarter of them within these bounds
LISTED = 5
_NUMBERS = 2**24  # of queries that are copied and made ready at once: 64 MB, and as much again


class Suspicion(NamedTuple):
    """An item whose label looks wrong.

    Attributes:
        row: of the item.
        given: its label.
        proposed: the label that its neighbors speak for.
        agreement: from 0 to 1, how much they agree: above 0.5 they speak for it more than for the given one.
        neighbors: up to 5 rows of the proposed class, nearest first.
    """

    row: int
    given: int
    proposed: int
    agreement: float
    neighbors: tuple[int, ...]


def suspicious_labels(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    judged: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    distance: str = "cosine",
    neighbors: int = NEIGHBORS,
    at_least: float = AT_LEAST,
) -> list[Suspicion]:
    """The items whose neighbors agree on one other class than their label says, the surest first.

    To be asked of an encoder that was not trained on the labels that it judges: one that was has learned to put an item
    where its label says, right or wrong.

    Args:
        embeddings: [n, D] finite numbers, of all items that are known, also of those that are not judged.
        labels: [n] integers.
        judged: bool [n], whose labels are judged; None: all.
        ids: [n] integers or strings, which item each row is; rows of one id are no evidence of each other. None: each
            its own.
        distance: see `metric_learning.evaluation.search`; "dot" is taken as "cosine", since it has no scale.
        neighbors: how many of the nearest rows are looked at, of which those of a class count.
        at_least: the agreement from which an item is suspicious, from 0 to 1.

    Returns:
        By agreement, the highest first; equal ones by row. Items whose class has no other item are not judged.

    Raises:
        ValueError: arguments that do not fit, or labels of several classes a row.

    Example:
        >>> rows = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [5.3], [0.15]]
        >>> (found,) = suspicious_labels(rows, [0, 0, 0, 1, 1, 1, 1, 1], distance="euclidean")
        >>> found.row, found.given, found.proposed, found.neighbors
        (7, 1, 0, (2, 1, 0))
    """
    check_whole(1, neighbors=neighbors)
    check_within(0.0, 1.0, at_least=at_least)
    rows = np.asarray(embeddings)
    given = class_array(labels)
    if given.dtype != np.int64 or len(given) != len(rows):
        raise ValueError(f"labels must be integers [{len(rows)}]; got {given.dtype} {list(given.shape)}")
    asked = np.ones(len(rows), bool) if judged is None else np.asarray(judged)
    if asked.shape != (len(rows),) or asked.dtype != np.bool_:
        raise ValueError(f"judged must be bool [{len(rows)}]; got {asked.dtype} {list(asked.shape)}")
    (items,) = numbered("ids", np.arange(len(rows)) if ids is None else ids)
    if len(items) != len(rows):
        raise ValueError(f"ids must be one for each of {len(rows)} rows; got {len(items)}")
    class_of, classes = np.unique(given, return_inverse=True)
    sizes = np.bincount(classes)
    one_each = np.unique(items, return_index=True)[1]  # an item may be listed twice, as query and in the gallery
    items_of = np.bincount(classes[one_each], minlength=len(sizes))
    queries = np.flatnonzero(asked & (items_of[classes] > 1))
    # The nearest rows of what is judged are kept, 12 bytes for each, as what they say depends on the scales of all.
    scale = min(max(len(rows) // 10, NEAREST_SCALE), SCALE)
    search = _Search(rows, items, "cosine" if distance == "dot" else distance)
    kept = list(search.near(queries, max(neighbors, scale)))
    others = np.setdiff1d(np.arange(len(rows)), queries)
    scales = np.zeros(len(rows), np.float32)
    for asked_rows, near, indices in itertools.chain(kept, search.near(others, scale)):
        scales[asked_rows] = np.where(indices < 0, 0, near)[:, :scale].max(axis=1)
    own, best, proposed = np.zeros(len(queries)), np.zeros(len(queries)), np.zeros(len(queries), np.int64)
    near_rows = np.full((len(queries), LISTED), -1)
    for query, *found_near in kept:
        near, indices = (part[:, :neighbors] for part in found_near)
        place = np.searchsorted(queries, query)
        evidence = affinities(near, scales[query], scales[indices])
        evidence[indices < 0] = 0.0
        own[place], best[place], proposed[place] = compare_classes(evidence, classes[indices], classes[query], sizes)
        is_of = (classes[indices] == proposed[place, None]) & (indices >= 0)
        listed = np.argsort(~is_of, axis=1, kind="stable")[:, :LISTED]  # those of the class first, nearest first
        near_rows[place, : listed.shape[1]] = np.where(
            np.take_along_axis(is_of, listed, axis=1), np.take_along_axis(indices, listed, axis=1), -1
        )
    neither = NEITHER * np.maximum(own, best).mean() if len(queries) else 0.0
    agreement = best / np.maximum(best + own + neither, 1e-30)
    found = [
        Suspicion(
            int(queries[at]),
            int(given[queries[at]]),
            int(class_of[proposed[at]]),
            float(agreement[at]),
            tuple(row for row in near_rows[at].tolist() if row >= 0),
        )
        for at in np.flatnonzero((agreement >= at_least) & (proposed >= 0))
    ]
    return sorted(found, key=lambda each: (-each.agreement, each.row))


def affinities(distances: np.ndarray, scales: np.ndarray, other_scales: np.ndarray) -> np.ndarray:
    """[b, K] float64, the evidence that neighbors are.

    Args:
        distances: [b, K] squared ones.
        scales: [b] of the rows, squared too.
        other_scales: [b, K] of the neighbors.
    """
    scale = np.sqrt(scales[:, None].astype(np.float64) * other_scales)
    return np.exp(-np.maximum(distances, 0.0) / np.maximum(scale, 1e-15))  # 0 among copies


def compare_classes(
    evidence: np.ndarray, neighbors: np.ndarray, own: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the classes near an item speak for.

    Args:
        evidence: [b, K] from 0 to 1, of neighbors, nearest first.
        neighbors: int64 [b, K], their classes.
        own: int64 [b], the class that the item is said to be of.
        sizes: int64 [C], how many items each class has.

    Returns:
        float64 [b], the mean evidence of the own class; float64 [b], that of the best other one; int64 [b], which that
        is, -1 if there is none.
    """
    count, depth = neighbors.shape
    order = np.argsort(neighbors, axis=1, kind="stable")
    classes = np.take_along_axis(neighbors, order, axis=1)
    places = np.arange(depth)
    begins = np.ones(classes.shape, bool)
    begins[:, 1:] = classes[:, 1:] != classes[:, :-1]
    begin = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    is_own = classes == own[:, None]
    asked = np.clip(-(-sizes[classes] // SHARE), FEWEST, MOST)
    asked = np.where(is_own, np.clip(sizes[classes] - 1, 1, asked), asked)  # it is no evidence of itself
    ordered = np.take_along_axis(evidence, order, axis=1)
    counted = np.where(places - begin < asked, ordered / asked, 0.0)
    sums = np.bincount((np.arange(count)[:, None] * depth + begin).ravel(), counted.ravel(), count * depth)
    sums = sums.reshape(count, depth)
    of_others = np.where(is_own | ~begins, -1.0, sums)
    best = of_others.argmax(axis=1)
    rows = np.arange(count)
    score = of_others[rows, best]
    return (
        np.where(is_own, sums, 0.0).sum(axis=1),
        np.maximum(score, 0.0),
        np.where(score > 0.0, classes[rows, best], -1),
    )


class _Search:
    """What is near to some rows among all of them."""

    def __init__(self, rows, items, distance):
        self.rows, self.items, self.distance = rows, items, distance
        self.gallery = Gallery(rows, distance)

    def near(self, queries: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields some of the queries [b], and squared distances and rows [b, k] of the other items nearest to them; the
        row is -1 where fewer are left."""
        k = min(k, max(1, len(self.rows) - 1))
        step = max(1, _NUMBERS // self.rows.shape[1])
        for some in (queries[start : start + step] for start in range(0, len(queries), step)):
            left_out = SameId(self.items[some], self.items)
            finder = Finder(self.rows[some], self.gallery, distance=self.distance, left_out=left_out)
            for block, found in finder.blocks(k):
                distances = found.distances**2 if self.distance == "euclidean" else found.distances
                yield some[block], distances, found.indices

"""Exact search in a gallery that may be larger than memory."""

from collections.abc import Iterable

import numpy as np

from metric_learning.evaluation.gallery import Gallery
from metric_learning.evaluation.search import Neighbors, search
from metric_learning.index.shard import ShardedRows

_BLOCK = 2**26  # numbers of a gallery that are searched together, 256 MB
_KEPT = 2**24  # numbers of a gallery that is made ready once: for a single query that takes longer than its search


class ExactSearch:
    """Block by block of the gallery, of which the nearest so far are kept; the same for any blocks and shards.

    Args:
        rows: the gallery.
        distance: see `metric_learning.evaluation.search`.
    """

    def __init__(self, rows: ShardedRows, distance: str) -> None:
        self._rows = rows
        self._root = distance == "euclidean"
        # By its square, which tells more rows apart than the root does.
        self._distance = "squared_euclidean" if self._root else distance
        self._ready: list[Gallery] = []

    def __call__(self, queries: np.ndarray, k: int) -> Neighbors:
        """The k nearest rows, at most all, of queries float32 [q, D]."""
        best = Neighbors(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
        start = 0
        for block in self._blocks():
            found = search(queries, block, k=min(k, len(block)), distance=self._distance)
            distances = np.concatenate([best.distances, found.distances], axis=1)
            numbers = np.concatenate([best.indices, found.indices + start], axis=1)
            order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # earlier rows stand first where it is equal
            best = Neighbors(*(np.take_along_axis(each, order, axis=1) for each in (distances, numbers)))
            start += len(block)
        return Neighbors(np.sqrt(best.distances), best.indices) if self._root else best

    def _blocks(self) -> Iterable[np.ndarray | Gallery]:
        blocks = self._rows.blocks(max(1, _BLOCK // self._rows.shape[1]))
        if np.prod(self._rows.shape) > _KEPT:
            return blocks
        if not self._ready:
            self._ready = [Gallery(block, self._distance) for block in blocks]
        return self._ready

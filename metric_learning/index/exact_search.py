"""Exact search in a gallery that may be larger than memory."""

import numpy as np

from metric_learning.evaluation.search import Neighbors, search
from metric_learning.index.shard import ShardedRows

_BLOCK = 2**26  # numbers of a gallery that are searched together, 256 MB


def exact_search(rows: ShardedRows, queries: np.ndarray, k: int, distance: str) -> Neighbors:
    """Block by block of the gallery, of which the nearest so far are kept; the same for any blocks and shards.

    Args:
        rows: the gallery, at least k of them.
        queries: float32 [q, D].
        k: neighbors per query.
        distance: see `metric_learning.evaluation.search`.
    """
    # By its square, which tells more rows apart than the root does.
    measured = "squared_euclidean" if distance == "euclidean" else distance
    best = Neighbors(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    start = 0
    for block in rows.blocks(max(1, _BLOCK // rows.shape[1])):
        found = search(queries, block, k=min(k, len(block)), distance=measured)
        distances = np.concatenate([best.distances, found.distances], axis=1)
        numbers = np.concatenate([best.indices, found.indices + start], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # earlier rows stand first where it is equal
        best = Neighbors(*(np.take_along_axis(each, order, axis=1) for each in (distances, numbers)))
        start += len(block)
    return Neighbors(np.sqrt(best.distances), best.indices) if distance == "euclidean" else best

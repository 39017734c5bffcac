"""A search in an index that also asks what its rows have in common; see `metric_learning.evaluation.rerank`."""

import numpy as np

from metric_learning.evaluation.rerank import expand_queries, k_reciprocal
from metric_learning.index.index import Index
from metric_learning.index.shard import Hit


def second_look(
    index: Index, queries: np.ndarray, k: int = 10, *, expand: int = 0, rerank: bool = False
) -> list[list[Hit]]:
    """As `Index.search`, by queries that are moved towards what they find, or with what is found ordered anew.

    All vectors are read into memory. Re-ranking compares all rows of the index with each other, which takes seconds for
    thousands and minutes for a hundred thousand, and its distances mean nothing to a threshold.

    Args:
        index: of any kind.
        queries: [q, D].
        k: at least 1.
        expand: how many rows each query is moved towards, see `expand_queries`; 0: none.
        rerank: by k-reciprocal neighbors, see `k_reciprocal`, among the first 100 or the first k.

    Raises:
        ValueError: as `Index.search`, `expand_queries` and `k_reciprocal`.
    """
    if not expand and not rerank:
        return index.search(queries, k)
    index.search_rows(queries[:1], k)  # for what it refuses
    vectors = index.rows[np.arange(len(index))]
    if expand:
        neighbors = min(expand, len(vectors))
        queries = expand_queries(queries, vectors, neighbors=neighbors, distance=index.distance)
    if not rerank:
        return index.search(queries, k)
    k = min(k, len(vectors))
    return index.hits(k_reciprocal(queries, vectors, k, distance=index.distance, depth=max(100, k)))

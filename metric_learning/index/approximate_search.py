"""Search that finds most of the nearest rows in a fraction of the time, and says how many of them."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np

from metric_learning.distances import rowwise
from metric_learning.evaluation.search import Neighbors

# Names for what FAISS calls otherwise; {lists} is about 4 sqrt(n).
KINDS = {
    "ivf": "IVF{lists},Flat",
    "hnsw": "HNSW32",
    "pq": "IVF{lists},PQ32x4fs",
    "sq8": "SQ8",
    "binary": "LSH",
}
_SPARE = 32  # candidates beside four times k, of which the exact distance chooses
_SAMPLE, _SAMPLE_K = 1000, 10  # queries and k by which recall is measured
_PER_LIST = 39  # rows that FAISS wants for each list


def check_kind(kind: str, dimensions: int, distance: str) -> None:
    """Raises ValueError unless `kind` is "exact", a key of `KINDS` or a factory string of FAISS, for that distance."""
    if kind == "exact":
        return
    if distance == "snr":
        raise ValueError("kind must be exact with distance=snr, which is no distance that FAISS has")
    try:
        faiss.index_factory(dimensions, _factory(kind, 1), _metric(distance))
    except RuntimeError as error:
        raise ValueError(
            f"kind must be exact, {', '.join(KINDS)} or a factory string of FAISS that fits distance={distance} and "
            f"{dimensions} dimensions; got {kind!r}"
        ) from error


class ApproximateSearch:
    """An index of FAISS that proposes candidates, which are compared by their exact distance.

    Args:
        vectors: float32 [n, D].
        distance: see `metric_learning.distances`, but snr.
        kind: a key of `KINDS`, or a factory string of FAISS.

    Raises:
        ValueError: too few vectors for this kind.
    """

    def __init__(self, vectors: np.ndarray, distance: str, kind: str) -> None:
        self._vectors = vectors
        self._distance = distance
        lists = max(1, min(int(4 * np.sqrt(len(vectors))), len(vectors) // _PER_LIST))
        self._index = faiss.index_factory(vectors.shape[1], _factory(kind, lists), _metric(distance))
        compared = self._as_compared(vectors)
        try:
            self._index.train(compared)
        except RuntimeError as error:
            raise ValueError(f"{len(vectors)} rows are too few for an index of kind {kind}; take kind=exact") from error
        self._index.add(compared)
        if hasattr(self._index, "nprobe"):
            self._index.nprobe = max(1, lists // 8)

    def __call__(self, queries: np.ndarray, k: int) -> Neighbors:
        """`Neighbors` of float32 [q, D]; where fewer than k are proposed, at distance inf at the end."""
        count = min(len(self._vectors), 4 * k + _SPARE)
        proposed = self._index.search(self._as_compared(queries), count)[1]
        there = np.maximum(proposed, 0)  # -1 where it proposes no more
        repeated = np.broadcast_to(queries[:, None], (*there.shape, queries.shape[1]))
        distances = rowwise(repeated, self._vectors[there], distance=self._distance).numpy()
        distances[proposed < 0] = np.inf
        order = np.lexsort((there, distances), axis=1)[:, :k]
        return Neighbors(*(np.take_along_axis(each, order, axis=1) for each in (distances, there)))

    def recall(self, exactly: Callable[[np.ndarray, int], Neighbors]) -> float:
        """The share of the 10 nearest rows that are found, by up to 1,000 of the rows themselves as queries."""
        sample = self._vectors[np.random.default_rng(0).permutation(len(self._vectors))[:_SAMPLE]]
        k = min(_SAMPLE_K, len(self._vectors))
        pairs = zip(exactly(sample, k).indices, self(sample, k).indices, strict=True)
        return float(np.mean([len(np.intersect1d(exact, found)) / k for exact, found in pairs]))

    def _as_compared(self, rows: np.ndarray) -> np.ndarray:
        """Unit rows for cosines, whose squared distances are in the same order."""
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if self._distance == "cosine" else rows


def _metric(distance: str) -> int:
    return faiss.METRIC_INNER_PRODUCT if distance == "dot" else faiss.METRIC_L2


def _factory(kind: str, lists: int) -> str:
    return KINDS.get(kind, kind).replace("{lists}", str(lists))

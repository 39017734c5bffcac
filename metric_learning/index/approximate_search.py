"""Search that finds most of the nearest rows in a fraction of the time, and says how many of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from metric_learning.distances import rowwise
from metric_learning.evaluation.rows import unit_rows
from metric_learning.evaluation.search import Neighbors
from metric_learning.index.shard import ShardedRows
from metric_learning.whole_files import in_one_move

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
_LEARNED_FROM = 2**16  # rows that lists and codes are learned from, if there are more and the lists need no more
_BLOCK_ROWS = 2**16
Search = Callable[[np.ndarray, int], Neighbors]


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
        vectors: n rows of D numbers.
        distance: see `metric_learning.distances`, but snr.
        kind: a key of `KINDS`, or a factory string of FAISS.
        exactly: an exact search of the same vectors, for queries that too few candidates are proposed for.
        path: of what `save` wrote of the same vectors; None: to be built.

    Raises:
        ValueError: too few vectors for this kind, or a file of other vectors.
        RuntimeError: a file that is not there, or not whole.
    """

    def __init__(
        self, vectors: ShardedRows, distance: str, kind: str, exactly: Search, path: Path | None = None
    ) -> None:
        self._vectors = vectors
        self._distance = distance
        self._exactly = exactly
        self._index = self._built(kind) if path is None else faiss.read_index(str(path))
        if (self._index.ntotal, self._index.d) != vectors.shape:
            raise ValueError(f"{path} holds {self._index.ntotal} rows of {self._index.d} numbers, not {vectors.shape}")

    def _built(self, kind):
        count = len(self._vectors)
        lists = max(1, min(int(4 * np.sqrt(count)), count // _PER_LIST))
        index = faiss.index_factory(self._vectors.shape[1], _factory(kind, lists), _metric(self._distance))
        inverted = faiss.try_extract_index_ivf(index)  # also below a rotation, or a second look
        lists = lists if inverted is None else inverted.nlist
        sample = np.random.default_rng(0).permutation(count)[: max(_LEARNED_FROM, _PER_LIST * lists)]
        lent = _content_with_few_rows(index)
        try:
            index.train(self._as_compared(self._vectors[np.sort(sample)]))
        except RuntimeError as error:
            raise ValueError(f"{count} rows are too few for an index of kind {kind}; take kind=exact") from error
        for rotation, _ in lent:
            rotation.pq = None
        for block in self._vectors.blocks(_BLOCK_ROWS):
            index.add(self._as_compared(block))
        if inverted is not None:
            inverted.nprobe = max(1, lists // 8)
        return index

    def save(self, path: Path) -> None:
        """Writes what FAISS has learned, in one move; the vectors themselves are those of the shards."""
        with in_one_move(path) as unfinished:
            faiss.write_index(self._index, str(unfinished))

    def __call__(self, queries: np.ndarray, k: int) -> Neighbors:
        """`Neighbors` of float32 [q, D], k at most the number of vectors.

        Where the lists and codes propose fewer than k, as lists that hold few rows do, all vectors are compared.
        """
        count = min(len(self._vectors), 4 * k + _SPARE)
        proposed = self._index.search(self._as_compared(queries), count)[1]
        there = np.maximum(proposed, 0)  # -1 where it proposes no more
        repeated = np.broadcast_to(queries[:, None], (*there.shape, queries.shape[1]))
        distances = rowwise(repeated, self._vectors[there], distance=self._distance).numpy()
        distances[proposed < 0] = np.inf
        order = np.lexsort((there, distances), axis=1)[:, :k]
        found = Neighbors(*(np.take_along_axis(each, order, axis=1) for each in (distances, there)))
        short = (proposed >= 0).sum(axis=1) < k
        if short.any():
            found.distances[short], found.indices[short] = self._exactly(queries[short], k)
        return found

    def recall(self) -> float:
        """The share of the 10 nearest other rows that are found, by up to 1,000 of the rows themselves as queries."""
        chosen = np.random.default_rng(0).permutation(len(self._vectors))[:_SAMPLE]
        k = min(_SAMPLE_K, len(self._vectors) - 1)
        if not k:
            return 1.0
        exact, found = (_others(find(self._vectors[chosen], k + 1), chosen) for find in (self._exactly, self))
        return float(np.mean([len(np.intersect1d(*pair)) / k for pair in zip(exact, found, strict=True)]))

    def _as_compared(self, rows: np.ndarray) -> np.ndarray:
        """Unit rows for cosines, whose squared distances are in the same order."""
        return np.ascontiguousarray(unit_rows(rows, 0)[:, :-2]) if self._distance == "cosine" else rows


def read_or_build(
    vectors: ShardedRows, distance: str, kind: str, exactly: Search, path: Path | None
) -> tuple[ApproximateSearch, bool]:
    """What `save` wrote, or what is built if there is nothing or no whole file; and whether it was read.

    Args:
        vectors, distance, kind, exactly, path: see `ApproximateSearch`.
    """
    what = vectors, distance, kind, exactly
    if path is not None:
        try:
            return ApproximateSearch(*what, path), True
        except (RuntimeError, ValueError, MemoryError):  # in half a file FAISS may read any length
            warnings.warn(f"{path} is missing or damaged, and is built again from the vectors", stacklevel=5)
    return ApproximateSearch(*what), False


def _others(found: Neighbors, own: np.ndarray) -> list[np.ndarray]:
    """Of each query the rows that were found but its own, which it finds too easily; one fewer than were asked for."""
    k = found.indices.shape[1] - 1
    return [rows[rows != row][:k] for rows, row in zip(found.indices, own, strict=True)]


def _content_with_few_rows(index: Any) -> list[tuple[Any, Any]]:
    """Keeps FAISS from a line on stderr for each of its clusterings of fewer rows than it likes: the recall tells.

    Returns:
        Rotations with the quantizer that each was lent, to be taken from it once it is trained.
    """
    index = faiss.downcast_index(index)
    parts, lent = [], []
    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain
        steps = [faiss.downcast_VectorTransform(chain.at(step)) for step in range(chain.size())]
        for step in (step for step in steps if isinstance(step, faiss.OPQMatrix)):
            quantizer = faiss.ProductQuantizer(step.d_out, step.M, 8)
            quantizer.cp.min_points_per_centroid = 1
            step.pq = quantizer
            lent.append((step, quantizer))
        parts = [index.index]
    elif isinstance(index, faiss.IndexRefine):
        parts = [index.base_index]
    elif isinstance(index, faiss.IndexIVF):
        index.cp.min_points_per_centroid = 1
        parts = [index.quantizer]
    if hasattr(index, "pq"):
        index.pq.cp.min_points_per_centroid = 1
    for part in parts:
        lent += _content_with_few_rows(part)
    return lent


def _metric(distance: str) -> int:
    return faiss.METRIC_INNER_PRODUCT if distance == "dot" else faiss.METRIC_L2


def _factory(kind: str, lists: int) -> str:
    return KINDS.get(kind, kind).replace("{lists}", str(lists))

"""Exact nearest neighbors: the only file that knows FAISS.

An engine, FAISS or TensorFlow, proposes a few more neighbors than asked for, from matrix products in float32. Their
distances are then computed again pair by pair, which is exact for equal rows and does not depend on
the blocks; ties go to the lower gallery row. A query where a row that was not proposed might still
belong to the answer is compared with the whole gallery. So both engines give the same, to the last digit.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import faiss
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from metric_learning.checks import check_choice
from metric_learning.cores import usable_cores
from metric_learning.evaluation.gallery import Gallery
from metric_learning.evaluation.names import integers
from metric_learning.evaluation.one_ahead import one_ahead
from metric_learning.evaluation.relevance import LeftOut, SameId
from metric_learning.evaluation.rows import checked_rows, packed, squared_lengths, unit_rows, unpacked, without_row_mean
from metric_learning.evaluation.tensorflow_search import TensorFlowProposals

ENGINES = ("auto", "faiss", "tensorflow")
DISTANCES = ("cosine", "euclidean", "squared_euclidean", "dot", "snr")

_SPARE = 8  # proposals beyond the k asked for: they show that nothing closer was left out
_BLOCK_CELLS = 2**22  # query-neighbor cells proposed at once
_PART_CELLS = 2**18  # and looked at again at once: 2 MB, which stay in the processor's cache
_TAKEN = np.uint64(2**64 - 1)  # sorts behind every true neighbor


class Neighbors(NamedTuple):
    """The nearest gallery rows of every query, nearest first.

    distances: [n, k] float32, ascending.
    indices: [n, k] int64, rows of the gallery.
    """

    distances: np.ndarray
    indices: np.ndarray


def search(
    queries: ArrayLike,
    gallery: ArrayLike | Gallery,
    k: int,
    *,
    distance: str = "cosine",
    query_ids: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
    engine: str = "auto",
    block_size: int | None = None,
) -> Neighbors:
    """The `k` nearest gallery rows of every query, exactly, without the query itself.

    A gallery row is "the query itself" if it has the query's id, wherever it stands and however
    many there are; another item with equal embeddings stays. Without ids nothing is left out.

    Equal distances are ordered by gallery row, so the answer does not depend on `block_size` or on
    threads. ("euclidean" is ordered by its square, which tells more rows apart.)

    Args:
        queries: [n, D] finite numbers, computed in float32.
        gallery: [m, D], or a `Gallery` of that distance.
        k: neighbors per query, from 1 to what the gallery holds without the query itself.
        distance: a name of `metric_learning.distances`: "cosine" (1 - cos; a zero row is at 1 from
            everything), "euclidean" (|q - g|), "squared_euclidean", "dot" (-q.g) or "snr" (var(q -
            g) / var(q); 0 if q is constant).
        query_ids: [n] integers, which item each query is. Given together with `gallery_ids` or not
            at all.
        gallery_ids: [m] integers.
        engine: "faiss", "tensorflow", or "auto" for the faster of them: TensorFlow on a GPU, and on CPUs where it was
            measured to be, for any k in galleries of up to 262,144 rows and at least 2^26 pairs. The answer is the
            same.
        block_size: queries handled at once; by default as many as keep the working memory near 300 MB.

    Returns:
        `Neighbors`, [n, k] each.

    Raises:
        ValueError: a shape, dtype or name that does not fit, NaN or infinite embeddings, or `k` outside the range
            above.
    """
    if (query_ids is None) != (gallery_ids is None):
        raise ValueError("query_ids and gallery_ids must be given together; got only one of them")
    left_out = None
    if query_ids is not None and gallery_ids is not None:
        left_out = SameId(
            integers("query_ids", query_ids, len(np.asarray(queries))),
            integers("gallery_ids", gallery_ids, len(gallery if isinstance(gallery, Gallery) else np.asarray(gallery))),
        )
    finder = Finder(queries, gallery, distance=distance, left_out=left_out, engine=engine)
    if not 1 <= k <= finder.fewest:
        raise ValueError(
            f"k must be from 1 to {finder.fewest}, the gallery rows left without the query itself; "
            f"got k={k} with a gallery of {finder.gallery_size} rows"
        )
    return finder.all(k, block_size)


class Finder:
    """Queries and gallery checked and made ready once, then searched block by block.

    For those who reduce each block and drop it, so that no [n, k] table is ever held; others call
    `search`.

    Attributes:
        num_queries, gallery_size: n and m.
        fewest: gallery rows that are not left out, for the query with the fewest.
    """

    def __init__(
        self,
        queries: ArrayLike,
        gallery: ArrayLike | Gallery,
        *,
        distance: str = "cosine",
        left_out: LeftOut | None = None,
        engine: str = "auto",
    ) -> None:
        check_choice(ENGINES, **{"evaluation.engine": engine})
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; got {distance!r}")
        same = queries is gallery
        queries = checked_rows("queries", queries)
        if not isinstance(gallery, Gallery):
            gallery = Gallery(queries if same else gallery, distance)
        if gallery.distance != distance:
            raise ValueError(f"the gallery was made ready for distance {gallery.distance}; got {distance}")
        if queries.shape[1] != gallery.dimensions:
            raise ValueError(
                "queries and gallery must have the same number of dimensions; "
                f"got {queries.shape[1]} and {gallery.dimensions}"
            )
        self.num_queries, self.gallery_size = len(queries), len(gallery)
        self._dot = distance == "dot"
        self._root = distance == "euclidean"
        # Every distance but "dot" is scale * |query - gallery|^2 for suitable rows.
        self._scale = np.ones(len(queries), np.float32)
        if distance == "cosine":
            self._scale[:] = 0.5  # |q - g|^2 = 2 - 2 cos on unit rows, without the cancellation of 1 - cos
            # Without zero rows the two are the same, and a large split need not be held twice.
            alike = same and not gallery.rows[:, -2:].any()
            queries = gallery.rows if alike else unit_rows(queries, spare_axis=0)
        elif distance == "snr":
            queries = without_row_mean(queries)
            signal = np.einsum("nd,nd->n", queries, queries, dtype=np.float64)
            # A constant query has no signal; scale 0 makes all its distances 0, as in
            # metric_learning.distances.
            self._scale[:] = np.divide(1.0, signal, out=np.zeros_like(signal), where=signal > 0)
        self._queries, self._gallery = queries, gallery
        self._left_out, self._engine = left_out, engine
        self.fewest = self.gallery_size - (0 if left_out is None else int(left_out.counts.max(initial=0)))

    def all(self, k: int, block_size: int | None = None) -> Neighbors:
        """`Neighbors` of all queries, as `blocks` yields them."""
        found = Neighbors(np.empty((self.num_queries, k), np.float32), np.empty((self.num_queries, k), np.int64))
        for rows, neighbors in self.blocks(k, block_size):
            found.distances[rows], found.indices[rows] = neighbors
        return found

    def blocks(self, k: int, block_size: int | None = None) -> Iterator[tuple[slice, Neighbors]]:
        """Yields (rows of the queries, their `Neighbors`); index -1 at distance inf where fewer than `k` are there."""
        num_proposed = min(self.gallery_size, k + self.gallery_size - self.fewest + _SPARE)
        block_size = block_size or max(1, min(4096, _BLOCK_CELLS // max(num_proposed, 1)))
        part_size = max(1, _PART_CELLS // max(num_proposed, 1))
        propose = self._proposals()

        def proposals(start):
            block = slice(start, min(start + block_size, self.num_queries))
            moved = self._queries[block] - self._gallery.origin
            bounds, proposed = propose(moved, num_proposed)
            # What was not proposed is at least as far as the last proposal, up to the rounding of the matrix product.
            lengths = np.sqrt(squared_lengths(moved)) + self._gallery.longest
            return block, (bounds - 2.0**-22 * np.sqrt(moved.shape[1]) * lengths**2) * self._scale[block], proposed

        def look_again(rows, *proposals):
            return rows, self._neighbors(np.arange(rows.start, rows.stop), k, *proposals)

        threads = usable_cores()
        with _pool(threads, 1) as pool, _pool(1, faiss.omp_get_max_threads()) as ahead:
            for block, bounds, proposed in one_ahead(proposals, range(0, self.num_queries, block_size), ahead):
                step = min(part_size, max(part_size // 16, -(-len(bounds) // threads)))
                parts = [slice(first, first + step) for first in range(0, len(bounds), step)]
                rows = [slice(block.start + part.start, min(block.start + part.stop, block.stop)) for part in parts]
                look = map if len(parts) == 1 else pool.map
                yield from look(look_again, rows, [bounds[part] for part in parts], [proposed[part] for part in parts])

    def _proposals(self):
        """A function of (queries, k) that gives the distance of the farthest of k near rows, and these rows [b, k]."""
        engine = self._engine
        if engine == "auto":
            on_cpu = self.gallery_size <= 2**18 and self.num_queries * self.gallery_size >= 2**26
            engine = "tensorflow" if on_cpu or tf.config.list_physical_devices("GPU") else "faiss"
        if engine == "tensorflow":
            return TensorFlowProposals(self._gallery.rows, self._dot, origin=self._gallery.origin)
        return self._by_faiss

    def _by_faiss(self, queries, k):
        metric = faiss.METRIC_INNER_PRODUCT if self._dot else faiss.METRIC_L2
        distances, rows = faiss.knn(queries, self._gallery.moved, k, metric)
        return -distances[:, -1] if self._dot else distances[:, -1], rows

    def _neighbors(self, rows, k, bounds, proposed):
        """`Neighbors` [b, k] of the queries in these rows, from proposals [b, p] that all others are behind."""
        keys = self._sorted_keys(rows, proposed)[:, :k]
        if proposed.shape[1] < self.gallery_size:
            unsure = np.flatnonzero(unpacked((keys[:, -1] >> np.uint64(32)).astype(np.uint32)) >= bounds)
            cells = _PART_CELLS if faiss.omp_get_max_threads() == 1 else _BLOCK_CELLS  # of one core, or of all together
            step = max(1, cells // self.gallery_size)
            for chunk in (unsure[i : i + step] for i in range(0, len(unsure), step)):
                everything = np.tile(np.arange(self.gallery_size), (len(chunk), 1))
                keys[chunk] = self._sorted_keys(rows[chunk], everything, k)
        indices = (keys & np.uint64(2**32 - 1)).astype(np.int64)
        distances = unpacked((keys >> np.uint64(32)).astype(np.uint32))
        if k > self.fewest:
            taken = keys == _TAKEN
            indices[taken], distances[taken] = -1, np.inf
        return Neighbors(np.sqrt(distances) if self._root else distances, indices)

    def _sorted_keys(self, rows, candidates, k=None):
        """Distances and gallery rows as one integer per pair, which sorts as (distance, row) do and far faster."""
        queries = np.ascontiguousarray(self._queries[rows])
        distances = np.empty(candidates.shape, np.float32)
        # FAISS leaves these two out of its own stubs.
        pairwise = faiss.fvec_inner_products_by_idx if self._dot else faiss.fvec_L2sqr_by_idx  # type: ignore[attr-defined]
        pairwise(
            faiss.swig_ptr(distances),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self._gallery.rows),
            faiss.swig_ptr(candidates),
            queries.shape[1],
            *candidates.shape,
        )
        distances = -distances if self._dot else distances * self._scale[rows, None]
        keys = packed(distances).astype(np.uint64) << np.uint64(32)
        keys |= candidates.astype(np.uint64)
        if self._left_out is not None:
            keys[self._left_out(rows, candidates)] = _TAKEN
        if k is not None:
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        keys.sort(axis=1)
        return keys


def _pool(threads, threads_of_faiss):
    """Threads in each of which FAISS takes so many of its own."""
    return ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(threads_of_faiss,))


def k_means(rows: ArrayLike, clusters: int, *, spherical: bool = False, seed: int = 0) -> np.ndarray:
    """[n] int64, the cluster of each of the rows [n, D], by FAISS: 20 rounds of k-means from a start drawn by `seed`.

    Args:
        rows: finite numbers; with `spherical` they and the centers are brought to length 1.
        clusters: from 1 to n.
    """
    rows = checked_rows("embeddings", rows)
    if spherical:
        rows = np.ascontiguousarray(unit_rows(rows, spare_axis=0))
    means = faiss.Kmeans(
        rows.shape[1],
        clusters,
        niter=20,
        seed=seed,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    means.train(rows)
    return faiss.knn(rows, means.centroids, 1)[1][:, 0]

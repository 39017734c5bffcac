"""Exact nearest neighbors through FAISS: the only file that knows FAISS.

FAISS proposes a few more neighbors than asked for, from matrix products in float32. Their
distances are then computed again pair by pair, which is exact for equal rows and does not depend on
the blocks; ties go to the lower gallery row. A query where a row that was not proposed might still
belong to the answer is compared with the whole gallery.
"""

from collections.abc import Iterator
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.names import integers
from metric_learning.evaluation.relevance import LeftOut, SameId

DISTANCES = ("cosine", "euclidean", "squared_euclidean", "dot", "snr")

_SPARE = 8  # proposals beyond the k asked for: they show that nothing closer was left out
_BLOCK_CELLS = 2**22  # query-neighbor cells held at once: about 150 MB with all their columns
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
    gallery: ArrayLike,
    k: int,
    *,
    distance: str = "cosine",
    query_ids: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
    block_size: int | None = None,
) -> Neighbors:
    """The `k` nearest gallery rows of every query, exactly, without the query itself.

    A gallery row is "the query itself" if it has the query's id, wherever it stands and however
    many there are; another item with equal embeddings stays. Without ids nothing is left out.

    Equal distances are ordered by gallery row, so the answer does not depend on `block_size` or on
    threads. ("euclidean" is ordered by its square, which tells more rows apart.)

    Args:
        queries: [n, D] finite numbers, computed in float32.
        gallery: [m, D].
        k: neighbors per query, from 1 to what the gallery holds without the query itself.
        distance: a name of `metric_learning.distances`: "cosine" (1 - cos; a zero row is at 1 from
            everything), "euclidean" (|q - g|), "squared_euclidean", "dot" (-q.g) or "snr" (var(q -
            g) / var(q); 0 if q is constant).
        query_ids: [n] integers, which item each query is. Given together with `gallery_ids` or not
            at all.
        gallery_ids: [m] integers.
        block_size: queries handled at once; by default as many as keep the working memory near 150
            MB.

    Returns:
        `Neighbors`, [n, k] each.

    Raises:
        ValueError: a shape, dtype or name that does not fit, NaN or infinite embeddings, or `k`
        outside the range above.
    """
    if (query_ids is None) != (gallery_ids is None):
        raise ValueError("query_ids and gallery_ids must be given together; got only one of them")
    left_out = None
    if query_ids is not None and gallery_ids is not None:
        left_out = SameId(
            integers("query_ids", query_ids, len(np.asarray(queries))),
            integers("gallery_ids", gallery_ids, len(np.asarray(gallery))),
        )
    finder = Finder(queries, gallery, distance=distance, left_out=left_out)
    if not 1 <= k <= finder.fewest:
        raise ValueError(
            f"k must be from 1 to {finder.fewest}, the gallery rows left without the query itself; "
            f"got k={k} with a gallery of {finder.gallery_size} rows"
        )
    found = Neighbors(np.empty((finder.num_queries, k), np.float32), np.empty((finder.num_queries, k), np.int64))
    for rows, neighbors in finder.blocks(k, block_size):
        found.distances[rows], found.indices[rows] = neighbors
    return found


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
        gallery: ArrayLike,
        *,
        distance: str = "cosine",
        left_out: LeftOut | None = None,
    ) -> None:
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; got {distance!r}")
        same = queries is gallery
        queries = _embeddings("queries", queries)
        gallery = queries if same else _embeddings("gallery", gallery)
        if queries.shape[1] != gallery.shape[1]:
            raise ValueError(
                "queries and gallery must have the same number of dimensions; "
                f"got {queries.shape[1]} and {gallery.shape[1]}"
            )
        self.num_queries, self.gallery_size = len(queries), len(gallery)
        self._dot = distance == "dot"
        self._root = distance == "euclidean"
        # Every distance but "dot" is scale * |query - gallery|^2 for suitable rows.
        self._scale = np.ones(len(queries), np.float32)
        if distance == "cosine":
            self._scale[:] = 0.5  # |q - g|^2 = 2 - 2 cos on unit rows, without the cancellation of 1 - cos
            queries, gallery = _unit_rows(queries, spare_axis=0), _unit_rows(gallery, spare_axis=1)
        elif distance == "snr":
            queries, gallery = _without_row_mean(queries), _without_row_mean(gallery)
            signal = np.einsum("nd,nd->n", queries, queries, dtype=np.float64)
            # A constant query has no signal; scale 0 makes all its distances 0, as in
            # metric_learning.distances.
            self._scale[:] = np.divide(1.0, signal, out=np.zeros_like(signal), where=signal > 0)
        self._queries, self._gallery = queries, gallery
        # Moving the origin changes no difference, but short rows keep FAISS's |q|^2 + |g|^2 - 2 q.g
        # from canceling when all embeddings lie close together, as those of an untrained or
        # collapsed encoder do.
        self._origin = np.float32(0) if self._dot else gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._moved_gallery = gallery if self._dot else gallery - self._origin
        self._longest = np.sqrt(_squared_lengths(self._moved_gallery).max(initial=0.0))

        self._left_out = left_out
        self.fewest = self.gallery_size - (0 if left_out is None else int(left_out.counts.max(initial=0)))

    def blocks(self, k: int, block_size: int | None = None) -> Iterator[tuple[slice, Neighbors]]:
        """Yields (rows of the queries, their `Neighbors`); index -1 at distance inf where fewer
        than `k` are available."""
        num_proposed = min(self.gallery_size, k + self.gallery_size - self.fewest + _SPARE)
        block_size = block_size or max(1, min(4096, _BLOCK_CELLS // max(num_proposed, 1)))
        for start in range(0, self.num_queries, block_size):
            rows = slice(start, min(start + block_size, self.num_queries))
            keys = self._search_block(rows, k, num_proposed)
            indices = (keys & np.uint64(2**32 - 1)).astype(np.int64)
            distances = _unpacked((keys >> np.uint64(32)).astype(np.uint32))
            taken = keys == _TAKEN
            indices[taken], distances[taken] = -1, np.inf
            yield rows, Neighbors(np.sqrt(distances) if self._root else distances, indices)

    def _search_block(self, rows, k, num_proposed):
        """[b, k] uint64 keys, ascending."""
        moved = self._queries[rows] - self._origin
        metric = faiss.METRIC_INNER_PRODUCT if self._dot else faiss.METRIC_L2
        proposed_distances, proposed = faiss.knn(moved, self._moved_gallery, num_proposed, metric)
        keys = self._sorted_keys(np.arange(rows.start, rows.stop), proposed)[:, :k]
        if num_proposed == self.gallery_size:
            return keys
        # What was not proposed is at least as far as the last proposal, up to the rounding of the
        # matrix product.
        last = -proposed_distances[:, -1] if self._dot else proposed_distances[:, -1]
        lengths = np.sqrt(_squared_lengths(moved)) + self._longest
        rounding = 2.0**-22 * np.sqrt(moved.shape[1]) * lengths**2
        bound = (last - rounding) * self._scale[rows]
        unsure = np.flatnonzero(_unpacked((keys[:, -1] >> np.uint64(32)).astype(np.uint32)) >= bound)
        step = max(1, _BLOCK_CELLS // self.gallery_size)
        for chunk in (unsure[i : i + step] for i in range(0, len(unsure), step)):
            everything = np.tile(np.arange(self.gallery_size), (len(chunk), 1))
            keys[chunk] = self._sorted_keys(rows.start + chunk, everything, k)
        return keys

    def _sorted_keys(self, rows, candidates, k=None):
        """Distances and gallery rows as one integer per pair, which sorts as (distance, row) do and
        far faster."""
        queries = np.ascontiguousarray(self._queries[rows])
        distances = np.empty(candidates.shape, np.float32)
        # FAISS leaves these two out of its own stubs.
        pairwise = faiss.fvec_inner_products_by_idx if self._dot else faiss.fvec_L2sqr_by_idx  # type: ignore[attr-defined]
        pairwise(
            faiss.swig_ptr(distances),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self._gallery),
            faiss.swig_ptr(candidates),
            queries.shape[1],
            *candidates.shape,
        )
        distances = -distances if self._dot else distances * self._scale[rows, None]
        keys = _packed(distances).astype(np.uint64) << np.uint64(32)
        keys |= candidates.astype(np.uint64)
        if self._left_out is not None:
            keys[self._left_out(rows, candidates)] = _TAKEN
        if k is not None:
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        keys.sort(axis=1)
        return keys


def k_means(rows: ArrayLike, clusters: int, *, spherical: bool = False, seed: int = 0) -> np.ndarray:
    """[n] int64, the cluster of each of the rows [n, D], by FAISS: 20 rounds of k-means from a start drawn by `seed`.

    Args:
        rows: finite numbers; with `spherical` they and the centers are brought to length 1.
        clusters: from 1 to n.
    """
    rows = _embeddings("embeddings", rows)
    if spherical:
        rows = np.ascontiguousarray(_unit_rows(rows, spare_axis=0))
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


def _embeddings(name: str, rows: ArrayLike) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"{name} must have shape [rows, dimensions]; got {list(rows.shape)}")
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    # The sum of squares is not finite if any entry is not, or if float32 cannot hold the distances.
    broken = int(np.count_nonzero(~np.isfinite(4 * _squared_lengths(rows))))
    if broken:
        raise ValueError(
            f"{broken} of {len(rows)} rows of {name} hold NaN, infinity or numbers whose squares overflow float32"
        )
    return rows


def _squared_lengths(rows: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", rows, rows)


def _unit_rows(rows: np.ndarray, spare_axis: int) -> np.ndarray:
    """Rows of length 1, and two axes more on which a zero row gets length 1 as well.

    Zero queries and zero gallery rows lie on different axes: at right angles, cosine distance 1, to
    everything.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None]
    unit = np.zeros((len(rows), rows.shape[1] + 2), np.float32)
    np.divide(rows, lengths, out=unit[:, :-2], where=lengths > 0, casting="same_kind")
    unit[lengths[:, 0] == 0, rows.shape[1] + spare_axis] = 1.0
    return unit


def _without_row_mean(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def _packed(distances: np.ndarray) -> np.ndarray:
    """uint32 that sort as the float32 `distances` do: the sign bit turned, and all bits of negative
    numbers."""
    bits = (distances + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 equal
    return bits ^ np.where(bits >> np.uint32(31), np.uint32(2**32 - 1), np.uint32(2**31))


def _unpacked(bits: np.ndarray) -> np.ndarray:
    """The inverse of `_packed`."""
    return (bits ^ np.where(bits >> np.uint32(31), np.uint32(2**31), np.uint32(2**32 - 1))).view(np.float32)

"""Which gallery rows a query ought to find, and which it must not: by labels, ids, groups and levels."""

import functools
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.names import count_of, integers, joint, numbered
from metric_learning.labels import label_array

_BLOCK_CELLS = 2**24  # pairs of rows compared at once where no count by sorting will do

# A column of the queries and one of the gallery.
Columns: TypeAlias = tuple[np.ndarray, np.ndarray]


class LeftOut(Protocol):
    """The gallery rows that a query must not find."""

    @property
    def counts(self) -> np.ndarray:
        """[n] int64, how many there are of each query."""

    def __call__(self, queries: np.ndarray, candidates: np.ndarray, /) -> np.ndarray:
        """Whether candidates [b, k], gallery rows, are left out for the queries [b], by their rows: [b, k] bool."""


class SameId:
    """Leaves out the gallery rows that share an id with the query: those that are the query itself.

    Args:
        query_ids: [n] integers.
        gallery_ids: [m] integers.
    """

    def __init__(self, query_ids: np.ndarray, gallery_ids: np.ndarray) -> None:
        self._ids = query_ids, gallery_ids
        self.counts = count_of(*self._ids)

    def __call__(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        return _equal(self._ids, queries, candidates)


class Relevance:
    """Of queries and a gallery: what is relevant, how much, and what is left out.

    A row is relevant if it has the query's label, or of several labels at least one. Rows of the query's id are left
    out, and rows of both its label and its group: a person seen again by the same camera proves nothing.

    Args:
        labels, gallery_labels: each [n] or [n, 1] integers or strings, or [n, C] of at least 0: a class a column.
        sizes: n and m, the numbers of queries and of gallery rows.
        ids, gallery_ids: each [n] integers or strings, or both None: then nothing is left out by id.
        groups, gallery_groups: each [n] integers or strings, or both None.
        levels, gallery_levels: each [n, L] integers, the ancestors of a row from the widest to the nearest, or None.

    Attributes:
        relevant: [n] int64, R: the relevant rows that are not left out.
        counts: [n] int64, how many rows are left out.

    Raises:
        ValueError: kinds, shapes or lengths that do not fit.
    """

    def __init__(
        self,
        labels: ArrayLike,
        gallery_labels: ArrayLike,
        sizes: tuple[int, int],
        *,
        ids: ArrayLike | None = None,
        gallery_ids: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        gallery_groups: ArrayLike | None = None,
        levels: ArrayLike | None = None,
        gallery_levels: ArrayLike | None = None,
    ) -> None:
        self._given, self._labels = labels, _labels(labels, gallery_labels, sizes)
        pairs = {"ids": (ids, gallery_ids), "groups": (groups, gallery_groups), "levels": (levels, gallery_levels)}
        for name, (queries, gallery) in pairs.items():
            if (queries is None) != (gallery is None):
                raise ValueError(f"{name} and gallery_{name} must be given together; got only one of them")
        self._ids = _pair("ids", ids, gallery_ids, sizes)
        self._groups = _pair("groups", groups, gallery_groups, sizes)
        self._prefixes = _prefixes(levels, gallery_levels, sizes)
        self._words = _words(self._labels) if self._labels[0].ndim == 2 else []
        count = self._counts_by_comparing if self._words else self._counts_by_sorting
        self.relevant, self.counts, self._at_levels = count()

    @functools.cached_property
    def class_numbers(self) -> Columns:
        """int64 [n] and [m], from 0, equal for rows of equal labels."""
        return joint(*(self._words or [self._labels]))

    @property
    def of_several(self) -> Columns | None:
        """bool [n, C] and [m, C], whether rows have a label, where they may have several."""
        return self._labels if self._words else None

    @functools.cached_property
    def units(self) -> Columns:
        """int64 [n] and [m], from 0: what is drawn again to tell how sure a score is. Classes; of several labels a row,
        which are no partition, items, which are the same where their ids are."""
        if not self._words:
            return self.class_numbers
        if self._ids:
            return joint(self._ids)
        num_queries, gallery_size = len(self._labels[0]), len(self._labels[1])
        return np.arange(num_queries), np.arange(num_queries, num_queries + gallery_size)

    def are_of(self, labels: ArrayLike) -> np.ndarray:
        """[n] bool, whether the labels of the queries are among these.

        Raises:
            ValueError: queries of several labels, or labels of another kind.
        """
        if self._words:
            raise ValueError("known_labels need one label a row; got several")
        queries, given = numbered("labels", self._given, labels)
        return np.isin(queries, given)

    @property
    def at_least(self) -> np.ndarray:
        """[n, L] int64: the gallery rows of gain 1 or more, of 2 or more and so on, what is left out not counted."""
        return self._at_levels if self._prefixes else self.relevant[:, None]

    def hits(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """[b, k] bool, whether candidates are relevant to the queries, both by their rows."""
        if not self._words:
            return _equal(self._labels, queries, candidates)
        shared = np.zeros(candidates.shape, bool)
        for labels, gallery_labels in self._words:
            shared |= (gallery_labels[candidates] & labels[queries, None]) != 0
        return shared

    def gains(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """[b, k] int64: the leading levels that candidates share with the queries; without levels 1 for hits."""
        if not self._prefixes:
            return self.hits(queries, candidates).astype(np.int64)
        return sum((_equal(prefix, queries, candidates) for prefix in self._prefixes), np.zeros(candidates.shape, int))

    def __call__(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """[b, k] bool, whether candidates are left out."""
        left_out = np.zeros(candidates.shape, bool)
        if self._ids:
            left_out |= _equal(self._ids, queries, candidates)
        if self._groups:
            left_out |= _equal(self._groups, queries, candidates) & self.hits(queries, candidates)
        return left_out

    def _counts_by_sorting(self):
        def left_out(*others: Columns) -> Any:
            """Of the rows that agree in the others, those left out: by id, by label and group, less those by both."""
            kin = (self._labels, self._groups)
            by_id = count_of(*joint(self._ids, *others)) if self._ids else 0
            by_group = count_of(*joint(*kin, *others)) if self._groups else 0
            by_both = count_of(*joint(self._ids, *kin, *others)) if self._ids and self._groups else 0
            return by_id + by_group - by_both

        counts = left_out() + np.zeros(len(self._labels[0]), np.int64)
        relevant = count_of(*self._labels) - left_out(self._labels)
        levels = [count_of(*prefix) - left_out(prefix) for prefix in self._prefixes]
        return relevant, counts, np.stack(levels, axis=1) if levels else None

    def _counts_by_comparing(self):
        num_queries, gallery_size = len(self._labels[0]), len(self._labels[1])
        counts, relevant = np.zeros(num_queries, np.int64), np.zeros(num_queries, np.int64)
        levels = np.zeros((num_queries, len(self._prefixes)), np.int64)
        step = max(1, _BLOCK_CELLS // max(gallery_size, 1))
        for start in range(0, num_queries, step):
            rows = slice(start, start + step)
            alike, left_out = np.zeros((2, len(counts[rows]), gallery_size), bool)
            for labels, gallery_labels in self._words:
                alike |= (labels[rows, None] & gallery_labels) != 0
            if self._ids:
                left_out |= self._ids[0][rows, None] == self._ids[1]
            if self._groups:
                left_out |= alike & (self._groups[0][rows, None] == self._groups[1])
            counts[rows] = np.count_nonzero(left_out, axis=1)
            relevant[rows] = np.count_nonzero(alike & ~left_out, axis=1)
            for level, (queries, gallery) in enumerate(self._prefixes):
                levels[rows, level] = np.count_nonzero((queries[rows, None] == gallery) & ~left_out, axis=1)
        return relevant, counts, levels


def _equal(columns: Columns, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    return columns[1][candidates] == columns[0][queries, None]


def _labels(labels, gallery_labels, sizes) -> Columns:
    """Both int64 [n], or both bool [n, C]."""
    arrays = [label_array(each, name) for each, name in ((labels, "labels"), (gallery_labels, "gallery_labels"))]
    if arrays[0].ndim == arrays[1].ndim == 1:
        return _pair("labels", arrays[0], arrays[1], sizes)
    if arrays[0].shape[1:] != arrays[1].shape[1:]:
        shapes = " and ".join(str(list(array.shape)) for array in arrays)
        raise ValueError(f"labels and gallery_labels must both be one a row, or have the same classes; got {shapes}")
    for array, size in zip(arrays, sizes, strict=True):
        if len(array) != size:
            raise ValueError(f"labels must have shape [{size}, classes], one row per row; got {list(array.shape)}")
        if not np.all(array >= 0):
            raise ValueError("labels of several classes a row must be at least 0, and above 0 for its classes")
    first, second = (array > 0 for array in arrays)
    return first, second


def _words(labels: Columns) -> list[Columns]:
    """The bits of [n, C] in uint64 columns, 64 of them in each."""
    padded = (np.pad(rows, ((0, 0), (0, -rows.shape[1] % 64))) for rows in labels)
    queries, gallery = (np.packbits(rows, axis=1).view(np.uint64) for rows in padded)
    return list(zip(queries.T, gallery.T, strict=True))


def _pair(name: str, queries, gallery, sizes) -> Any:
    if queries is None or gallery is None:
        return ()
    queries, gallery = numbered(name, queries, gallery)
    return integers(name, queries, sizes[0]), integers(f"gallery_{name}", gallery, sizes[1])


def _prefixes(levels, gallery_levels, sizes) -> list[Columns]:
    """For each depth the columns of numbers that are equal where all levels down to it are."""
    if levels is None:
        return []
    arrays = [np.asarray(levels), np.asarray(gallery_levels)]
    for name, array, size in zip(("levels", "gallery_levels"), arrays, sizes, strict=True):
        if array.ndim != 2 or len(array) != size or array.shape[1] < 1 or not np.can_cast(array.dtype, np.int64):
            raise ValueError(f"{name} must be integers [{size}, L]; got {array.dtype} {list(array.shape)}")
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ValueError(f"levels and gallery_levels must be equally many; got {[each.shape[1] for each in arrays]}")
    columns = list(zip(*(array.astype(np.int64).T for array in arrays), strict=True))
    return [joint(*columns[: depth + 1]) for depth in range(len(columns))]

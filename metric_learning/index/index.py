"""A gallery to be searched: vectors with ids, labels and whatever else is known, exact unless told otherwise."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.data.items import some
from metric_learning.distances import check_distance
from metric_learning.evaluation.search import Neighbors
from metric_learning.evaluation.vector_files import write_parquet
from metric_learning.index.approximate_search import ApproximateSearch, check_kind, read_or_build
from metric_learning.index.columns import as_kept, check_ids, check_lengths
from metric_learning.index.exact_search import ExactSearch
from metric_learning.index.folder import ABOUT, check_unchanged, claimed, remove_others, written
from metric_learning.index.shard import Hit, Shard, ShardedRows, fitting_rows, hits_of
from metric_learning.whole_files import write_json

VERSION = 1
_KEPT = ("dimensions", "distance", "encoder", "kind", "recall", "threshold", "chosen_on")


class Index:
    """Vectors to be searched by the distance of the encoder that made them.

    Args:
        dimensions: D.
        distance: see `metric_learning.distances`.
        encoder: fingerprint of the encoder, see `metric_learning.load`; None: any.
        kind: "exact"; or an approximation, "ivf", "hnsw", "pq", "sq8", "binary", or a factory string of FAISS, such as
            "IVF256,SQ8". Its candidates are compared by their exact distance, and its `recall` is measured.

    Attributes:
        recall: of an approximate index, the share of the 10 nearest that it finds, on up to 1,000 of its own rows as
            queries, each without itself; None of an exact one.
        threshold: up to which distance `match` takes an item for the same; None: not calibrated yet.
        chosen_on: what that was chosen for and on, in words; None: nothing is known of it.

    Raises:
        ValueError: another distance, an approximate index of distance=snr, which is no distance that FAISS has.

    Example:
        >>> index = Index(2, "euclidean")
        >>> index.add([[0.0, 0.0], [3.0, 4.0]], ["origin", "corner"])
        >>> [[(hit.id, hit.distance) for hit in hits] for hits in index.search([[3.0, 0.0]], k=2)]
        [[('origin', 3.0), ('corner', 4.0)]]
    """

    def __init__(
        self, dimensions: int, distance: str = "cosine", *, encoder: str | None = None, kind: str = "exact"
    ) -> None:
        check_distance(distance)
        check_kind(kind, dimensions, distance)
        self.dimensions = dimensions
        self.distance = distance
        self.encoder = encoder
        self.kind = kind
        self.recall: float | None = None
        self.threshold: float | None = None
        self.chosen_on: str | None = None
        self._shards: list[Shard] = []
        self._place: dict[str, int] = {}  # id -> its row
        self._exactly: Any = None  # while there are rows
        self._approximately: ApproximateSearch | None = None  # once it is needed
        self._learned: Path | None = None  # where that is kept
        self._known: dict[str, str | None] = {}  # folder -> what it was read or written there as, see `written`

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, id: object) -> bool:
        return id in self._place

    def __repr__(self) -> str:
        return f"<Index of {len(self):,} rows of {self.dimensions} dimensions, {self.distance}, {self.kind}>"

    @property
    def ids(self) -> list[str]:
        """Of all rows, in the order in which they were added."""
        return [id for shard in self._shards for id in shard.ids]

    @property
    def rows(self) -> ShardedRows:
        """The vectors of all rows."""
        return ShardedRows([shard.vectors for shard in self._shards], self.dimensions)

    def add(
        self,
        vectors: ArrayLike,
        ids: Sequence[object],
        *,
        labels: Sequence[object] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Adds rows, all or none.

        Args:
            vectors: [n, D] finite numbers; with distance=cosine none of them zero, which has no direction.
            ids: [n], kept as texts, each in the index once.
            labels: [n], what the items are, kept as texts; None or NaN where that is not known.
            metadata: [n] dicts of what JSON can hold, also as NumPy has it.

        Raises:
            ValueError: shapes or lengths that do not fit, numbers that are not finite, zero rows, ids that are there;
                and as `as_kept`.
        """
        known: Any = as_kept(ids, labels, metadata)
        rows = fitting_rows("vectors", vectors, self.dimensions, self.distance, known["ids"])
        check_lengths(known, len(rows), "vectors")
        check_ids(known["ids"], self)
        columns: Any = {name: [None] * len(rows) if each is None else each for name, each in known.items()}
        self._shards.append(Shard(rows, **columns))
        self._changed()

    def remove(self, ids: Iterable[object]) -> None:
        """Removes rows by id, all or none.

        Raises:
            ValueError: an id that is not there.
        """
        gone = set(as_kept(ids)["ids"] or ())
        unknown = sorted(gone - self._place.keys())
        if unknown:
            raise ValueError(f"ids must be in the index; {len(unknown)} are not {some(unknown)}")
        kept = []
        for shard in self._shards:
            rows = np.array([row for row, id in enumerate(shard.ids) if id not in gone], np.int64)
            kept.append(shard if len(rows) == len(shard.ids) else shard.take(rows))
        self._shards = [shard for shard in kept if shard.ids]
        self._changed()

    def merge(self, other: Index) -> None:
        """Adds all rows of another index of the same encoder.

        Raises:
            ValueError: another distance, dimension or encoder; ids that are in both.
        """
        for name in ("dimensions", "distance", "encoder"):
            if getattr(self, name) != getattr(other, name):
                mine, its = getattr(self, name), getattr(other, name)
                raise ValueError(f"indexes to be merged must be of one {name}; got {mine} and {its}")
        twice = sorted(self._place.keys() & other._place.keys())
        if twice:
            raise ValueError(f"ids must be unique; {len(twice)} are in both {some(twice)}")
        self._shards += other._shards
        self._changed()

    def search(self, queries: ArrayLike, k: int = 10) -> list[list[Hit]]:
        """The k nearest rows of each query, nearest first; of equally near ones the one that was added first.

        Args:
            queries: [q, D], see `add`.
            k: at least 1; where the index has fewer rows, all of them are found.

        Raises:
            ValueError: an empty index, k below 1, queries that do not fit.
        """
        return self.hits(self.search_rows(queries, k))

    def hits(self, found: Neighbors) -> list[list[Hit]]:
        """What is known of the rows of `Neighbors`."""
        return hits_of(self._shards, found.indices, found.distances)

    def match(self, queries: ArrayLike, threshold: float | None = None) -> list[Hit | None]:
        """The nearest row of each query, or None, no match, if it is farther than the threshold.

        Args:
            queries: [q, D], see `add`.
            threshold: None: that of the index, as `calibrate` has found it.

        Raises:
            ValueError: there is none or it is no distance; and as `search`.
        """
        limit = self.threshold if threshold is None else threshold
        if limit is None:
            raise ValueError("match needs a threshold, and this index has none; calibrate, or give one")
        if not limit >= (-np.inf if self.distance == "dot" else 0):
            raise ValueError(f"threshold must be a {self.distance} distance, which is no number below 0; got {limit}")
        return [hit if hit.distance <= limit else None for (hit,) in self.search(queries, k=1)]

    def search_rows(self, queries: ArrayLike, k: int = 10) -> Neighbors:
        """As `search`, as arrays: distances float32 [q, k] and numbers of rows int64 [q, k], in the order of `ids`."""
        if not len(self):
            raise ValueError("the index is empty; add rows before searching it")
        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}")
        rows = fitting_rows("queries", queries, self.dimensions, self.distance)
        find = self._exactly if self.kind == "exact" else self._approximation()
        return find(rows, min(k, len(self)))

    def take_threshold(self, encoder: Any) -> None:
        """Takes the threshold that the run of an `Encoder` was calibrated to last, and what that was chosen on."""
        self.threshold, self.chosen_on = (encoder.calibration.get(name) for name in ("threshold", "chosen_on"))

    def save(self, folder: str | Path, *, replace: bool = False, learn: bool = True) -> None:
        """Writes the index; only what has changed since it was read from there, and so that a kill leaves the old one.

        Args:
            folder: of this index alone; from then on its vectors are mapped from there, as after `load`.
            replace: write over whatever index is there.
            learn: also what FAISS learns of an approximate index; False: that is left to the first search.

        Raises:
            ValueError: the folder holds something else, or what others have written or are writing.
        """
        folder = Path(folder).expanduser()
        with claimed(folder):
            if not replace:
                check_unchanged(folder, self.known(folder))
            about: dict[str, Any] = {"version": VERSION, "shards": [shard.save(folder) for shard in self._shards]}
            if self.kind != "exact" and len(self) and (learn or self._learned):
                approximation = self._approximation()
                if self._learned is None or self._learned.parent != folder:
                    self._learned = folder / f"learned-{uuid.uuid4().hex}.faiss"
                    approximation.save(self._learned)
                about["learned"] = self._learned.name
            about |= {name: np.asarray(getattr(self, name)).tolist() for name in _KEPT}  # also numbers of NumPy
            write_json(folder / ABOUT, about)  # from here on it is the new one
            self._known[os.path.realpath(folder)] = written(folder)
            remove_others(folder, {*about["shards"], about.get("learned")} - {None})

    def known(self, folder: str | Path) -> str | None:
        """As which it was last read or written there, see `metric_learning.index.folder.written`."""
        return self._known.get(os.path.realpath(folder))

    def to_parquet(self, path: str | Path) -> None:
        """Writes id, vector (`features`), and label and metadata (JSON) if there are any, see `write_parquet`."""
        texts = [shard.texts() for shard in self._shards]
        known = [name for name in ("label", "metadata") if any(set(each[name]) - {None} for each in texts)]
        vectors = (shard.vectors for shard in self._shards)
        write_parquet(path, self.dimensions, ["id", *known], zip(vectors, texts, strict=True))

    @classmethod
    def load(cls, folder: str | Path, encoder: Any = None) -> Index:
        """The index in a folder; its vectors are mapped from their files, not read.

        It keeps the threshold that it was saved with, and warns if the encoder was calibrated anew since; one without a
        threshold takes that of the encoder.

        Args:
            folder: see `save`.
            encoder: `Encoder` that is to be used with it; None: not checked.

        Raises:
            ValueError: no index, a damaged one, or one of another encoder.
        """
        folder = Path(folder).expanduser()
        text = written(folder)
        if text is None:
            raise ValueError(f"there is no index in {folder}, which would have an {ABOUT}")
        try:
            about = json.loads(text)
            if about["version"] != VERSION:
                raise ValueError(f"its version is {about['version']}, not {VERSION}")
            index = cls(about["dimensions"], about["distance"], encoder=about["encoder"], kind=about["kind"])
            index._shards = [Shard.load(folder, name, index.dimensions) for name in about["shards"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, FileNotFoundError) and written(folder) not in (None, text):
                return cls.load(folder, encoder)  # saved by another process between two of these files
            raise ValueError(f"the index in {folder} is damaged: {error}") from error
        if encoder is not None and index.encoder not in (None, encoder.fingerprint):
            raise ValueError(f"the index in {folder} is not of the encoder in {encoder.folder}; embed its items again")
        index._known[os.path.realpath(folder)] = text
        index._changed()
        index.recall, index.threshold, index.chosen_on = about["recall"], about["threshold"], about.get("chosen_on")
        of_run = None if encoder is None else encoder.calibration.get("threshold")
        if index.threshold is None and encoder is not None:
            index.take_threshold(encoder)
        elif of_run not in (None, index.threshold):
            warnings.warn(
                f"the index in {folder} keeps its threshold {index.threshold:.4f}; that of its run is now {of_run:.4f}",
                stacklevel=2,
            )
        index._learned = folder / about["learned"] if about.get("learned") else None
        return index

    def _changed(self) -> None:
        self._place = {id: row for row, id in enumerate(self.ids)}
        self._approximately = self.recall = self._learned = None
        self._exactly = ExactSearch(self.rows, self.distance) if self._shards else None

    def _approximation(self) -> ApproximateSearch:
        """Built, or read where `save` has left it, once it is needed."""
        if self._approximately is None:
            what = self.rows, self.distance, self.kind, self._exactly, self._learned
            self._approximately, was_read = read_or_build(*what)
            if not was_read:
                self._learned = self.recall = None
        if self.recall is None:
            self.recall = self._approximately.recall()
        return self._approximately

"""From embeddings and labels to scores: search, hit table, metrics, one block of queries at a
time."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.choice import DEFAULT, choose
from metric_learning.evaluation.clustering import clustering
from metric_learning.evaluation.geometry import geometry
from metric_learning.evaluation.intervals import by_class, intervals
from metric_learning.evaluation.relevance import Relevance
from metric_learning.evaluation.rerank import DEPTH, RerankedFinder, expand_queries
from metric_learning.evaluation.search import Finder, Neighbors
from metric_learning.evaluation.verification import verification


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        scores: the chosen metrics: means over the queries that have positives (floats in [0, 1]), what belongs to no
            query, such as "clustering/nmi", and the counts "queries" (all of them) and "queries_without_positives"
            (ints).
        per_query: the means' metrics as [n] float64 columns, NaN for queries without positives; for intervals and for
            finding failures.
        neighbors: the first `keep` neighbors of each query, for pictures.
        classes: [n] int64, equal for queries of equal labels.
        bounds: 95 % intervals of the scores that are no means.
        labels: where rows may have several labels [n, C] bool, whether a query has them; else None.
    """

    scores: Mapping[str, float]
    per_query: Mapping[str, np.ndarray]
    neighbors: Neighbors
    classes: np.ndarray
    bounds: Mapping[str, tuple[float, float]]
    labels: np.ndarray | None = None

    def intervals(self, over: str = "classes", resamples: int = 1000) -> dict[str, tuple[float, float]]:
        """95 % intervals of all scores but the counts: name -> (low, high), see `metric_learning.evaluation.intervals`.

        Args:
            over: "classes", which are drawn again with their queries; or "queries", where the classes are given. Of
                several labels a row queries are drawn in either case: their classes overlap.
            resamples: how often.
        """
        classes = self.classes
        if self.labels is not None:
            over, classes = "queries", self.labels
        found = intervals(self.per_query, classes, over=over, resamples=resamples)
        macro = {name.removeprefix("macro/"): name for name in self.scores if name.startswith("macro/")}
        if macro:
            columns = {name: self.per_query[name] for name in macro}
            means = intervals(columns, classes, over=over, macro=True, resamples=resamples)
            found |= {macro[name]: interval for name, interval in means.items()}
        found |= self.bounds
        return {name: found[name] for name in self.scores if name in found}

    def by_class(self) -> dict[str, np.ndarray]:
        """The table by class: "class" [C] as in `classes`, "queries" [C], and the mean of each metric [C], NaN where no
        query counts. Of several labels a row "class" is the column of a label that a query has, and a query counts in
        each of its classes."""
        if self.labels is None:
            values, numbers = np.unique(self.classes, return_inverse=True)
            members = numbers.reshape(-1)
            sizes = np.bincount(members)
        else:
            values = np.flatnonzero(self.labels.any(axis=0))
            members = self.labels[:, values]
            sizes = np.count_nonzero(members, axis=0)
        table = np.stack(list(self.per_query.values()), axis=1)
        counted = ~np.isnan(table)
        sums, counts = by_class(np.where(counted, table, 0.0), members), by_class(counted, members)
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return {"class": values, "queries": sizes} | dict(zip(self.per_query, means.T, strict=True))


def evaluate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    levels: ArrayLike | None = None,
    gallery_embeddings: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
    gallery_groups: ArrayLike | None = None,
    gallery_levels: ArrayLike | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    metrics: Sequence[str] = DEFAULT,
    known_labels: ArrayLike | None = None,
    distance: str = "cosine",
    keep: int = 8,
    engine: str = "auto",
    block_size: int | None = None,
    expand: int = 0,
    rerank: bool = False,
) -> Evaluation:
    """How well nearest neighbors find the rows of the same label.

    Without a gallery each row is a query against all the others (leave-one-out): itself is removed by id, here its
    position unless `ids` says otherwise. With a gallery, rows that share an id with the query are removed if there are
    ids, which both sides must have then, and nothing is removed if not. Groups, such as the camera, remove besides, of
    a query, the rows of both its label and its group (the rule of person re-identification).

    The search goes as deep as the metrics need: max(R, ks), R being the largest number of relevant rows of a query, so
    that R-precision and MAP@R are exact, and MRR is that of so many neighbors, however deep others go; "map" and "minp"
    look at whole rankings. Memory: the embeddings a few times over, and a block.

    Of several labels a row, classes overlap: "macro" is the mean over labels, a query counting in each of its own;
    intervals come of drawing queries; "clustering", which compares two partitions, is refused, and "geometry" goes
    without alignment, which is of pairs of one class.

    Args:
        embeddings: [n, D] finite numbers.
        labels: [n] or [n, 1] integers or strings, the class of each row; or of several classes a row [n, C], above 0
            for those it has, and then rows that share one are relevant.
        ids: [n] integers or strings, which item each row is; rows with equal ids never find each other.
        groups: [n] integers or strings; rows with equal label and group never find each other.
        levels: [n, L] integers, the ancestors of a row from the widest to the nearest, such as its kingdom, family and
            species. Graded relevance: the gain of a row is the number of leading levels that it shares with the query.
        gallery_embeddings: [m, D], searched instead of `embeddings`.
        gallery_labels: [m] as the labels, required with a gallery.
        gallery_ids, gallery_groups, gallery_levels: as those of the queries, of the m rows of the gallery.
        ks: the k of recall@k and of all others, each from 1 to the gallery size without the query.
        metrics: names, see `metric_learning.evaluation.choice.NAMES`; "recall@k" is of all ks, "ndcg@10" of one.
            "macro" adds means over classes, of the means over their queries, as "macro/recall@1".
        known_labels: the classes that were seen in training; adds "known/recall@1" and "unseen/recall@1" and so on, if
            there are queries of both. Of one class a row only.
        distance: see `search`.
        keep: neighbors per query to return; fewer if the gallery is smaller, or `rerank` looks at fewer. Changes no
            score.
        engine: see `search`; changes nothing but time.
        block_size: see `search`; changes nothing but memory and time.
        expand: search with queries that are moved towards so many of what they find, see `expand_queries`; 0: as they
            are.
        rerank: bring what is found into a new order, see `k_reciprocal`, which takes minutes for a hundred thousand.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: arguments that do not fit, a k larger than the gallery, no query with anything to find, or
            clustering of several labels a row.

    Example:
        >>> found = evaluate([[0, 9], [1, 9], [9, 0], [9, 3]], [7, 7, 8, 7], ks=(1, 2))
        >>> found.scores["recall@1"], found.scores["recall@2"], found.scores["queries_without_positives"]
        (0.6666666666666666, 1.0, 1)
    """
    embeddings = np.asarray(embeddings)
    own = {"ids": ids, "groups": groups, "levels": levels}
    others = {"gallery_ids": gallery_ids, "gallery_groups": gallery_groups, "gallery_levels": gallery_levels}
    if gallery_embeddings is None:
        if gallery_labels is not None or any(column is not None for column in others.values()):
            raise ValueError(f"gallery_labels, {', '.join(others)} need gallery_embeddings; got None")
        own["ids"] = np.arange(len(embeddings)) if ids is None else ids
        gallery_embeddings, gallery_labels = embeddings, labels  # the same object: prepared once
        others = {f"gallery_{name}": column for name, column in own.items()}
    elif gallery_labels is None:
        raise ValueError("gallery_embeddings need gallery_labels; got None")
    sizes = len(embeddings), len(np.asarray(gallery_embeddings))
    relevance = Relevance(labels, gallery_labels, sizes, **own, **others)
    queries: Any = embeddings
    if expand:
        options: dict[str, Any] = {"neighbors": expand, "distance": distance, "left_out": relevance}
        queries = expand_queries(embeddings, gallery_embeddings, **options)
    finder: Any = Finder(queries, gallery_embeddings, distance=distance, left_out=relevance, engine=engine)
    if rerank:
        finder = RerankedFinder(finder, queries, gallery_embeddings, distance)

    fewest = finder.fewest
    choice = choose(metrics, ks)
    _check_ks(ks, choice.at_k, fewest, finder.gallery_size)
    if relevance.of_several is not None and "clustering" in choice.whole:
        raise ValueError("metrics=[clustering] needs one label a row, as clusters do not overlap; got rows of several")
    relevant, num_queries = relevance.relevant, finder.num_queries
    if not relevant.any():
        raise ValueError(f"none of the {num_queries} queries has another row of its label in the gallery to find")
    known = None if known_labels is None else relevance.are_of(known_labels)

    largest_r = int(relevant.max())
    depth = choice.depth(largest_r, finder.gallery_size)
    keep = min(keep, fewest, max(depth, DEPTH) if rerank else keep)  # a deeper look would change the new order
    kept = Neighbors(np.empty((num_queries, keep), np.float32), np.empty((num_queries, keep), np.int64))
    columns: dict[str, np.ndarray] = {}
    for rows, found in finder.blocks(max(depth, keep), block_size):
        numbers = np.arange(rows.start, rows.stop)
        # Index -1, where a query has fewer rows left than the search is deep, reads a wrong label; but it stands behind
        # all R of them and beyond the ks.
        hits = relevance.hits(numbers, found.indices)
        if found.indices.shape[1] > fewest:
            hits &= found.indices >= 0
        gains = functools.partial(relevance.gains, numbers, found.indices)
        for name, values in choice.columns(hits, relevant[rows], gains, relevance.at_least[rows], largest_r).items():
            columns.setdefault(name, np.empty(num_queries))[rows] = values
        kept.distances[rows], kept.indices[rows] = (
            found.distances[:, :keep],
            found.indices[:, :keep],
        )
    if known is not None and known.any() and not known.all():
        for part, there in (("known", known), ("unseen", ~known)):
            columns |= {f"{part}/{name}": np.where(there, column, np.nan) for name, column in _plain(columns).items()}

    scores: dict[str, float] = {name: _mean(values) for name, values in columns.items()}
    bounds: dict[str, tuple[float, float]] = {}
    of_several = None if relevance.of_several is None else relevance.of_several[0]
    evaluation = Evaluation(scores, columns, kept, relevance.class_numbers[0], bounds, of_several)
    if "macro" in choice.whole:
        table = evaluation.by_class()
        scores |= {f"macro/{name}": _mean(table[name]) for name in _plain(columns)}
    for name, found_whole in _whole(choice.whole, embeddings, gallery_embeddings, relevance, distance).items():
        scores[name], bounds[name] = found_whole
    scores["queries"] = num_queries
    scores["queries_without_positives"] = int(np.count_nonzero(relevant == 0))
    return evaluation


def _plain(columns):
    return {name: column for name, column in columns.items() if "/" not in name}


def _mean(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _check_ks(ks, at_k, fewest, gallery_size):
    most = f"from 1 to {fewest}, the gallery rows left without the query itself; got"
    if not ks or min(ks) < 1 or max(ks) > fewest:
        raise ValueError(f"ks must be {most} {tuple(ks)} with a gallery of {gallery_size} rows")
    beyond = [f"{name}@{k}" for name, k in at_k if k > fewest]
    if beyond:
        raise ValueError(f"metrics must have a k {most} {', '.join(beyond)} with a gallery of {gallery_size} rows")


def _whole(kinds, embeddings, gallery, relevance, distance):
    """Names of scores that belong to no query, with (score, 95 % interval)."""
    found: dict[str, Any] = {}
    if "clustering" in kinds:
        of_clusters = clustering(embeddings, relevance.units[0], distance)
        found |= {f"clustering/{name}": score for name, score in of_clusters.items()}
    if "verification" in kinds:
        of_pairs = verification(embeddings, np.asarray(gallery), relevance, distance)
        found |= {f"verification/{name}": score for name, score in of_pairs.items()}
    if "geometry" in kinds:
        of_rows = geometry(embeddings, relevance.units[0])
        if relevance.of_several is not None:
            del of_rows["alignment"]
        found |= {f"geometry/{name}": score for name, score in of_rows.items()}
    return found

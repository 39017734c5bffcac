"""From embeddings and labels to scores: search, hit table, metrics, one block of queries at a
time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation import metrics
from metric_learning.evaluation.relevance import Relevance
from metric_learning.evaluation.search import Finder, Neighbors


class Evaluation(NamedTuple):
    """What `evaluate` found.

    scores: means over the queries that have positives, keys "recall@<k>" for each of ks,
        "precision@1", "r_precision", "map@r", "mrr" (floats in [0, 1]), and the counts "queries"
        (all of them) and "queries_without_positives" (ints).
    per_query: the same metrics as [n] float64 columns, NaN for queries without positives; for intervals and for
        finding failures.
    neighbors: the first `keep` neighbors of each query, for pictures.
    """

    scores: Mapping[str, float]
    per_query: Mapping[str, np.ndarray]
    neighbors: Neighbors


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
    distance: str = "cosine",
    keep: int = 8,
    block_size: int | None = None,
) -> Evaluation:
    """How well nearest neighbors find the rows of the same label.

    Without a gallery each row is a query against all the others (leave-one-out): itself is removed
    by id, here its position unless `ids` says otherwise. With a gallery, rows that share an id with
    the query are removed if ids are given for both, and nothing is removed if not. Groups, such as the camera, remove
    besides, of a query, the rows of both its label and its group (the rule of person re-identification).

    The search goes max(R, ks) deep, R being the largest number of relevant rows of a query, so that
    R-precision and MAP@R are exact, and MRR is cut only beyond that depth. Memory: the embeddings a
    few times over, and a block.

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
        ks: the k of recall@k, each from 1 to the gallery size without the query.
        distance: see `search`.
        keep: neighbors per query to return; fewer if the gallery is smaller.
        block_size: see `search`; changes nothing but memory and time.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: arguments that do not fit, a k larger than the gallery, or no query with
            anything to find.

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
    finder = Finder(embeddings, gallery_embeddings, distance=distance, left_out=relevance)

    fewest = finder.fewest
    ks = tuple(ks)
    if not ks or min(ks) < 1 or max(ks) > fewest:
        raise ValueError(
            f"evaluation.ks must be from 1 to {fewest}, the gallery rows left without the query "
            f"itself; got {ks} with a gallery of {finder.gallery_size} rows"
        )
    relevant, num_queries = relevance.relevant, finder.num_queries
    if not relevant.any():
        raise ValueError(f"none of the {num_queries} queries has another row of its label in the gallery to find")

    keep = min(keep, fewest)
    kept = Neighbors(np.empty((num_queries, keep), np.float32), np.empty((num_queries, keep), np.int64))
    columns: dict[str, np.ndarray] = {}
    for rows, found in finder.blocks(max(int(relevant.max()), *ks, keep), block_size):
        # Index -1, where a query has fewer rows left than the search is deep, reads a wrong label; but it stands behind
        # all R of them and beyond the ks, where no metric looks.
        hits = relevance.hits(np.arange(rows.start, rows.stop), found.indices)
        for name, values in _columns(hits, relevant[rows], ks).items():
            columns.setdefault(name, np.empty(num_queries))[rows] = values
        kept.distances[rows], kept.indices[rows] = (
            found.distances[:, :keep],
            found.indices[:, :keep],
        )

    scores: dict[str, float] = {name: float(np.nanmean(values)) for name, values in columns.items()}
    scores["queries"] = num_queries
    scores["queries_without_positives"] = int(np.count_nonzero(relevant == 0))
    return Evaluation(scores, columns, kept)


def _columns(hits, relevant, ks):
    columns = {f"recall@{k}": metrics.recall_at_k(hits, relevant, k) for k in ks}
    columns["precision@1"] = metrics.precision_at_1(hits, relevant)
    columns["r_precision"] = metrics.r_precision(hits, relevant)
    columns["map@r"] = metrics.map_at_r(hits, relevant)
    columns["mrr"] = metrics.mean_reciprocal_rank(hits, relevant)
    return columns

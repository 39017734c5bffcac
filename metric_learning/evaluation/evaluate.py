"""From embeddings and labels to scores: search, hit table, metrics, one block of queries at a
time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation import metrics
from metric_learning.evaluation.names import numbered
from metric_learning.evaluation.search import Finder, Neighbors, count_of, integers


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
    gallery_embeddings: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    gallery_groups: ArrayLike | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    distance: str = "cosine",
    keep: int = 8,
    block_size: int | None = None,
) -> Evaluation:
    """How well nearest neighbors find the rows of the same label.

    Without a gallery each row is a query against all the others (leave-one-out): itself is removed
    by id, here its position unless `ids` says otherwise. With a gallery, rows that share an id with
    the query are removed if ids are given for both, and nothing is removed if not.

    The search goes max(R, ks) deep, R being the largest number of relevant rows of a query, so that
    R-precision and MAP@R are exact, and MRR is cut only beyond that depth. Memory: the embeddings a
    few times over, and a block.

    Args:
        embeddings: [n, D] finite numbers.
        labels: [n] or [n, 1] integers or strings, the class of each row.
        ids: [n] integers or strings, which item each row is; rows with equal ids never find each other.
        gallery_embeddings: [m, D], searched instead of `embeddings`.
        gallery_labels: [m] as the labels, required with a gallery.
        gallery_ids: [m] as the ids, required with a gallery if there are ids.
        groups: [n] integers or strings, such as the camera of each row; rows of the query's label and group are
            removed, as is the custom in re-identification: another picture by the same camera is too easy to find. An
            item has one label and one group, so that it never finds itself.
        gallery_groups: [m] as the groups, required with a gallery if there are groups.
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
    if gallery_embeddings is None:
        if any(each is not None for each in (gallery_labels, gallery_ids, gallery_groups)):
            raise ValueError("gallery_labels, gallery_ids and gallery_groups need gallery_embeddings; got None")
        (labels,) = numbered("labels", labels)
        (ids,) = numbered("ids", np.arange(len(embeddings)) if ids is None else ids)
        gallery_embeddings, gallery_labels, gallery_ids, gallery_groups = embeddings, labels, ids, groups
    elif gallery_labels is None:
        raise ValueError("gallery_embeddings need gallery_labels; got None")
    else:
        labels, gallery_labels = numbered("labels", labels, gallery_labels)
        if ids is not None and gallery_ids is not None:
            ids, gallery_ids = numbered("ids", ids, gallery_ids)
    if (groups is None) != (gallery_groups is None):
        raise ValueError("groups and gallery_groups must be given together; got only one of them")
    if groups is not None and gallery_groups is not None:
        ids, gallery_ids = _by_label_and_group(labels, groups, ids, gallery_labels, gallery_groups, gallery_ids)
    labels = integers("labels", labels, len(embeddings))
    finder = Finder(embeddings, gallery_embeddings, distance=distance, query_ids=ids, gallery_ids=gallery_ids)
    gallery_labels = integers("gallery_labels", gallery_labels, finder.gallery_size)

    fewest = finder.fewest
    ks = tuple(ks)
    if not ks or min(ks) < 1 or max(ks) > fewest:
        raise ValueError(
            f"evaluation.ks must be from 1 to {fewest}, the gallery rows left without the query "
            f"itself; got {ks} with a gallery of {finder.gallery_size} rows"
        )
    relevant = _relevant(labels, gallery_labels, ids, gallery_ids)
    if not relevant.any():
        raise ValueError(f"none of the {len(labels)} queries has another row of its label in the gallery to find")

    keep = min(keep, fewest)
    kept = Neighbors(np.empty((len(labels), keep), np.float32), np.empty((len(labels), keep), np.int64))
    columns: dict[str, np.ndarray] = {}
    for rows, found in finder.blocks(max(int(relevant.max()), *ks, keep), block_size):
        # Index -1, where a query has fewer rows left than the search is deep, reads a wrong label; but it stands behind
        # all R of them and beyond the ks, where no metric looks.
        hits = gallery_labels[found.indices] == labels[rows, None]
        for name, values in _columns(hits, relevant[rows], ks).items():
            columns.setdefault(name, np.empty(len(labels)))[rows] = values
        kept.distances[rows], kept.indices[rows] = (
            found.distances[:, :keep],
            found.indices[:, :keep],
        )

    scores: dict[str, float] = {name: float(np.nanmean(values)) for name, values in columns.items()}
    scores["queries"] = len(labels)
    scores["queries_without_positives"] = int(np.count_nonzero(relevant == 0))
    return Evaluation(scores, columns, kept)


def _columns(hits, relevant, ks):
    columns = {f"recall@{k}": metrics.recall_at_k(hits, relevant, k) for k in ks}
    columns["precision@1"] = metrics.precision_at_1(hits, relevant)
    columns["r_precision"] = metrics.r_precision(hits, relevant)
    columns["map@r"] = metrics.map_at_r(hits, relevant)
    columns["mrr"] = metrics.mean_reciprocal_rank(hits, relevant)
    return columns


def _by_label_and_group(labels, groups, ids, gallery_labels, gallery_groups, gallery_ids):
    """([n], [m]) numbers that are equal where label and group are: rows of one number never find each other."""
    groups, gallery_groups = numbered("groups", groups, gallery_groups)
    groups = integers("groups", groups, len(labels))
    gallery_groups = integers("gallery_groups", gallery_groups, len(gallery_labels))
    both = np.concatenate([np.stack([labels, groups], 1), np.stack([gallery_labels, gallery_groups], 1)])
    numbers = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    if ids is not None and gallery_ids is not None:
        items = np.concatenate([ids, gallery_ids])
        pairs = np.unique(np.stack([items, numbers], 1), axis=0)
        if len(pairs) > len(np.unique(items)):
            raise ValueError("ids must stand for items of one label and one group; got an id with several")
    return numbers[: len(labels)], numbers[len(labels) :]


def _relevant(labels, gallery_labels, ids, gallery_ids):
    """[n] int64, R: the gallery rows with the query's label, less those that are the query
    itself."""
    relevant = count_of(labels, gallery_labels)
    if ids is None:
        return relevant
    # Each pair of id and label as one number, to count the rows that are the query itself and carry
    # its label.
    both = np.concatenate([np.stack([ids, labels], 1), np.stack([gallery_ids, gallery_labels], 1)])
    pairs = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    return relevant - count_of(pairs[: len(labels)], pairs[len(labels) :])

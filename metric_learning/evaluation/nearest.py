"""What decisions by a threshold are made of: how far the nearest item is, and whether it is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.names import count_of, numbered
from metric_learning.evaluation.relevance import Relevance, SameId
from metric_learning.evaluation.search import Finder


class Nearest(NamedTuple):
    """What decisions are made of, for each of n queries.

    Attributes:
        distances: float32, to the nearest neighbor.
        right: bool, whether that is of the query's class.
        strangers: float32, to the nearest neighbor of any other class; inf where there is none.
        has_positive: bool, whether something of the query's class is there to find.
        has_stranger: bool, whether something of another class is.
        units: int64 [n, 2], what the decision depends on: the class of the query, and that of its nearest stranger.
            Decisions that share a unit go together.
    """

    distances: np.ndarray
    right: np.ndarray
    strangers: np.ndarray
    has_positive: np.ndarray
    has_stranger: np.ndarray
    units: np.ndarray


def nearest_of_all(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    gallery_ids: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    gallery_groups: ArrayLike | None = None,
    families: Mapping[Any, Any] | None = None,
    distance: str = "cosine",
) -> Nearest:
    """Each row as a query among all the others, or in a gallery; see `Nearest`.

    Args:
        embeddings: [n, D].
        labels: [n] integers or strings.
        gallery: [m, D], searched instead of the embeddings.
        gallery_labels: [m], as the labels.
        ids, gallery_ids, groups, gallery_groups: see `evaluate`.
        families: label -> family, where classes are known to be taken for each other: a family is then the unit of what
            goes together. A class that is not named is a family of its own.
        distance: see `search`.

    Raises:
        ValueError: fewer than two classes, none with two rows, or arguments that do not fit.
    """
    rows = np.asarray(embeddings, np.float32)
    columns = {"ids": ids, "groups": groups, "gallery_ids": gallery_ids, "gallery_groups": gallery_groups}
    if gallery is None:
        columns["ids"] = np.arange(len(rows)) if ids is None else ids
        columns |= {f"gallery_{name}": columns[name] for name in ("ids", "groups")}
        searched, searched_labels = rows, labels
    elif gallery_labels is None:
        raise ValueError("gallery needs gallery_labels; got None")
    else:
        searched, searched_labels = np.asarray(gallery, np.float32), gallery_labels
    numbers, searched_numbers = numbered("labels", labels, searched_labels)
    relevance = Relevance(numbers, searched_numbers, (len(rows), len(searched)), **columns)
    classes = np.unique(np.concatenate([numbers, searched_numbers]))
    if len(classes) < 2 or not relevance.relevant.any():
        most = count_of(classes, searched_numbers).max(initial=0)
        raise ValueError(
            f"a threshold is calibrated on at least 2 classes, one of them with 2 items; got {len(classes)} classes "
            f"of at most {most}"
        )
    found = Finder(rows, searched, distance=distance, left_out=relevance).all(1)
    strangers = Finder(rows, searched, distance=distance, left_out=SameId(numbers, searched_numbers)).all(1)
    nearest, stranger = (searched_numbers[each.indices[:, 0]] for each in (found, strangers))
    there, has_stranger = (each.indices[:, 0] >= 0 for each in (found, strangers))
    units = np.stack([numbers, np.where(has_stranger, stranger, numbers)], axis=1)
    if families is not None:
        names = _names(numbers, labels) | _names(searched_numbers, searched_labels)
        units = _of_families(units, families, names)
    return Nearest(
        found.distances[:, 0],
        there & (nearest == numbers),
        strangers.distances[:, 0],
        relevance.relevant > 0,
        has_stranger,
        units,
    )


def nearest_of_pairs(distances: ArrayLike, same: ArrayLike, units: ArrayLike | None = None) -> Nearest:
    """Labeled pairs, each as a query with one candidate: a match if the two are within the threshold.

    Args:
        distances: [n], how far the two of each pair are apart.
        same: [n] bool, whether they are of one class.
        units: [n, 2] integers or strings, the two items of each pair, or better their classes: pairs that share one go
            together. None: no two pairs do.

    Raises:
        ValueError: shapes that do not fit, distances that are not finite, pairs that are all the same or all not.
    """
    measured, alike = np.asarray(distances, np.float32), np.asarray(same)
    if measured.ndim != 1 or alike.shape != measured.shape or alike.dtype != bool:
        raise ValueError(
            f"pairs must be distances [n] and same [n], true or false; got {list(measured.shape)} and {alike.dtype} "
            f"{list(alike.shape)}"
        )
    wrong = np.flatnonzero(~np.isfinite(measured))
    if len(wrong):
        raise ValueError(f"distances of pairs must be finite; pair {wrong[0]} is not, of {len(wrong)} such pairs")
    if alike.all() or not alike.any():
        raise ValueError(f"pairs must be some the same and some not; got {alike.sum()} of {len(alike)} the same")
    if units is None:
        numbers = np.repeat(np.arange(len(alike))[:, None], 2, axis=1)
    else:
        both = np.asarray(units)
        if both.shape != (len(alike), 2):
            raise ValueError(f"units must be [{len(alike)}, 2], the two of each pair; got {list(both.shape)}")
        numbers = np.unique(both, return_inverse=True)[1].reshape(-1, 2)
    return Nearest(measured, alike, np.where(alike, np.inf, measured).astype(np.float32), alike, ~alike, numbers)


def _names(numbers: np.ndarray, labels: ArrayLike) -> dict[int, Any]:
    return dict(zip(numbers.tolist(), np.asarray(labels).reshape(-1).tolist(), strict=True))


def _of_families(units: np.ndarray, families: Mapping[Any, Any], name_of: Mapping[int, Any]) -> np.ndarray:
    numbers: dict[tuple[bool, Any], int] = {}
    found = []
    for unit in units.reshape(-1).tolist():
        named = name_of[unit] in families
        key = named, families[name_of[unit]] if named else unit
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64).reshape(-1, 2)

"""The pairs of classes that are taken for each other most often."""

from typing import NamedTuple

import numpy as np

from metric_learning.report.judged import Judged, Pictures
from metric_learning.report.page import Section, render

_PAIRS, _EXAMPLES, _ROOM = 12, 3, 400_000


class Confusion(NamedTuple):
    """Two classes, and the queries of either whose nearest neighbor is of the other.

    Attributes:
        classes: labels of the two.
        rows: [c] of the queries, those that found theirs nearest first.
        share: of all queries of the two classes.
    """

    classes: tuple[int, int]
    rows: np.ndarray
    share: float


def confused_pairs(judged: Judged) -> list[Confusion]:
    """All pairs with a confusion, the most frequent first; of equals, the nearer first.

    A row of several classes counts for its rarest one.
    """
    queries, searched = judged.classes
    neighbors = judged.evaluation.neighbors
    wrong = np.flatnonzero(~judged.right[:, 0] & (neighbors.indices[:, 0] >= 0))
    wrong = wrong[np.argsort(neighbors.distances[wrong, 0], kind="stable")]
    both = np.stack([queries[wrong], searched[neighbors.indices[wrong, 0]]], axis=1)
    wrong, both = wrong[both[:, 0] != both[:, 1]], both[both[:, 0] != both[:, 1]]
    pairs, numbers = np.unique(np.sort(both, axis=1), axis=0, return_inverse=True)
    sizes = dict(zip(*(part.tolist() for part in np.unique(queries, return_counts=True)), strict=True))
    order, ends = np.argsort(numbers.reshape(-1), kind="stable"), np.cumsum(np.bincount(numbers.reshape(-1)))
    found = [
        Confusion((one, other), rows, len(rows) / (sizes.get(one, 0) + sizes.get(other, 0)))
        for (one, other), rows in zip(pairs.tolist(), np.split(wrong[order], ends[:-1]), strict=False)
    ]
    return sorted(found, key=lambda each: (-len(each.rows), neighbors.distances[each.rows[0], 0]))


def confusions_section(judged: Judged, pairs: int = _PAIRS) -> Section:
    """The most confused pairs, each with its nearest mistakes.

    Args:
        judged: what was found.
        pairs: shown at most.
    """
    pictures = Pictures(80, _ROOM)
    confusions = confused_pairs(judged)
    cards = [
        {
            "classes": [judged.class_name(label) for label in each.classes],
            "between": "and",
            "note": f"{_count(len(each.rows))}, {each.share:.0%} of those of both classes",
            "examples": [_example(judged, row, pictures) for row in each.rows[:_EXAMPLES].tolist()],
        }
        for each in confusions[:pairs]
    ]
    html = render(
        "confusions.html",
        cards=cards,
        all_pairs=len(confusions),
        wrong=sum(len(each.rows) for each in confusions),
        queries=len(judged.precision),
        has_pictures=judged.has_pictures,
        left_out=pictures.left_out,
    )
    return Section("confusions", "Confused classes", html)


def _example(judged, row, pictures):
    neighbors = judged.evaluation.neighbors
    return {
        "item": judged.query(row, pictures, 120),
        "relation": f"found at {neighbors.distances[row, 0]:.3f}",
        "others": [judged.found(int(neighbors.indices[row, 0]), pictures, 120)],
    }


def _count(queries):
    return "1 query" if queries == 1 else f"{queries:,} queries"

"""The best, the middle and the worst queries with what they found."""

import numpy as np

from metric_learning.report.judged import Judged, Pictures
from metric_learning.report.page import Section, render

_EACH, _ROOM = 6, 800_000


def queries_section(judged: Judged, each: int = _EACH) -> Section:
    """Queries with their nearest neighbors, distances and marks.

    Args:
        judged: what was found.
        each: queries of each kind.
    """
    pictures = Pictures(96, _ROOM)
    groups = [
        {"name": name, "about": about, "queries": [_query(judged, row, pictures) for row in rows]}
        for (name, about), rows in zip(_KINDS.items(), ranked_queries(judged, each), strict=True)
        if len(rows)
    ]
    html = render(
        "queries.html",
        groups=groups,
        measure=judged.ranked_by,
        has_pictures=judged.has_pictures,
        scored=int(np.count_nonzero(~np.isnan(judged.precision))),
        left_out=pictures.left_out,
    )
    return Section("queries", "Queries", html)


_KINDS = {
    "Best": "The highest of all; of equals, any.",
    "Middle": "Around the median.",
    "Worst": "The lowest of all; of equals, those whose wrong neighbor is nearest: the surest mistakes.",
}


def ranked_queries(judged: Judged, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the best, the middle and the worst queries, at most `each`, no query twice."""
    precision = judged.precision
    rows = np.flatnonzero(~np.isnan(precision))
    # Many share the values 0 and 1: shuffled, so that those shown are not all of the first classes, and among the worst
    # the surest mistake comes last.
    rows = np.random.default_rng(0).permutation(rows)
    nearest = judged.evaluation.neighbors.distances[rows, 0]
    worst_last = np.where(precision[rows] <= 0, -nearest, -np.inf)
    rows = rows[np.lexsort([worst_last, -precision[rows]])]
    each = min(each, len(rows) // 3)
    middle = (len(rows) - each) // 2
    return rows[:each], rows[middle : middle + each], rows[len(rows) - each :][::-1]


def _query(judged, row, pictures):
    length = 100 if judged.has_pictures else 300
    neighbors = [
        {
            "item": judged.found(found, pictures, length),
            "right": bool(right),
            "distance": float(distance),
        }
        for found, right, distance in zip(
            judged.evaluation.neighbors.indices[row].tolist(),
            judged.right[row],
            judged.evaluation.neighbors.distances[row],
            strict=True,
        )
        if found >= 0
    ]
    return {
        "item": judged.query(row, pictures, length),
        "precision": float(judged.precision[row]),
        "neighbors": neighbors,
    }

"""Scores class by class, in a table that can be sorted."""

import numpy as np

from metric_learning.report.judged import Judged, Pictures
from metric_learning.report.meanings import meaning
from metric_learning.report.page import Section, render
from metric_learning.report.sections.confusions import confused_pairs

_ROWS, _METRICS, _ROOM = 1000, 6, 250_000


def classes_section(judged: Judged, most: int = _ROWS) -> Section:
    """A row a class: its queries, its scores, and what it is taken for.

    Args:
        judged: what was found.
        most: rows; of more classes the lower and the upper end of the ranking are shown.
    """
    table = judged.evaluation.by_class()
    metrics = [name for name in judged.evaluation.per_query if "/" not in name and name != "precision@1"][:_METRICS]
    by = table[judged.ranked_by]
    order = np.argsort(np.where(np.isnan(by), np.inf, by), kind="stable")
    if len(order) > most:
        order = np.concatenate([order[: most // 2], order[len(order) - (most - most // 2) :]])
    first = _first_rows(judged.evaluation)
    taken_for = _taken_for(judged)
    pictures = Pictures(32, _ROOM)
    rows = []
    for place in order.tolist():
        row = int(first[place])
        several = judged.evaluation.labels is not None
        label = int(table["class"][place]) if several else judged.classes[0][row].item()
        item = judged.query(row, pictures, 40)._replace(class_name=judged.class_name(label, 40))
        other, count = taken_for.get(label, (None, 0))
        rows.append(
            {
                "item": item,
                "queries": int(table["queries"][place]),
                "scores": [float(table[name][place]) for name in metrics],
                "taken_for": "" if other is None else judged.class_name(other, 40),
                "times": count,
            }
        )
    html = render(
        "classes.html",
        metrics=[{"name": name, "meaning": meaning(name)} for name in metrics],
        rows=rows,
        all_classes=len(by),
        ranked_by=judged.ranked_by,
        has_pictures=judged.has_pictures,
    )
    return Section("classes", "Classes", html)


def _first_rows(evaluation):
    """The first query of each class, in the order of `by_class`."""
    if evaluation.labels is None:
        return np.unique(evaluation.classes, return_index=True)[1]
    return evaluation.labels[:, evaluation.labels.any(axis=0)].argmax(axis=0)


def _taken_for(judged):
    """Class -> (the class that its nearest neighbors are of most often when they are wrong, how often)."""
    found: dict[int, tuple[int, int]] = {}
    for each in confused_pairs(judged):
        labels = judged.classes[0][each.rows]
        for one, other in (each.classes, each.classes[::-1]):
            count = int(np.count_nonzero(labels == one))
            if count > found.get(one, (0, 0))[1]:
                found[one] = other, count
    return found

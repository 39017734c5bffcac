"""The scores, with what they mean and how sure they are."""

from collections.abc import Mapping

from metric_learning.report.meanings import meaning
from metric_learning.report.page import Section, chart, render

# The scores that people compare, for the top of the page.
_FIRST = ("recall@1", "map@r", "r_precision", "mrr")


def scores_section(
    columns: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    drawn: str = "classes",
) -> Section:
    """A table of all scores, the first of them in large.

    Args:
        columns: name -> scores, such as {"test": {...}, "test, untrained": {...}}; the first one is what the page is
            about, and the second, if it has "untrained" in its name, what it is compared with.
        intervals: name of a column -> score -> (low, high) at 95 %.
        drawn: "classes" or "queries", see `Evaluation.intervals`.
    """
    about = next(iter(columns))
    before = next((name for name in columns if "untrained" in name and name != about), None)
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    rows = [
        {
            "name": name,
            "meaning": meaning(name),
            "cells": [
                {"value": scores.get(name), "interval": intervals.get(column, {}).get(name)}
                for column, scores in columns.items()
            ],
        }
        for name in names
    ]
    first = [
        {
            "name": name,
            "meaning": meaning(name),
            "value": columns[about][name],
            "interval": intervals.get(about, {}).get(name),
            "before": columns[before].get(name) if before else None,
        }
        for name in _FIRST
        if name in columns[about]
    ]
    drawing = _drawing(columns[about], intervals.get(about, {}), columns[before] if before else {})
    html = render(
        "scores.html",
        about=about,
        before=before,
        first=first,
        columns=list(columns),
        rows=rows,
        drawn=drawn,
        drawing=drawing,
    )
    return Section("scores", "Scores", html)


def _drawing(scores, intervals, before):
    """A dot and its interval a score, of those that are shares."""
    rows = [
        {"name": name, "value": value, "low": interval[0], "high": interval[1], "before": before.get(name)}
        for name, value in scores.items()
        if (interval := intervals.get(name)) and 0 <= value <= 1 and "/" not in name
    ]
    return chart("scores.vl.json", {"scores": rows}) | {"height": 24 * len(rows)} if rows else None

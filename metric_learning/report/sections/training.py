"""How a run went over its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metric_learning.report.page import Section, chart, render
from metric_learning.report.pictures.curves import best_step, panels_of, series_of, smoothed

_POINTS = 400


def training_section(history: Sequence[Mapping[str, Any]], objective: str) -> Section | None:
    """The curves of `training_curves`; None where there is nothing to draw.

    Args:
        history, objective: see `training_curves`.
    """
    series = series_of(history)
    panels = panels_of(series, objective)
    if not panels:
        return None
    best = best_step(series, objective)
    drawn = []
    for name, keys in panels:
        is_validation = name == "Validation"
        rows = []
        for key in keys:
            steps, values = series[key]
            smooth = len(values) >= 20 and not is_validation and key != "learning_rate"
            line = smoothed(values, span=len(values) / 60) if smooth else values
            places = np.unique(np.linspace(0, len(steps) - 1, min(_POINTS, len(steps))).astype(int))
            rows += [
                {
                    "step": steps[place],
                    "value": float(f"{line[place]:.5g}"),
                    "raw": float(f"{values[place]:.5g}"),
                    "name": key.removeprefix("validation/").removeprefix("train/"),
                }
                for place in places.tolist()
            ]
        best_rows = [{"step": best[0]}] if best else []
        drawing = chart("training.vl.json", {"points": rows, "best": best_rows}, dots=is_validation)
        if len(keys) == 1:  # which the heading names
            drawing["encoding"]["color"]["legend"] = None
        drawn.append({"name": name, "drawing": drawing})
    last = max(steps[-1] for steps, _ in series.values())
    html = render("training.html", panels=drawn, best=best, objective=objective, last=last)
    return Section("training", "Training", html)

"""What a threshold on the distance to the nearest item does."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from metric_learning.report.page import Section, chart, render

_POINTS = 200
_NAMES = {"precision": "precision", "recall": "recall", "far": "false accept rate", "frr": "false reject rate"}
_MEANINGS = {
    "precision": "of the queries that match, the share whose match is of their class",
    "recall": "of the queries with something of their class to find, the share that find it",
    "far": "share of queries that would match if nothing of their class were there",
    "frr": "1 - recall",
}


def thresholds_section(
    curve: Mapping[str, np.ndarray],
    chosen: Mapping[str, Any] | None,
    *,
    distance: str,
    judged_on: str = "the validation split",
) -> Section:
    """Precision, recall and the two error rates over the threshold, and the chosen one.

    Args:
        curve: as in `Calibration`.
        chosen: `thresholds.json` of the run, see `calibration.summary`; None before it is calibrated.
        distance: its name.
        judged_on: whose items the curves are of.
    """
    count = len(curve["threshold"])
    places = np.unique(np.linspace(0, count - 1, min(_POINTS, count)).astype(int))
    rows = [
        {"threshold": float(curve["threshold"][place]), "rate": name, "value": float(curve[key][place])}
        for key, name in _NAMES.items()
        for place in places.tolist()
    ]
    points, rates, as_good = [], [], []
    if chosen:
        for key, name in _NAMES.items():
            value, low, high = chosen["rates"][key]
            rates.append({"name": name, "meaning": _MEANINGS[key], "value": value, "interval": (low, high)})
            points.append({"threshold": chosen["threshold"], "rate": name, "value": value})
        if "interval" in chosen:  # files of before there was one have none
            as_good.append(dict(zip(("from", "to"), chosen["interval"], strict=True)))
    words = distance.replace("_", " ")
    html = render(
        "thresholds.html",
        drawing=chart("thresholds.vl.json", {"rates": rows, "chosen": points, "as_good": as_good}),
        chosen=chosen,
        rates=rates,
        meanings={_NAMES[key]: words for key, words in _MEANINGS.items()},
        distance=words,
        judged_on=judged_on,
    )
    return Section("thresholds", "Thresholds", html)

"""How far apart equal and different pairs lie."""

import numpy as np

from metric_learning.report.page import Section, chart, render
from metric_learning.report.pictures.histograms import equal_error, overlap

_BINS = 80


def distances_section(pairs: dict[str, tuple[np.ndarray, np.ndarray]], distance: str) -> Section:
    """A histogram of both kinds of pairs for each encoder.

    Args:
        pairs: name -> distances of equal and of different pairs, such as {"Trained": ..., "Untrained": ...}.
        distance: its name.
    """
    panels = []
    for name, (near, far) in pairs.items():
        threshold, error = equal_error(near, far)
        panels.append(
            {
                "name": name,
                "overlap": overlap(near, far),
                "threshold": threshold,
                "error": error,
                "pairs": (len(near), len(far)),
                "medians": (float(np.median(near)), float(np.median(far))),
                "drawing": chart(
                    "distances.vl.json", {"bins": _bins(near, far), "threshold": [{"threshold": threshold}]}
                ),
            }
        )
    words = distance.replace("_", " ")
    return Section("distances", "Distances", render("distances.html", panels=panels, distance=words))


def _bins(near, far):
    low, high = (float(reduce([reduce(near), reduce(far)])) for reduce in (min, max))
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    rows = []
    for kind, values in (("same class", near), ("different classes", far)):
        shares = np.histogram(values, edges)[0] / len(values)
        rows += [
            {"from": round(start, 5), "to": round(end, 5), "share": round(share, 6), "pairs": kind}
            for start, end, share in zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)
            if share
        ]
    return rows

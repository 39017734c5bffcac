"""How far apart equal and different pairs lie."""

from collections.abc import Mapping

import numpy as np

from metric_learning.report.page import Section, chart, render
from metric_learning.report.pairs import PairDistances

_BINS = 80


def distances_section(pairs: Mapping[str, PairDistances], distance: str) -> Section:
    """A histogram of both kinds of pairs for each encoder.

    Args:
        pairs: name of an encoder, such as "Trained" -> its distances.
        distance: its name.
    """
    panels = []
    for name, each in pairs.items():
        threshold, error = each.equal_error
        panels.append(
            {
                "name": name,
                "overlap": each.overlap,
                "threshold": threshold,
                "error": error,
                "pairs": (len(each.near), len(each.far)),
                "medians": each.medians,
                "drawing": chart("distances.vl.json", {"bins": _bins(each), "threshold": [{"threshold": threshold}]}),
            }
        )
    words = distance.replace("_", " ")
    return Section("distances", "Distances", render("distances.html", panels=panels, distance=words))


def _bins(pairs):
    edges = pairs.edges(_BINS)
    rows = []
    for kind, values in (("same class", pairs.near), ("different classes", pairs.far)):
        shares = np.histogram(values, edges)[0] / len(values)
        rows += [
            {"from": round(start, 5), "to": round(end, 5), "share": round(share, 6), "pairs": kind}
            for start, end, share in zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)
            if share
        ]
    return rows

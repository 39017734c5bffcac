"""The embeddings on a plane, to move about in."""

import numpy as np

from metric_learning.report.judged import Judged, Pictures, shortened
from metric_learning.report.page import Section, chart, render
from metric_learning.report.pictures.embedding_map import PALETTE, relative

_ROOM, _FEW = 1_100_000, len(PALETTE)


def map_section(judged: Judged, layout: tuple[np.ndarray, np.ndarray]) -> Section:
    """A map of items that are near each other where their embeddings are: images as they are, others as dots.

    Args:
        judged: what was found.
        layout: rows of the split [m] and their places [m, 2], see `lay_out`.
    """
    shown, points = layout
    pictures = Pictures(48, _ROOM)
    labels = judged.classes[0]
    present, places = np.unique(labels[shown], return_inverse=True)
    neighbors = judged.evaluation.neighbors
    rows = []
    for row, (x, y), place in zip(shown.tolist(), relative(points).tolist(), places.tolist(), strict=True):
        item = judged.query(row, pictures, 80)
        found = int(neighbors.indices[row, 0])
        nearest = shortened(judged.searched.captions[found], 60) if found >= 0 else ""
        rows.append(
            {
                "x": round(x, 4),
                "y": round(1 - y, 4),
                "image": item.picture,
                "caption": item.caption,
                "class": shortened(item.class_name, 40),
                "nearest": f"{neighbors.distances[row, 0]:.3f} to {nearest}",
                "right": bool(judged.right[row, 0]),
                "color": PALETTE[place % len(PALETTE)],
            }
        )
    html = render(
        "map.html",
        drawing=chart("map.vg.json", {"items": rows}),
        shown=len(shown),
        items=len(labels),
        classes=len(present),
        all_classes=len(np.unique(labels)),
        has_pictures=judged.has_pictures,
        left_out=pictures.left_out,
        legend=[(judged.class_name(label, 30), PALETTE[place]) for place, label in enumerate(present.tolist())]
        if len(present) <= _FEW
        else [],
    )
    return Section("map", "Map", html)

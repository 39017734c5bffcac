"""What a search found: images as rows of tiles, all else as lines of text, each with its distance."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.neighbors import draw_tile

MOST = 50  # queries on a page
_TILE, _GAP, _CAPTION, _NAMES = 88, 12, 30, 190  # pixels
_LINE, _WIDTH = 19, 900
_TOP = 84


def hit_gallery(
    path: str | Path,
    names: Sequence[str],
    found: Sequence[Sequence[Any]],
    *,
    labels: Sequence[str] | None = None,
    image_of: Callable[[str], np.ndarray | None] | None = None,
) -> Path:
    """Draws queries, each with what was found for it, and how far that is.

    Green: of the label of the query; red: of another; gray: one of the two labels is not known.

    Args:
        path: of the PNG.
        names: [n] of the queries, the first 50 of which are drawn.
        found: [n] lists of `metric_learning.index.Hit`, nearest first; empty where there is no match.
        labels: [n] of the queries; None if they are not known.
        image_of: gives the image of a name or an id, uint8 [h, w, c], or None if there is none; None for a page of
            text.

    Returns:
        The path.
    """
    drawn = len(names[:MOST])
    height = _TILE + _CAPTION + 10 if image_of else _LINE * (2 + max(map(len, found[:MOST]), default=0))
    depth = max(map(len, found[:MOST]), default=0)
    width = max(_NAMES + (depth + 1) * (_TILE + _GAP) + 50, _WIDTH) if image_of else _WIDTH
    figure, axes = canvas.blank_page(width, _TOP + drawn * height + 10)
    of = f"the first {drawn} of {len(names):,} queries" if drawn < len(names) else f"{drawn} queries"
    canvas.heading(
        figure, "What was found", f"{of}, nearest first, with distances.  Green: the label of the query.  Red: another."
    )
    for place, (name, hits) in enumerate(zip(names[:MOST], found[:MOST], strict=True)):
        colors = [_color(None if labels is None else labels[place], hit.label) for hit in hits]
        if image_of:
            _draw_tiles(axes, _TOP + place * height, name, hits, colors, image_of)
        else:
            _draw_lines(axes, _TOP + place * height, name, hits, colors)
    axes.set(xlim=(0, width), ylim=(_TOP + drawn * height + 10, 0))  # imshow moves them
    return canvas.save(figure, path)


def _color(label: str | None, other: str | None) -> str:
    if label is None or other is None:
        return canvas.GRAY
    return canvas.RIGHT if label == other else canvas.WRONG


def _draw_tiles(axes, y, name, hits, colors, image_of):
    for line, text in enumerate(canvas.legible_lines(Path(name).name, 22, 3)):
        canvas.write(axes, 16, y + 22 + 16 * line, text, size=9.5, weight="bold")
    _draw_image(axes, image_of(name), _NAMES, y, canvas.INK)
    first = _NAMES + _TILE + _GAP + 24
    if not hits:
        canvas.write(axes, first, y + _TILE / 2, "no match", color=canvas.GRAY)
    for rank, (hit, color) in enumerate(zip(hits, colors, strict=True)):
        x = first + rank * (_TILE + _GAP)
        _draw_image(axes, image_of(hit.id), x, y, color)
        for line, text in enumerate((f"{hit.distance:.3f}", hit.label or Path(hit.id).name)):
            at = y + _TILE + 10 + 12 * line
            canvas.write(axes, x + _TILE / 2, at, canvas.legible(text, 16), size=8, ha="center", color=color)


def _draw_image(axes, image, x, y, color):
    missing = np.full((1, 1, 3), 230, np.uint8)
    draw_tile(axes, missing if image is None else image, x, y, color)


def _draw_lines(axes, y, name, hits, colors):
    canvas.write(axes, 16, y + 11, canvas.legible(name if hits else f"{name}  no match", 110), size=9, weight="bold")
    for line, (hit, color) in enumerate(zip(hits, colors, strict=True)):
        at = y + 11 + (1 + line) * _LINE
        canvas.write(axes, 24, at, f"{hit.distance:.4f}", size=8, color=color)
        canvas.write(axes, 84, at, canvas.legible(hit.id, 100), size=8)
        canvas.write(axes, _WIDTH - 16, at, canvas.legible(hit.label or "", 24), size=8, color=color, ha="right")

"""What a search found: images as rows of tiles, all else as lines of text, each with its distance."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.neighbors import TILE, draw_tile
from metric_learning.report.pictures.sheet import Sheet

MOST = 50  # queries on a page
_GAP, _CAPTION, _NAMES = 12, 30, 190  # pixels
_LINE, _WIDTH, _LABEL = 19, 900, 180
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
    depth = max(map(len, found[:MOST]), default=0)
    height = TILE + _CAPTION + 10 if image_of else _LINE * (2 + depth)
    width = max(_NAMES + (depth + 1) * (TILE + _GAP) + 50, _WIDTH) if image_of else _WIDTH
    sheet = Sheet(width, _TOP + drawn * height + 10)
    of = f"the first {drawn} of {len(names):,} queries" if drawn < len(names) else f"{drawn} queries"
    sheet.heading(
        "What was found", f"{of}, nearest first, with distances.  Green: the label of the query.  Red: another."
    )
    for place, (name, hits) in enumerate(zip(names[:MOST], found[:MOST], strict=True)):
        colors = [_color(None if labels is None else labels[place], hit.label) for hit in hits]
        if image_of:
            _draw_tiles(sheet, _TOP + place * height, name, hits, colors, image_of)
        else:
            _draw_lines(sheet, _TOP + place * height, name, hits, colors)
    return sheet.save(path)


def _color(label: str | None, other: str | None) -> str:
    if label is None or other is None:
        return canvas.GRAY
    return canvas.RIGHT if label == other else canvas.WRONG


def _draw_tiles(sheet, y, name, hits, colors, image_of):
    for line, text in enumerate(canvas.legible_lines(Path(name).name, 20, 3)):
        sheet.write(16, y + 22 + 16 * line, text, size=9.5, weight="bold", room=_NAMES - 24)
    _draw_image(sheet, image_of(name), _NAMES, y, canvas.INK)
    first = _NAMES + TILE + _GAP + 24
    if not hits:
        sheet.write(first, y + TILE / 2, "no match", color=canvas.GRAY)
    for rank, (hit, color) in enumerate(zip(hits, colors, strict=True)):
        x = first + rank * (TILE + _GAP)
        _draw_image(sheet, image_of(hit.id), x, y, color)
        for line, text in enumerate((f"{hit.distance:.3f}", hit.label or Path(hit.id).name)):
            at = x + TILE / 2, y + TILE + 10 + 12 * line
            sheet.write(*at, text, size=8, ha="center", color=color, room=TILE + _GAP - 2)


def _draw_image(sheet, image, x, y, color):
    missing = np.full((1, 1, 3), 230, np.uint8)
    draw_tile(sheet, missing if image is None else image, x, y, color)


def _draw_lines(sheet, y, name, hits, colors):
    title = name if hits else f"{name}  no match"
    sheet.write(16, y + 11, title, size=9, weight="bold", room=_WIDTH - 32)
    for line, (hit, color) in enumerate(zip(hits, colors, strict=True)):
        at = y + 11 + (1 + line) * _LINE
        sheet.write(24, at, f"{hit.distance:.4f}", size=8, color=color)
        sheet.write(84, at, hit.id, size=8, room=_WIDTH - 100 - _LABEL)
        sheet.write(_WIDTH - 16, at, hit.label or "", size=8, color=color, ha="right", room=_LABEL - 10)

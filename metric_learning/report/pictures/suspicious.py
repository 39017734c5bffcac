"""Items whose labels look wrong, between the items of the class that they are said to be of and those of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.report.pictures import canvas
from metric_learning.types import Items

_TILE, _GAP, _CAPTION, _TOP = 80, 8, 34, 116  # pixels
_ITEM, _GIVEN, _PROPOSED = 250, 380, 680  # left sides
_OWN = 3
_CARD, _LINE = 60, 17


def draw_suspicious(
    path: str | Path, items: Items, found: Sequence[Any], class_names: Sequence[str], *, title: str, most: int = 24
) -> Path:
    """Draws suspicious items, each with other items of its label and its nearest ones of the proposed label.

    Args:
        path: of the PNG.
        items: anything with `inputs`, `labels` and `captions`. uint8 [n, h, w, c] inputs are drawn, of all others the
            captions are shown.
        found: each a `Suspicion` of their rows; the surest first.
        class_names: name of each label.
        title: names the data and the run.
        most: how many are drawn.

    Returns:
        The path.
    """
    shown = found[:most]
    is_image = len(items.inputs.shape) == 4
    step = _TILE + _CAPTION if is_image else _CARD
    figure, axes = canvas.blank_page(1160, height := _TOP + step * max(1, len(shown)) + 10)
    said = f"{len(found):,} items" if len(found) != 1 else "1 item"
    canvas.heading(
        figure, title, f"{said} whose neighbors agree on one other class; the {len(shown)} surest, with their agreement"
    )
    for x, words in ((_ITEM, "item"), (_GIVEN, "others of its label"), (_PROPOSED, "nearest of the proposed label")):
        canvas.write(axes, x, _TOP - 16, words, color=canvas.GRAY)
    for place, suspicion in enumerate(shown):
        draw = _draw_images if is_image else _draw_words
        draw(axes, _TOP + step * place, items, suspicion, class_names)
    axes.set(xlim=(0, 1160), ylim=(height, 0))  # imshow moves them
    return canvas.save(figure, path)


def others_of_its_label(labels: np.ndarray, row: int, given: int, most: int = _OWN) -> list[int]:
    """The first rows of a label but the one that is in doubt."""
    rows = np.flatnonzero(labels == given)
    return rows[rows != row][:most].tolist()


def _draw_images(axes, y, items, suspicion, class_names):
    own = others_of_its_label(items.labels, suspicion.row, suspicion.given)
    rows = [suspicion.row, *own, *suspicion.neighbors]
    lefts = [_ITEM, *(_GIVEN + (_TILE + _GAP) * i for i in range(len(own)))]
    lefts += [_PROPOSED + (_TILE + _GAP) * i for i in range(len(suspicion.neighbors))]
    for x, image in zip(lefts, items.inputs[rows], strict=True):
        extent = (x, x + _TILE, y + _TILE, y)
        axes.imshow(canvas.tile(image, _TILE), extent=extent, aspect="auto", interpolation="nearest")
    for line, text in enumerate(canvas.legible_lines(items.captions[suspicion.row], 28, 3)):
        canvas.write(axes, 16, y + 16 + 16 * line, text, size=9.5, weight="bold")
    canvas.write(axes, 16, y + _TILE - 10, f"agreement {suspicion.agreement:.2f}", size=9, color=canvas.GRAY)
    given, proposed = (canvas.legible(class_names[label], 44) for label in (suspicion.given, suspicion.proposed))
    canvas.write(axes, _GIVEN, y + _TILE + 10, given, size=9, color=canvas.WRONG)
    canvas.write(axes, _PROPOSED, y + _TILE + 10, f"{proposed}?", size=9, color=canvas.BLUE)


def _draw_words(axes, y, items, suspicion, class_names):
    canvas.write(axes, 16, y + 10, canvas.legible(items.captions[suspicion.row], 120), size=10, weight="bold")
    canvas.write(axes, 1040, y + 10, f"agreement {suspicion.agreement:.2f}", size=9, color=canvas.GRAY)
    own = others_of_its_label(items.labels, suspicion.row, suspicion.given)
    for line, (label, rows, color, mark) in enumerate(
        ((suspicion.given, own, canvas.WRONG, ""), (suspicion.proposed, suspicion.neighbors, canvas.BLUE, "?"))
    ):
        at = y + 10 + _LINE * (line + 1)
        canvas.write(axes, 30, at, canvas.legible(f"{class_names[label]}{mark}", 30), size=9, color=color)
        near = " | ".join(canvas.legible(items.captions[row], 40) for row in rows)
        canvas.write(axes, _ITEM, at, canvas.legible(near, 130), size=9)

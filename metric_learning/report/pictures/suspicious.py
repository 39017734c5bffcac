"""Items whose labels look wrong, between the items of the class that they are said to be of and those of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.sheet import Sheet
from metric_learning.types import Items

_TILE, _GAP, _CAPTION, _TOP = 80, 8, 34, 116  # pixels
_ITEM, _GIVEN, _PROPOSED = 250, 380, 680  # left sides
_OWN = 3
_CARD, _LINE, _WIDTH = 60, 17, 1160


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
    sheet = Sheet(_WIDTH, _TOP + step * max(1, len(shown)) + 10)
    said = f"{len(found):,} items" if len(found) != 1 else "1 item"
    sheet.heading(
        title, f"{said} whose neighbors agree on one other class; the {len(shown)} surest, with their agreement"
    )
    for x, words in ((_ITEM, "item"), (_GIVEN, "others of its label"), (_PROPOSED, "nearest of the proposed label")):
        sheet.write(x, _TOP - 16, words, color=canvas.GRAY)
    for place, suspicion in enumerate(shown):
        draw = _draw_images if is_image else _draw_words
        draw(sheet, _TOP + step * place, items, suspicion, class_names)
    return sheet.save(path)


def others_of_its_label(labels: np.ndarray, row: int, given: int, most: int = _OWN) -> list[int]:
    """The first rows of a label but the one that is in doubt."""
    rows = np.flatnonzero(labels == given)
    return rows[rows != row][:most].tolist()


def _draw_images(sheet, y, items, suspicion, class_names):
    own = others_of_its_label(items.labels, suspicion.row, suspicion.given)
    rows = [suspicion.row, *own, *suspicion.neighbors]
    lefts = [_ITEM, *(_GIVEN + (_TILE + _GAP) * i for i in range(len(own)))]
    lefts += [_PROPOSED + (_TILE + _GAP) * i for i in range(len(suspicion.neighbors))]
    for x, image in zip(lefts, items.inputs[rows], strict=True):
        sheet.put(canvas.tile(image, _TILE), x, y)
    for line, text in enumerate(canvas.legible_lines(items.captions[suspicion.row], 28, 3)):
        sheet.write(16, y + 16 + 16 * line, text, size=9.5, weight="bold", room=_ITEM - 24)
    sheet.write(16, y + _TILE - 10, f"agreement {suspicion.agreement:.2f}", size=9, color=canvas.GRAY)
    given, proposed = (class_names[label] for label in (suspicion.given, suspicion.proposed))
    sheet.write(_GIVEN, y + _TILE + 12, given, size=9, color=canvas.WRONG, room=_PROPOSED - _GIVEN - 12)
    sheet.write(_PROPOSED, y + _TILE + 12, f"{proposed}?", size=9, color=canvas.BLUE, room=_WIDTH - _PROPOSED - 16)


def _draw_words(sheet, y, items, suspicion, class_names):
    agreement = f"agreement {suspicion.agreement:.2f}"
    sheet.write(16, y + 10, items.captions[suspicion.row], weight="bold", room=_WIDTH - 180)
    sheet.write(_WIDTH - 16, y + 10, agreement, size=9, color=canvas.GRAY, ha="right")
    own = others_of_its_label(items.labels, suspicion.row, suspicion.given)
    for line, (label, rows, color, mark) in enumerate(
        ((suspicion.given, own, canvas.WRONG, ""), (suspicion.proposed, suspicion.neighbors, canvas.BLUE, "?"))
    ):
        at = y + 10 + _LINE * (line + 1)
        sheet.write(30, at, f"{class_names[label]}{mark}", size=9, color=color, room=_ITEM - 40)
        near = " | ".join(canvas.legible(items.captions[row], 60) for row in rows)
        sheet.write(_ITEM, at, near, size=9, room=_WIDTH - _ITEM - 16)

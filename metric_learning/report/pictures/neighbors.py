"""Queries and their nearest neighbors, wrong ones marked: images as a gallery, texts as a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metric_learning.evaluation.search import Neighbors
from metric_learning.labels import are_alike, class_words
from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.sheet import Sheet
from metric_learning.types import Items
from metric_learning.whole_files import write_whole

TILE, FRAME = 88, 4  # pixels
_GAP, _CAPTION, _NAMES, _TOP = 12, 28, 190, 108
_LINE, _CARD, _OTHER = 19, 640, 170


def spread_queries(average_precision: np.ndarray, count: int) -> np.ndarray:
    """`count` queries evenly spread over the ranking by average precision, best first: no cherry is picked.

    Args:
        average_precision: [n], NaN for queries without positives, which have nothing to find and are left out.
        count: fewer come back if there are fewer.

    Returns:
        [count] int64 rows.
    """
    rows = np.flatnonzero(~np.isnan(average_precision))
    # Many queries share the values 0 and 1; a fixed shuffle keeps those shown from all being of the first classes.
    rows = np.random.default_rng(0).permutation(rows)
    rows = rows[np.argsort(-average_precision[rows], kind="stable")]
    count = min(count, len(rows))
    return rows[((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(np.int64)]


def neighbor_gallery(
    path: str | Path,
    split: Items,
    neighbors: Neighbors,
    average_precision: np.ndarray,
    *,
    gallery: Items | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    num_queries: int = 12,
) -> Path:
    """Draws image queries, each with its nearest neighbors: green if of the same class, red with a caption if not.

    Args:
        path: of the PNG.
        split: the queries: anything with `inputs` (uint8 [n, h, w, 1|3|4]), `labels` [n] and `captions` [n].
        neighbors: `Neighbors` of all of them, [n, k] each; k of 8 fills the page.
        average_precision: [n], per_query["map@r"] of the evaluation; decides which queries are shown.
        gallery: what was searched; `split` itself when None.
        class_names: name of each label, for the wrong ones; their captions when None.
        title: names data, split and scores.
        num_queries: rows of the gallery.

    Returns:
        The path.
    """
    gallery = split if gallery is None else gallery
    rows = spread_queries(average_precision, num_queries)
    depth, height = neighbors.indices.shape[1], TILE + _CAPTION + 10
    first = _NAMES + TILE + _GAP + 24
    sheet = Sheet(max(first + depth * (TILE + _GAP) + 14, 900), _TOP + len(rows) * height + 10)
    sheet.heading(title, _explanation(len(rows), "Green: same class. Red: another, named below."))
    sheet.write(_NAMES + TILE / 2, _TOP - 14, "query", ha="center", color=canvas.GRAY)
    for rank in range(depth):
        sheet.write(first + rank * (TILE + _GAP) + TILE / 2, _TOP - 14, rank + 1, ha="center", color=canvas.GRAY)
    for place, row in enumerate(rows):
        y = _TOP + place * height
        for line, text in enumerate(canvas.legible_lines(split.captions[row], 20, 3)):
            sheet.write(16, y + 22 + 16 * line, text, size=9.5, weight="bold", room=_NAMES - 24)
        sheet.write(16, y + TILE - 8, f"AP {average_precision[row]:.2f}", size=9, color=canvas.GRAY)
        draw_tile(sheet, split.inputs[row], _NAMES, y, canvas.INK)
        for rank, found in enumerate(neighbors.indices[row]):
            x = first + rank * (TILE + _GAP)
            is_right = are_alike(gallery.labels[found], split.labels[row])
            draw_tile(sheet, gallery.inputs[found], x, y, canvas.RIGHT if is_right else canvas.WRONG)
            if not is_right:
                name = (
                    gallery.captions[found] if class_names is None else class_words(gallery.labels[found], class_names)
                )
                for line, text in enumerate(canvas.legible_lines(name, 18, 2)):
                    at = x + TILE / 2, y + TILE + 10 + 11 * line
                    sheet.write(*at, text, size=7, ha="center", color=canvas.WRONG, room=TILE + _GAP - 2)
    return sheet.save(path)


def draw_tile(sheet: Sheet, image: np.ndarray, x: float, y: float, color: str) -> None:
    """An image with a frame, TILE pixels wide and high in all, its top left corner at (x, y)."""
    sheet.fill(x, y, TILE, TILE, color)
    sheet.put(canvas.tile(image, TILE - 2 * FRAME), x + FRAME, y + FRAME)


def neighbor_table(
    path: str | Path,
    split: Items,
    neighbors: Neighbors,
    average_precision: np.ndarray,
    *,
    gallery: Items | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    num_queries: int = 12,
) -> Path:
    """Writes text queries and their nearest neighbors as Markdown (`path` with .md) and draws them (.png).

    Args:
        path: of the PNG; the Markdown goes beside it.
        split: the queries: anything with `labels` [n] and `captions` [n], the texts.
        class_names: name of each label; labels are shown as numbers when None.
        neighbors, average_precision, gallery, title, num_queries: see `neighbor_gallery`.

    Returns:
        The path of the PNG.
    """
    gallery = split if gallery is None else gallery
    cards = []
    for row in spread_queries(average_precision, num_queries):
        answers = [
            (
                bool(are_alike(gallery.labels[found], split.labels[row])),
                float(distance),
                gallery.captions[found],
                gallery.labels[found],
            )
            for found, distance in zip(neighbors.indices[row], neighbors.distances[row], strict=True)
        ]
        cards.append((split.captions[row], split.labels[row], float(average_precision[row]), answers))

    def name(label):
        return str(label) if class_names is None else class_words(label, class_names)

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_suffix(".md"), _markdown(cards, name, title))
    return _drawn_cards(cards, name, title).save(path)


_MARKS = "\u2713 same class, \u2717 another, named behind."


def _explanation(count, marks):
    return f"{count} queries spread evenly over the ranking by average precision at R (AP), best first. {marks}"


def _markdown(cards, name, title):
    lines = [f"# {title}", "", _explanation(len(cards), _MARKS)]
    for text, label, precision, answers in cards:
        lines += ["", f"## {_cell(text)}", "", f"class **{_cell(name(label))}**, AP {precision:.2f}", ""]
        lines += ["| | distance | neighbor | class |", "|---|---|---|---|"]
        for right, distance, neighbor, other in answers:
            mark, cell = ("\u2713", _cell(name(other))) if right else ("\u2717", f"**{_cell(name(other))}**")
            lines.append(f"| {mark} | {distance:.3f} | {_cell(neighbor)} | {cell} |")
    return "\n".join(lines) + "\n"


def _cell(text):
    """One line that cannot end the cell or start markup."""
    text = " ".join(str(text).split())
    return "".join("\\" + c if c in "\\|*_`<[#" else c for c in text)


def _drawn_cards(cards, name, title):
    """Two columns of cards: the query above its neighbors."""
    depth = max((len(card[3]) for card in cards), default=0)
    height = (depth + 2) * _LINE + 22
    top, rows = 84, (len(cards) + 1) // 2
    sheet = Sheet(2 * _CARD + 30, top + rows * height)
    sheet.heading(title, _explanation(len(cards), _MARKS))
    for place, (text, label, precision, answers) in enumerate(cards):
        x, y = 16 + (place // rows) * (_CARD + 10), top + (place % rows) * height
        right_end = x + _CARD - 22
        sheet.fill(x, y, _CARD - 14, 2 * _LINE, "#f1f4f9")
        sheet.write(x + 8, y + 11, text, size=9, weight="bold", room=_CARD - 30)
        sheet.write(x + 8, y + 28, f"class: {name(label)}", size=8, color=canvas.GRAY, room=_CARD - 100)
        sheet.write(right_end, y + 28, f"AP {precision:.2f}", size=8, color=canvas.GRAY, ha="right")
        for line, (right, distance, neighbor, other) in enumerate(answers):
            at, color = y + (2.7 + line) * _LINE, canvas.RIGHT if right else canvas.WRONG
            sheet.write(x + 8, at, "\u2713" if right else "\u2717", size=9, weight="bold", color=color)
            sheet.write(x + 26, at, f"{distance:.2f}", size=8, color=canvas.GRAY)
            sheet.write(x + 60, at, neighbor, size=8, room=_CARD - 84 if right else _CARD - 84 - _OTHER)
            if not right:
                sheet.write(right_end, at, name(other), size=8, color=canvas.WRONG, ha="right", room=_OTHER - 10)
    return sheet

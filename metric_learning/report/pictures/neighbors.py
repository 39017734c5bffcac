"""Queries and their nearest neighbors, wrong ones marked: images as a gallery, texts as a
table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from metric_learning.evaluation.search import Neighbors
from metric_learning.labels import are_alike, class_words
from metric_learning.report.pictures import canvas
from metric_learning.types import Items

_TILE, _GAP, _CAPTION, _NAMES = 88, 12, 28, 190  # pixels
_LINE, _CARD = 19, 640


def spread_queries(average_precision: np.ndarray, count: int) -> np.ndarray:
    """`count` queries evenly spread over the ranking by average precision, best first: no cherry is
    picked.

    Args:
        average_precision: [n], NaN for queries without positives, which have nothing to find and are left out.
        count: fewer come back if there are fewer.

    Returns:
        [count] int64 rows.
    """
    rows = np.flatnonzero(~np.isnan(average_precision))
    # Many queries share the values 0 and 1; a fixed shuffle keeps those shown from all being of the
    # first classes.
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
    """Draws image queries, each with its nearest neighbors: green if of the same class, red with a
    caption if not.

    Args:
        path: of the PNG.
        split: the queries: anything with `inputs` (uint8 [n, h, w, 1|3|4]), `labels` [n] and
            `captions` [n].
        neighbors: `Neighbors` of all of them, [n, k] each; k of 8 fills the page.
        average_precision: [n], per_query["map@r"] of the evaluation; decides which queries are
            shown.
        gallery: what was searched; `split` itself when None.
        class_names: name of each label, for the wrong ones; their captions when None.
        title: names data, split and scores.
        num_queries: rows of the gallery.

    Returns:
        The path.
    """
    gallery = split if gallery is None else gallery
    rows = spread_queries(average_precision, num_queries)
    depth = neighbors.indices.shape[1]
    top, row_height = 108, _TILE + _CAPTION + 10
    width = max(_NAMES + (depth + 1) * (_TILE + _GAP) + 50, 900)
    figure, axes = canvas.blank_page(width, top + len(rows) * row_height + 10)
    canvas.heading(
        figure,
        title,
        f"{len(rows)} queries spread evenly over the ranking by average precision at R (AP), "
        "best first.  Green: same class.  Red: another class, named below.",
    )
    first = _NAMES + _TILE + _GAP + 24
    for rank in range(depth):
        canvas.write(
            axes,
            first + rank * (_TILE + _GAP) + _TILE / 2,
            top - 14,
            rank + 1,
            ha="center",
            color=canvas.GRAY,
        )
    canvas.write(axes, _NAMES + _TILE / 2, top - 14, "query", ha="center", color=canvas.GRAY)

    for place, row in enumerate(rows):
        y = top + place * row_height
        for line, text in enumerate(canvas.legible_lines(split.captions[row], 22, 3)):
            canvas.write(axes, 16, y + 22 + 16 * line, text, size=9.5, weight="bold")
        canvas.write(axes, 16, y + _TILE - 8, f"AP {average_precision[row]:.2f}", size=9, color=canvas.GRAY)
        draw_tile(axes, split.inputs[row], _NAMES, y, canvas.INK)
        for rank, found in enumerate(neighbors.indices[row]):
            x = first + rank * (_TILE + _GAP)
            if are_alike(gallery.labels[found], split.labels[row]):
                draw_tile(axes, gallery.inputs[found], x, y, canvas.RIGHT)
            else:
                draw_tile(axes, gallery.inputs[found], x, y, canvas.WRONG)
                name = (
                    gallery.captions[found] if class_names is None else class_words(gallery.labels[found], class_names)
                )
                for line, text in enumerate(canvas.legible_lines(name, 18, 2)):
                    at = y + _TILE + 10 + 11 * line
                    canvas.write(axes, x + _TILE / 2, at, text, size=7, ha="center", color=canvas.WRONG)
    axes.set(xlim=(0, width), ylim=(top + len(rows) * row_height + 10, 0))  # imshow moves them
    return canvas.save(figure, path)


def draw_tile(axes: Axes, image: np.ndarray, x: float, y: float, color: str) -> None:
    """An image with a frame, of 88 x 88 pixels in all, its top left corner at (x, y)."""
    frame = 4
    axes.fill([x, x + _TILE, x + _TILE, x], [y, y, y + _TILE, y + _TILE], color=color, linewidth=0)
    inner = (x + frame, x + _TILE - frame, y + _TILE - frame, y + frame)
    axes.imshow(
        canvas.tile(image, _TILE - 2 * frame),
        extent=inner,
        aspect="auto",
        interpolation="nearest",
        zorder=2,
    )


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
    """Writes text queries and their nearest neighbors as Markdown (`path` with .md) and draws them
    (.png).

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
    path.with_suffix(".md").write_text(_markdown(cards, name, title), encoding="utf-8")
    return canvas.save(_drawn_cards(cards, name, title), path)


def _explanation(count):
    return (
        f"{count} queries spread evenly over the ranking by average precision at R (AP), "
        "best first. \u2713 same class, \u2717 another class, named behind."
    )


def _markdown(cards, name, title):
    lines = [f"# {title}", "", _explanation(len(cards))]
    for text, label, precision, answers in cards:
        lines += [
            "",
            f"## {_cell(text)}",
            "",
            f"class **{_cell(name(label))}**, AP {precision:.2f}",
            "",
        ]
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
    figure, axes = canvas.blank_page(2 * _CARD + 30, top + rows * height)
    canvas.heading(figure, title, _explanation(len(cards)))
    for place, (text, label, precision, answers) in enumerate(cards):
        x, y = 16 + (place // rows) * (_CARD + 10), top + (place % rows) * height
        axes.fill(
            [x, x + _CARD - 14, x + _CARD - 14, x],
            [y, y, y + 2 * _LINE, y + 2 * _LINE],
            color="#f1f4f9",
            linewidth=0,
        )
        canvas.write(axes, x + 8, y + 11, canvas.legible(text, 70), size=9, weight="bold")
        about = canvas.legible(f"class: {name(label)}", 74)
        canvas.write(axes, x + 8, y + 28, about, size=8, color=canvas.GRAY)
        canvas.write(
            axes,
            x + _CARD - 22,
            y + 28,
            f"AP {precision:.2f}",
            size=8,
            color=canvas.GRAY,
            ha="right",
        )
        for line, (right, distance, neighbor, other) in enumerate(answers):
            height_here, color = y + (2.7 + line) * _LINE, canvas.RIGHT if right else canvas.WRONG
            mark = "\u2713" if right else "\u2717"
            canvas.write(axes, x + 8, height_here, mark, size=9, weight="bold", color=color)
            canvas.write(axes, x + 26, height_here, f"{distance:.2f}", size=8, color=canvas.GRAY)
            canvas.write(
                axes,
                x + 60,
                height_here,
                canvas.legible(neighbor, 62 if not right else 90),
                size=8,
            )
            if not right:
                words = canvas.legible(name(other), 24)
                canvas.write(axes, x + _CARD - 22, height_here, words, size=8, color=canvas.WRONG, ha="right")
    return figure

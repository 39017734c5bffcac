"""The embeddings laid out on a plane, so that an eye can see what lies near what."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from metric_learning.labels import rarest_class
from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.sheet import Sheet
from metric_learning.types import Items

_SIDE, _TOP, _MARGIN, _LEGEND, _CELL, _THUMB, _FRAME = 1400, 84, 16, 190, 35, 33, 3  # pixels
_FEW = 20  # up to so many classes get a color each and a legend
PALETTE = (
    "#2c6fbb #e08a1e #1a8f4c #d4352c #7b519d #8c6d31 #c2467d #5b6b7f #a3a83b #2a9d9d "
    "#89b4e8 #f4bd7a #86cfa0 #f09490 #bfa0d8 #c9b383 #e9a3c4 #a7b3c2 #cdd186 #8fd3d3"
).split()


def embedding_map(
    path: str | Path,
    split: Items,
    embeddings: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    distance: str = "cosine",
    title: str = "",
    limit: int = 1000,
    layout: tuple[np.ndarray, np.ndarray] | None = None,
) -> Path:
    """Draws a t-SNE map: images as thumbnails, texts as dots, some with their first words.

    Args:
        path: of the PNG.
        split: anything with `inputs`, `labels` and `captions`; a row of several classes counts for its rarest. uint8
            [n, h, w, c] inputs are drawn as images.
        embeddings: [n, D] of the split.
        class_names: name of each label; the caption of a class's first item when None.
        distance: rows are normalized first for "cosine".
        title: names data, split and scores.
        limit: items shown, chosen by `whole_classes`.
        layout: what `lay_out` gives for the same; None to ask it.

    Returns:
        The path.

    Reference:
        van der Maaten, Hinton, "Visualizing Data using t-SNE", JMLR 2008.
    """
    labels = rarest_class(split.labels)
    shown, points = layout or lay_out(labels, embeddings, distance, limit)
    num_classes = len(np.unique(labels))
    labels = labels[shown]
    present = np.unique(labels)
    is_image = len(split.inputs.shape) == 4
    few = len(present) <= _FEW
    sheet = Sheet(_SIDE + (_LEGEND if few else 0), _SIDE + _TOP)
    sheet.heading(
        title,
        f"t-SNE of {len(shown):,} of {len(split.labels):,} embeddings, {len(present):,} of "
        f"{num_classes:,} classes.  Near means alike; directions mean nothing.  "
        + ("Images are moved to a free cell nearby." if is_image else "Classes share 20 colors."),
    )

    def name(label):
        return split.captions[shown[np.argmax(labels == label)]] if class_names is None else class_names[label]

    palette = {label: PALETTE[place % len(PALETTE)] for place, label in enumerate(present)}
    colors = [palette[label] for label in labels]
    if is_image:
        _draw_thumbnails(sheet, split.inputs[shown], points, frames=colors if few else None)
    else:
        _draw_texts(sheet, points, [split.captions[row] for row in shown], colors)
    if few:
        _draw_legend(sheet, [(name(label), palette[label]) for label in present])
    return sheet.save(path)


def lay_out(
    labels: np.ndarray, embeddings: ArrayLike, distance: str, limit: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Which items a map shows and where.

    Args:
        labels: [n], one class a row.
        embeddings: [n, D].
        distance, limit: see `embedding_map`.

    Returns:
        int64 [m] rows, and float64 [m, 2] places.
    """
    shown = whole_classes(labels, limit)
    return shown, plane(np.asarray(embeddings, np.float32)[shown], distance)


def whole_classes(labels: np.ndarray, limit: int) -> np.ndarray:
    """Rows of at most `limit` items: classes in a fixed random order, each whole as long as it fits.

    A class larger than its fair share of at least 32 items is thinned out evenly, so that ten large classes all show.

    Returns:
        int64 rows, ascending.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    present = np.unique(labels)
    share = max(32, limit // len(present))
    chosen, left = [], limit
    for label in np.random.default_rng(0).permutation(present):
        rows = np.flatnonzero(labels == label)
        if len(rows) > share:
            rows = rows[np.linspace(0, len(rows) - 1, share).astype(np.int64)]
        if len(rows) <= left:
            chosen.append(rows)
            left -= len(rows)
    return np.sort(np.concatenate(chosen)) if chosen else np.arange(limit)


def plane(embeddings: np.ndarray, distance: str) -> np.ndarray:
    """[n, 2] float64: t-SNE started from the principal components; those alone where t-SNE has nothing to do."""
    if distance == "cosine":
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        embeddings = embeddings / np.where(lengths > 0, lengths, 1)
    centered = np.asarray(embeddings - embeddings.mean(axis=0), np.float64)
    # Threads of the products, and those of t-SNE, wait for each other in busy loops: one is faster wherever anything
    # else runs.
    with threadpool_limits(1):
        components, spread = principal_components(centered)
        # Too few items, no more than two dimensions, or a collapsed encoder, whose spread t-SNE would divide by.
        least = max(1e-6 * np.abs(embeddings).max(), 1e-7 * spread.max(), 1e-36)
        if len(centered) < 10 or np.count_nonzero(spread > least) <= 2:
            return components
        from sklearn.manifold import TSNE  # takes a second, which those who only search need not wait

        components *= 1e-4 / components[:, 0].std()
        # Of 1,000 emoji half the time of 600 iterations at the default angle, and as good: trustworthiness of 10
        # neighbors .957 against .960, and of 5 neighbors on the plane as many are of the class, .676 against .672.
        quick: dict[str, Any] = {"max_iter": 400, "angle": 0.7}
        tsne = TSNE(init=components, perplexity=min(12, (len(centered) - 1) / 3), random_state=0, **quick)
        return tsne.fit_transform(centered.astype(np.float32)).astype(np.float64)


def principal_components(centered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([n, 2] the first two components, [at most 3] the largest singular values), of rows [n, D] whose mean is 0."""
    from scipy.linalg import eigh

    is_wide = centered.shape[1] > centered.shape[0]
    products = centered @ centered.T if is_wide else centered.T @ centered
    last = len(products) - 1
    values, vectors = eigh(products, subset_by_index=(max(0, last - 2), last))
    sizes, vectors = np.sqrt(np.maximum(values[::-1], 0)), vectors[:, ::-1]
    found = (vectors * sizes if is_wide else centered @ vectors)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1]))), sizes


def relative(points: np.ndarray) -> np.ndarray:
    """Coordinates in [0, 1], each axis stretched on its own; 0.5 where it has no extent."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    return np.where(extent > 0, (points - low) / np.where(extent > 0, extent, 1), 0.5)


def _free_cells(points):
    """[n, 2] pixels: each point on a cell of a grid of its own, the sum of squared moves being least."""
    from scipy.optimize import linear_sum_assignment

    per_side = (_SIDE - 2 * _MARGIN) // _CELL
    column, row = np.meshgrid(np.arange(per_side), np.arange(per_side))
    cells = np.stack([column.ravel(), row.ravel()], axis=1)
    wanted = relative(points) * (per_side - 1)
    moves = ((wanted[:, None] - cells[None]) ** 2).sum(axis=-1)
    return _MARGIN + cells[linear_sum_assignment(moves)[1]] * _CELL


def _draw_thumbnails(sheet, images, points, frames):
    for number, (image, (x, y)) in enumerate(zip(images, _free_cells(points), strict=True)):
        frame = _FRAME if frames else 0
        if frames:
            sheet.fill(x, _TOP + y, _THUMB, _THUMB, frames[number])
        sheet.put(canvas.tile(image, _THUMB - 2 * frame), x + frame, _TOP + y + frame)


def _draw_legend(sheet, entries):
    """Names and colors of a few classes, on the strip to the right of the map."""
    for line, (name, color) in enumerate(entries):
        y = _TOP + 40 + 30 * line
        sheet.fill(_SIDE + 7, y - 7, 14, 14, color)
        sheet.write(_SIDE + 30, y, name, size=11, room=_LEGEND - 36)


def _draw_texts(sheet, points, texts, colors):
    """A dot per text, and its first words beside it where no other words stand."""
    dots = relative(points) * (_SIDE - 190, _SIDE - 50) + (25, _TOP + 20)
    sheet.dots(dots, colors)
    # Cells of a coarse raster that words cover; dots may be written over, words not.
    taken = np.zeros((_SIDE + _TOP, _SIDE), bool)
    for place in np.random.default_rng(0).permutation(len(dots)):
        x, y = dots[place]
        words = canvas.legible(texts[place], 22)
        area = taken[int(y) - 8 : int(y) + 8, int(x) + 4 : int(x) + 12 + int(6.2 * len(words))]
        if not area.any():
            area[:] = True
            sheet.write(x + 6, y, words, size=8)

"""The embeddings laid out on a plane, so that an eye can see what lies near what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from metric_learning.labels import rarest_class
from metric_learning.report.pictures import canvas
from metric_learning.types import Items

_SIDE, _TOP, _MARGIN, _LEGEND, _CELL, _THUMB = 1400, 84, 16, 190, 35, 33  # pixels
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
    width = _SIDE + (_LEGEND if few else 0)
    figure, axes = canvas.blank_page(width, _SIDE + _TOP)
    canvas.heading(
        figure,
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
        images = split.inputs[shown]
        _draw_thumbnails(axes, images, points, frames=colors if few else None)
    else:
        _draw_texts(axes, points, [split.captions[row] for row in shown], colors)
    if few:
        _draw_legend(axes, [(name(label), palette[label]) for label in present])
    axes.set(xlim=(0, width), ylim=(_SIDE + _TOP, 0))  # imshow and scatter move them
    return canvas.save(figure, path)


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
    """Rows of at most `limit` items: classes in a fixed random order, each whole as long as it
    fits.

    A class larger than its fair share of at least 32 items is thinned out evenly, so that ten large
    classes all show.

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
    """[n, 2] float64: t-SNE started from the principal components; those alone where t-SNE has
    nothing to do."""
    if distance == "cosine":
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        embeddings = embeddings / np.where(lengths > 0, lengths, 1)
    centered = np.asarray(embeddings - embeddings.mean(axis=0), np.float64)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    sizes[len(centered[0]) :] = 0
    components = np.zeros((len(centered), 2))
    components[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    # Too few items, no more than two dimensions, or a collapsed encoder, whose spread t-SNE would
    # divide by.
    if len(centered) < 10 or np.count_nonzero(sizes > 1e-6 * max(1e-30, np.abs(embeddings).max())) <= 2:
        return components
    components *= 1e-4 / components[:, 0].std()
    from sklearn.manifold import TSNE  # takes a second, which those who only search need not wait

    tsne = TSNE(init=components, perplexity=min(12, (len(centered) - 1) / 3), max_iter=600, random_state=0)
    # Its threads wait for each other in busy loops: one is faster wherever anything else runs.
    with threadpool_limits(1):
        return tsne.fit_transform(centered.astype(np.float32)).astype(np.float64)


def relative(points: np.ndarray) -> np.ndarray:
    """Coordinates in [0, 1], each axis stretched on its own; 0.5 where it has no extent."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    return np.where(extent > 0, (points - low) / np.where(extent > 0, extent, 1), 0.5)


def _free_cells(points):
    """[n, 2] pixels: each point on a cell of a grid of its own, the sum of squared moves being
    least."""
    from scipy.optimize import linear_sum_assignment

    per_side = (_SIDE - 2 * _MARGIN) // _CELL
    column, row = np.meshgrid(np.arange(per_side), np.arange(per_side))
    cells = np.stack([column.ravel(), row.ravel()], axis=1)
    wanted = relative(points) * (per_side - 1)
    moves = ((wanted[:, None] - cells[None]) ** 2).sum(axis=-1)
    return _MARGIN + cells[linear_sum_assignment(moves)[1]] * _CELL


def _draw_thumbnails(axes, images, points, frames):
    """One raster for all thumbnails: a thousand drawn one by one would take seconds."""
    page = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    for number, (image, (left, top)) in enumerate(zip(images, _free_cells(points), strict=True)):
        cell = page[top : top + _THUMB, left : left + _THUMB]
        cell[:] = canvas.tile(image, _THUMB)
        if frames:
            rgb = [int(frames[number][i : i + 2], 16) for i in (1, 3, 5)]
            cell[:3], cell[-3:], cell[:, :3], cell[:, -3:] = rgb, rgb, rgb, rgb
    axes.imshow(page, extent=(0, _SIDE, _SIDE + _TOP, _TOP), interpolation="nearest")


def _draw_legend(axes, entries):
    """Names and colors of a few classes, on the strip to the right of the map."""
    for line, (name, color) in enumerate(entries):
        y = _TOP + 40 + 30 * line
        axes.scatter([_SIDE + 14], [y], s=110, marker="s", color=color, linewidths=0)
        canvas.write(axes, _SIDE + 30, y, canvas.legible(name, 19), size=11)


def _draw_texts(axes, points, texts, colors):
    """A dot per text, and its first words beside it where no other words stand."""
    dots = relative(points) * (_SIDE - 190, _SIDE - 50) + (25, _TOP + 20)
    axes.scatter(*dots.T, s=26, c=colors, alpha=0.8, linewidths=0)
    # Cells of a coarse raster that words cover; dots may be written over, words not.
    taken = np.zeros((_SIDE + _TOP, _SIDE), bool)
    for place in np.random.default_rng(0).permutation(len(dots)):
        x, y = dots[place]
        words = canvas.legible(texts[place], 22)
        area = taken[int(y) - 8 : int(y) + 8, int(x) + 4 : int(x) + 12 + int(6.2 * len(words))]
        if not area.any():
            area[:] = True
            canvas.write(axes, x + 6, y, words, size=8)

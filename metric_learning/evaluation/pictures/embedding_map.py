"""The embeddings laid out on a plane, so that an eye can see what lies near what."""

import numpy as np
from sklearn.manifold import TSNE

from metric_learning.evaluation.pictures import canvas

_SIDE, _TOP, _THUMB = 1400, 84, 30  # pixels
_FEW = 20  # up to so many classes get a colour each and a legend
_PALETTE = (
    "#2c6fbb #e08a1e #1a8f4c #d4352c #7b519d #8c6d31 #c2467d #5b6b7f #a3a83b #2a9d9d "
    "#89b4e8 #f4bd7a #86cfa0 #f09490 #bfa0d8 #c9b383 #e9a3c4 #a7b3c2 #cdd186 #8fd3d3"
).split()


def embedding_map(path, split, embeddings, *, class_names=None, distance="cosine", title="", limit=1000):
    """Draws a t-SNE map: images as thumbnails, texts as dots with the names of their classes.

    Args:
        path: of the PNG.
        split: anything with `inputs`, `labels` and `captions`; uint8 [n, h, w, c] inputs are drawn
            as images.
        embeddings: [n, D] of the split.
        class_names: name of each label; the caption of a class's first item when None.
        distance: rows are normalised first for "cosine".
        title: names data, split and scores.
        limit: items shown, chosen by `whole_classes`.

    Returns:
        The path.

    Reference:
        van der Maaten, Hinton, "Visualizing Data using t-SNE", JMLR 2008.
    """
    labels = np.asarray(split.labels)
    shown = whole_classes(labels, limit)
    points = _on_page(plane(np.asarray(embeddings, np.float32)[shown], distance))
    labels = labels[shown]
    present = np.unique(labels)
    figure, axes = canvas.blank_page(_SIDE, _SIDE + _TOP)
    canvas.heading(
        figure,
        title,
        f"t-SNE of {len(shown):,} of {len(split.labels):,} embeddings, {len(present):,} of "
        f"{len(np.unique(split.labels)):,} classes.  Only nearness means something: directions "
        "and sizes do not.",
    )

    def name(label):
        return split.captions[shown[np.argmax(labels == label)]] if class_names is None else class_names[label]

    colors = {label: _PALETTE[place % len(_PALETTE)] for place, label in enumerate(present)}
    if np.ndim(split.inputs) == 4:
        frames = [colors[label] for label in labels] if len(present) <= _FEW else None
        _draw_thumbnails(axes, [split.inputs[row] for row in shown], points, frames)
    else:
        axes.scatter(*points.T, s=26, c=[colors[label] for label in labels], alpha=0.75, linewidths=0)
        if len(present) > _FEW:
            _draw_names(axes, points, labels, name, colors)
    if len(present) <= _FEW:
        handles = [
            axes.scatter([], [], s=60, color=colors[label], label=canvas.legible(name(label), 26)) for label in present
        ]
        legend = axes.legend(handles=handles, loc="lower right", fontsize=11, framealpha=0.9, edgecolor=canvas.PALE)
        for text in legend.get_texts():
            text.set_parse_math(False)
    axes.set(xlim=(0, _SIDE), ylim=(_SIDE + _TOP, 0))
    return canvas.save(figure, path)


def whole_classes(labels, limit):
    """Rows of at most `limit` items: classes in a fixed random order, each whole as long as it
    fits.

    A class larger than its fair share of at least 8 items is thinned out evenly, so that ten large
    classes all show.

    Returns:
        int64 rows, ascending.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    present = np.unique(labels)
    share = max(8, limit // len(present))
    chosen, left = [], limit
    for label in np.random.default_rng(0).permutation(present):
        rows = np.flatnonzero(labels == label)
        if len(rows) > share:
            rows = rows[np.linspace(0, len(rows) - 1, share).astype(np.int64)]
        if len(rows) <= left:
            chosen.append(rows)
            left -= len(rows)
    return np.sort(np.concatenate(chosen)) if chosen else np.arange(limit)


def plane(embeddings, distance):
    """[n, 2] float64: t-SNE started from the principal components; those alone where t-SNE has
    nothing to do."""
    if distance == "cosine":
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        embeddings = embeddings / np.where(lengths > 0, lengths, 1)
    centred = np.asarray(embeddings - embeddings.mean(axis=0), np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    sizes[len(centred[0]) :] = 0
    components = np.zeros((len(centred), 2))
    components[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    # Too few items, no more than two dimensions, or a collapsed encoder, whose spread t-SNE would
    # divide by.
    if len(centred) < 10 or np.count_nonzero(sizes > 1e-6 * max(1e-30, np.abs(embeddings).max())) <= 2:
        return components
    components *= 1e-4 / components[:, 0].std()
    # 500 steps: twice as many lower its objective by less than a tenth and double the time of the
    # whole report.
    tsne = TSNE(init=components, perplexity=min(12, (len(centred) - 1) / 3), max_iter=500, random_state=0)
    return tsne.fit_transform(centred.astype(np.float32)).astype(np.float64)


def _on_page(points):
    """Pixels, each axis stretched to fill the page."""
    low, high = points.min(axis=0), points.max(axis=0)
    relative = np.where(high > low, (points - low) / np.where(high > low, high - low, 1), 0.5)
    return 24 + _THUMB / 2 + relative * (_SIDE - 48 - _THUMB) + np.array([0, _TOP - 12])


def _draw_thumbnails(axes, images, points, frames):
    """One raster for all thumbnails: a thousand drawn one by one would take seconds."""
    page = np.full((_SIDE + _TOP, _SIDE, 3), 255, np.uint8)
    for number, (image, (x, y)) in enumerate(zip(images, points, strict=True)):
        picture = canvas.tile(image, _THUMB)
        if frames:
            rgb = [int(frames[number][i : i + 2], 16) for i in (1, 3, 5)]
            picture = picture.copy()
            picture[:3], picture[-3:], picture[:, :3], picture[:, -3:] = rgb, rgb, rgb, rgb
        left, top = int(x) - _THUMB // 2, int(y) - _THUMB // 2
        place = page[top : top + _THUMB, left : left + _THUMB]
        # The darker of both, as with slides laid over each other: a white ground hides no
        # neighbour.
        place[:] = picture if frames else np.minimum(place, picture)
    axes.imshow(page, extent=(0, _SIDE, _SIDE + _TOP, 0), interpolation="nearest")


def _draw_names(axes, points, labels, name, colors):
    """Each class's name at its most central item, largest classes first, where no other name
    stands."""
    taken = []
    present, counts = np.unique(labels, return_counts=True)
    for label in present[np.argsort(-counts, kind="stable")]:
        own = points[labels == label]
        x, y = own[np.argmin(((own[:, None] - own[None]) ** 2).sum(-1).sum(-1))]
        text = canvas.legible(name(label), 24)
        half = 3.4 * len(text) + 4
        x = min(max(x, half + 4), _SIDE - half - 4)
        if any(abs(x - other) < half + width and abs(y - level) < 15 for other, level, width in taken):
            continue
        taken.append((x, y, half))
        box = {
            "facecolor": "white",
            "edgecolor": colors[label],
            "alpha": 0.85,
            "pad": 1.5,
            "linewidth": 0.8,
        }
        canvas.write(axes, x, y, text, size=8, ha="center", bbox=box)

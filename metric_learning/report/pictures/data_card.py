"""The data of a run at a glance: how much, how large the classes are, what items look like, what is there twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from metric_learning.labels import class_words, rarest_class
from metric_learning.report.pictures import canvas
from metric_learning.types import Items

_WIDTH, _TOP, _ROW, _LINE = 1500, 92, 212, 18  # pixels
_HISTOGRAM, _SAMPLES, _TILE, _GAP = (250, 330), 630, 84, 6  # left and width of the one, left of the other
_WHOLE = 30  # up to so many sizes each has a bar of its own
_SHOWN = 18
_COLORS = {"train": canvas.BLUE, "validation": canvas.ORANGE, "test": canvas.RIGHT, "gallery": "#7b519d"}


def data_card(
    path: str | Path,
    card: Mapping[str, Any],
    splits: Mapping[str, Items],
    *,
    class_names: tuple[str, ...],
    title: str = "Data",
) -> Path:
    """Draws the card of the data: for each split its counts, a histogram of its class sizes and some items of different
    classes, and below them what was found twice.

    Args:
        path: of the PNG.
        card: as in `data.json`.
        splits: name -> split, those of the card. uint8 [n, h, w, c] inputs are drawn as images, float32 [n, F] as
            colors, of all others the captions are shown.
        class_names: name of each label.
        title: names the data.

    Returns:
        The path.
    """
    found = _twice(card)
    height = _TOP + _ROW * len(splits) + 34 + _LINE * len(found)
    figure, page = canvas.blank_page(_WIDTH, height)
    shape = " x ".join(map(str, card["input_shape"]))
    unseen = "no class is in two splits" if card["unseen_classes"] else "classes may be in several splits"
    canvas.heading(figure, title, f"{card['kind']} of {shape}; {unseen}; samples are of different classes")
    sizes = {name: class_sizes(split.labels) for name, split in splits.items()}
    edges = size_edges(np.concatenate(list(sizes.values())))
    for place, (name, split) in enumerate(splits.items()):
        top, color = _TOP + place * _ROW, _COLORS.get(name, canvas.GRAY)
        _write_counts(page, top, name, card["splits"][name], color)
        _draw_sizes(figure, height, top, sizes[name], edges, color)
        rows = sample_rows(split.labels, _SHOWN)
        _draw_samples(page, top, split, rows, class_names)
    bottom = _TOP + _ROW * len(splits) + 14
    for line, (text, color) in enumerate(found):
        canvas.write(page, 16, bottom + _LINE * line, text, size=9.5, color=color)
    page.set(xlim=(0, _WIDTH), ylim=(height, 0))  # imshow moves them
    return canvas.save(figure, path)


def class_sizes(labels: np.ndarray) -> np.ndarray:
    """int64 [classes that occur], how many items each has; of labels [n, C], several a row, all of them count."""
    if labels.ndim == 2:
        counts = (labels > 0).sum(axis=0)
        return counts[counts > 0]
    return np.unique(labels, return_counts=True)[1]


def size_edges(sizes: np.ndarray) -> np.ndarray:
    """Edges of the bins of class sizes: one for each size while they are few, and then bins that grow with the size."""
    smallest, largest = int(sizes.min()), int(sizes.max())
    if largest - smallest < _WHOLE:
        return np.arange(smallest, largest + 2) - 0.5
    return np.unique(np.rint(np.geomspace(smallest, largest + 1, _WHOLE))) - 0.5


def sample_rows(labels: np.ndarray, count: int) -> np.ndarray:
    """int64, at most `count` rows, each of another class, always the same ones; fewer if there are fewer classes."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    _, first = np.unique(rarest_class(labels)[shuffled], return_index=True)
    return shuffled[np.sort(np.random.default_rng(1).permutation(first)[:count])]


def _write_counts(page, top, name, counts, color):
    sizes = counts["class_sizes"]
    page.plot([16, 16], [top + 4, top + _ROW - 40], color=color, linewidth=3)
    canvas.write(page, 28, top + 14, name, size=13, weight="bold")
    lines = [
        f"{counts['classes']:,} classes",
        f"{counts['items']:,} items",
        *(
            [f"{sizes['smallest']:,} of each class"]
            if sizes["smallest"] == sizes["largest"]
            else [f"{sizes['smallest']:,} to {sizes['largest']:,} of a class,", f"the median is {sizes['median']:g}"]
        ),
    ]
    for line, text in enumerate(lines):
        canvas.write(page, 28, top + 44 + _LINE * line, text, size=10, color=canvas.INK if line < 2 else canvas.GRAY)


def _draw_sizes(figure, height, top, sizes, edges, color):
    left, width = _HISTOGRAM
    axes = figure.add_axes(
        (left / _WIDTH, 1 - (top + _ROW - 52) / height, width / _WIDTH, (_ROW - 72) / height), facecolor="none"
    )
    canvas.tidy(axes, "items of a class", "")
    axes.stairs(np.histogram(sizes, edges)[0], edges, fill=True, color=color, alpha=0.75)
    axes.set_ylabel("classes", color=canvas.INK, fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylim(bottom=0)
    if np.ptp(np.diff(edges)) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set_xlim(min(edges[0], edges[-1] - 5) - 0.2, edges[-1] + 0.2)  # a single size is no wall


def _draw_samples(page, top, split, rows, class_names):
    inputs = np.asarray(split.inputs[rows])
    right = _WIDTH - 16
    if inputs.ndim == 4:
        across = (right - _SAMPLES + _GAP) // (_TILE + _GAP)
        for place, image in enumerate(inputs):
            x = _SAMPLES + place % across * (_TILE + _GAP)
            y = top + 4 + place // across * (_TILE + _GAP)
            page.imshow(
                canvas.tile(image, _TILE), extent=(x, x + _TILE, y + _TILE, y), aspect="auto", interpolation="nearest"
            )
        return
    if inputs.dtype == np.float32:
        # Each row in the colors of its own range, as features of any scale come.
        spread = np.abs(inputs).max(axis=1, keepdims=True)
        shades = inputs / np.where(spread > 0, spread, 1)
        page.imshow(
            shades,
            extent=(_SAMPLES, right, top + _ROW - 48, top + 4),
            aspect="auto",
            interpolation="nearest",
            cmap="coolwarm",
            vmin=-1,
            vmax=1,
        )
        about = f"{len(rows)} rows of {inputs.shape[1]:,} numbers: below 0 blue, above 0 red"
        canvas.write(page, _SAMPLES, top + _ROW - 32, about, size=9, color=canvas.GRAY)
        return
    for line, row in enumerate(rows[: (_ROW - 24) // _LINE]):
        y = top + 14 + _LINE * line
        name = class_words(split.labels[row], class_names)
        canvas.write(page, _SAMPLES, y, canvas.legible(name, 26), size=8.5, weight="bold")
        canvas.write(page, _SAMPLES + 200, y, canvas.legible(split.captions[row], 92), size=8.5)


def _twice(card):
    """Lines about what is there twice, each with its color."""
    said = []
    for name, counts in card["splits"].items():
        if counts["listed_again"]:
            said.append(f"{counts['listed_again']:,} items of {name} are listed again")
    said += [f"{count:,} items are in {names}" for names, count in card["in_two_splits"].items()]
    for names, count in card["copies"].items():
        of, _, copied = names.partition(" and ")
        said.append(f"{count:,} items of {copied or of} are copies of {'items' if copied else 'other items'} of {of}")
    return [(text, canvas.WRONG) for text in said] or [("nothing is there twice", canvas.GRAY)]

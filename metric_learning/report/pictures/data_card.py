"""The data of a run at a glance: how much, how large the classes are, what items look like, what is there twice."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from metric_learning.labels import class_words, rarest_class
from metric_learning.report.pictures import canvas
from metric_learning.report.pictures.sheet import Sheet
from metric_learning.types import Items

_WIDTH, _TOP, _ROW, _LINE = 1500, 92, 212, 18  # pixels
_HISTOGRAM, _SAMPLES, _TILE, _GAP = 210, 630, 84, 6  # left sides; of the tiles
_WHOLE, _NAMED = 30, 9  # up to so many sizes each has a bar of its own, and its number below
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
    sheet = Sheet(_WIDTH, _TOP + _ROW * len(splits) + 34 + _LINE * len(found))
    shape = " x ".join(map(str, card["input_shape"]))
    unseen = "no class is in two splits" if card["unseen_classes"] else "classes may be in several splits"
    sheet.heading(title, f"{card['kind']} of {shape}; {unseen}; samples are of different classes")
    sizes = {name: class_sizes(split.labels) for name, split in splits.items()}
    edges = size_edges(np.concatenate(list(sizes.values())))
    for place, (name, split) in enumerate(splits.items()):
        top, color = _TOP + place * _ROW, _COLORS.get(name, canvas.GRAY)
        _write_counts(sheet, top, name, card["splits"][name], color)
        _draw_sizes(sheet, top, sizes[name], edges, color)
        _draw_samples(sheet, top, split, sample_rows(split.labels, _SHOWN), class_names)
    bottom = _TOP + _ROW * len(splits) + 14
    for line, (text, color) in enumerate(found):
        sheet.write(16, bottom + _LINE * line, text, size=9.5, color=color)
    return sheet.save(path)


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


def _write_counts(sheet, top, name, counts, color):
    sizes = counts["class_sizes"]
    sheet.fill(14, top + 4, 4, _ROW - 44, color)
    sheet.write(28, top + 14, name, size=13, weight="bold")
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
        sheet.write(28, top + 44 + _LINE * line, text, color=canvas.INK if line < 2 else canvas.GRAY)


def _draw_sizes(sheet, top, sizes, edges, color):
    """Bars as wide as their bins are in number of sizes, or by the logarithm of the size where they grow with it."""
    counts = np.histogram(sizes, edges)[0]
    left, right, high, low = _HISTOGRAM + 56, _SAMPLES - 40, top + 20, top + _ROW - 60
    is_log = np.ptp(np.diff(edges)) > 0
    along = np.log(edges) if is_log else edges
    room = max(along[-1] - along[0], 0 if is_log else 5)  # a single size is no wall
    places = left + (right - left) * ((along - along[0]) / room + (1 - (along[-1] - along[0]) / room) / 2)
    for start, end, count in zip(places[:-1], places[1:], counts.tolist(), strict=True):
        height = (low - high) * count / counts.max()
        if count:
            sheet.fill(start + 0.5, low - max(1, height), max(1, end - start - 1), max(1, height), color)
    sheet.fill(left - 4, low, right - left + 8, 1, canvas.GRAY)
    for y, count in ((low - 6, 0), (high + 4, int(counts.max()))):
        sheet.write(left - 10, y, f"{count:,}", size=9, color=canvas.GRAY, ha="right")
    shown = len(counts) if len(counts) <= _NAMED else 4
    ticks = np.unique(np.rint(np.linspace(0, len(counts) - 1, shown)).astype(int))
    for tick in ticks.tolist():
        size = math.ceil(edges[tick + 1] - 1) if tick == len(counts) - 1 else math.ceil(edges[tick])
        sheet.write(
            (places[tick] + places[tick + 1]) / 2, low + 13, f"{size:,}", size=9, color=canvas.GRAY, ha="center"
        )
    sheet.write((left + right) / 2, low + 32, "items of a class", size=9, ha="center")
    sheet.write(left - 10, high - 14, "classes", size=9, ha="right")


def _draw_samples(sheet, top, split, rows, class_names):
    inputs = np.asarray(split.inputs[rows])
    right = _WIDTH - 16
    if inputs.ndim == 4:
        across = (right - _SAMPLES + _GAP) // (_TILE + _GAP)
        for place, image in enumerate(inputs):
            x = _SAMPLES + place % across * (_TILE + _GAP)
            y = top + 4 + place // across * (_TILE + _GAP)
            sheet.put(canvas.tile(image, _TILE), x, y)
        return
    if inputs.dtype == np.float32:
        # Each row in the colors of its own range, as features of any scale come.
        spread = np.abs(inputs).max(axis=1, keepdims=True)
        shades = inputs / np.where(spread > 0, spread, 1)
        colors = matplotlib.colormaps["coolwarm"]((shades + 1) / 2, bytes=True)[..., :3]
        size = right - _SAMPLES, _ROW - 52
        sheet.put(Image.fromarray(colors).resize(size, Image.Resampling.NEAREST), _SAMPLES, top + 4)
        about = f"{len(rows)} rows of {inputs.shape[1]:,} numbers: below 0 blue, above 0 red"
        sheet.write(_SAMPLES, top + _ROW - 32, about, size=9, color=canvas.GRAY)
        return
    for line, row in enumerate(rows[: (_ROW - 24) // _LINE]):
        y = top + 14 + _LINE * line
        sheet.write(_SAMPLES, y, class_words(split.labels[row], class_names), size=8.5, weight="bold", room=190)
        sheet.write(_SAMPLES + 200, y, split.captions[row], size=8.5, room=right - _SAMPLES - 200)


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

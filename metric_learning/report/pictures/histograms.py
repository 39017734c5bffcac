"""How far apart equal and different items lie, as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metric_learning.report.pairs import PairDistances
from metric_learning.report.pictures import canvas

_BINS = 120


def distance_histograms(
    path: str | Path, pairs: Mapping[str, PairDistances], *, distance: str = "cosine", title: str = ""
) -> Path:
    """Draws the distances of pairs of one class and of two, and the threshold that gets as many of both right.

    Args:
        path: of the PNG.
        pairs: name of an encoder -> its distances, see `pairs_of_encoders`; drawn one above the other.
        distance: its name, for the axis.
        title: names data and split.

    Returns:
        The path.
    """
    height = 100 + 290 * len(pairs)
    figure = canvas.new_figure(1100, height)
    layout = figure.add_gridspec(
        len(pairs), 1, left=0.03, right=0.97, bottom=55 / height, top=1 - 110 / height, hspace=0.5
    )
    for place, (name, each) in enumerate(pairs.items()):
        threshold, error = each.equal_error
        axes = figure.add_subplot(layout[place])
        canvas.tidy(
            axes,
            f"{distance.replace('_', ' ')} distance",
            f"{name}:  overlap {each.overlap:.0%},  equal error rate {error:.1%} at distance {threshold:.3g}",
        )
        _draw(axes, each)
    count = next(iter(pairs.values()))
    canvas.heading(
        figure,
        title,
        f"{len(count.near):,} pairs of one class and {len(count.far):,} of two.  As large a share of the former lies "
        "beyond the dashed threshold as of the latter within it.",
    )
    return canvas.save(figure, path)


def _draw(axes, pairs):
    edges = pairs.edges(_BINS)
    for values, name, color in (
        (pairs.near, "same class", canvas.RIGHT),
        (pairs.far, "different classes", canvas.WRONG),
    ):
        shares = np.histogram(values, edges)[0] / len(values)
        label = f"{name}, median {np.median(values):.3g}"
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(shares, edges, color=color, linewidth=1.5, label=label)
    axes.axvline(pairs.equal_error[0], color=canvas.INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9, frameon=False, loc="upper right")

"""How far apart equal and different items lie: the overlap is what a match by threshold gets
wrong."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.evaluation.names import numbered
from metric_learning.labels import are_alike, label_array, rarest_class
from metric_learning.report.pictures import canvas

_PAIRS, _BLOCK, _BINS = 200_000, 20_000, 120


def distance_histograms(
    path: str | Path,
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    distance: str = "cosine",
    untrained_embeddings: ArrayLike | None = None,
    title: str = "",
) -> Path:
    """Draws the distances of positive and of negative pairs, and the threshold that gets as many of
    both right.

    Args:
        path: of the PNG.
        embeddings: [n, D].
        labels: [n] integers, or [n, C] of several classes a row.
        ids: [n] integers or strings, which item each row is; rows of one item are no pair. None: each its own.
        distance: a name of `metric_learning.distances`.
        untrained_embeddings: [n, D'] of the same items before training, drawn above for comparison.
        title: names data and split.

    Returns:
        The path.

    Raises:
        ValueError: no two items share a label, or all do.
    """
    panels = pairs_of_encoders(
        embeddings, labels, ids=ids, distance=distance, untrained_embeddings=untrained_embeddings
    )
    num_positives, num_negatives = map(len, panels["Trained"])
    height = 100 + 290 * len(panels)
    figure = canvas.new_figure(1100, height)
    layout = figure.add_gridspec(
        len(panels), 1, left=0.03, right=0.97, bottom=55 / height, top=1 - 110 / height, hspace=0.5
    )
    for place, (name, (near, far)) in enumerate(panels.items()):
        threshold, error = equal_error(near, far)
        axes = figure.add_subplot(layout[place])
        canvas.tidy(
            axes,
            f"{distance.replace('_', ' ')} distance",
            f"{name}:  overlap {overlap(near, far):.0%},  equal error rate {error:.1%} at distance {threshold:.3g}",
        )
        _draw(axes, near, far, threshold)
    canvas.heading(
        figure,
        title,
        f"{num_positives:,} positive and {num_negatives:,} negative pairs.  At the dashed "
        "threshold the share of positives beyond it equals the share of negatives within it.",
    )
    return canvas.save(figure, path)


def pairs_of_encoders(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    distance: str = "cosine",
    untrained_embeddings: ArrayLike | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The distances that `distance_histograms` draws, see there.

    Returns:
        "Untrained", if there are such embeddings, and "Trained" -> distances of equal and of different pairs, float32.

    Raises:
        ValueError: no two items share a label, or all do.
    """
    labels = label_array(labels)
    positives, negatives = sample_pairs(rarest_class(labels))
    if labels.ndim == 2:
        negatives = negatives[~are_alike(labels[negatives[:, 0]] > 0, labels[negatives[:, 1]] > 0)]
    if ids is not None:
        (ids,) = numbered("ids", ids)
        positives, negatives = (pairs[ids[pairs[:, 0]] != ids[pairs[:, 1]]] for pairs in (positives, negatives))
    if not len(positives) or not len(negatives):
        raise ValueError("distance_histograms needs pairs of equal and of different labels; found none of one")
    encoders: dict[str, ArrayLike] = {"Trained": embeddings}
    if untrained_embeddings is not None:
        encoders = {"Untrained": untrained_embeddings} | encoders
    return {
        name: (paired_distances(rows, positives, distance), paired_distances(rows, negatives, distance))
        for name, rows in encoders.items()
    }


def sample_pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Up to 200,000 pairs of equal and of different labels, the same on every call.

    Returns:
        (positives, negatives): [p, 2] and [q, 2] int64 rows; no row is paired with itself, no pair
        occurs twice.
    """
    count = len(labels)
    order = np.random.default_rng(0).permutation(count)
    order = order[np.argsort(labels[order], kind="stable")]  # by class, shuffled within
    largest = int(np.unique(labels, return_counts=True)[1].max(initial=0))
    positives = []
    for step in range(1, largest):
        pairs = np.stack([order[:-step], order[step:]], axis=1)
        positives.append(pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]])
        if sum(map(len, positives)) >= _PAIRS:
            break
    # Steps of at most half the circle meet each pair once; they are taken in random order.
    circle = np.random.default_rng(1).permutation(count)
    negatives = []
    for step in np.random.default_rng(2).permutation(np.arange(1, (count + 1) // 2)):
        pairs = np.stack([circle, np.roll(circle, -step)], axis=1)
        negatives.append(pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]])
        if sum(map(len, negatives)) >= _PAIRS:
            break
    empty = np.zeros((0, 2), np.int64)
    return np.concatenate([empty, *positives])[:_PAIRS], np.concatenate([empty, *negatives])[:_PAIRS]


def paired_distances(embeddings: ArrayLike, pairs: np.ndarray, distance: str) -> np.ndarray:
    """[p] float32: the distance of each pair of rows, as `metric_learning.distances` defines it."""
    embeddings = np.asarray(embeddings, np.float32)
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BLOCK):
        block = slice(start, start + _BLOCK)
        found[block] = _distances(embeddings[pairs[block, 0]], embeddings[pairs[block, 1]], distance)
    return found


def _distances(left, right, distance):
    def dots(a, b):
        return np.einsum("nd,nd->n", a, b)

    if distance == "dot":
        return -dots(left, right)
    if distance == "cosine":
        lengths = np.sqrt(dots(left, left)) * np.sqrt(dots(right, right))
        return 1 - np.where(lengths > 0, dots(left, right) / np.where(lengths > 0, lengths, 1), 0)
    if distance == "snr":
        signal = left.var(axis=1)
        return np.where(signal > 0, (left - right).var(axis=1) / np.where(signal > 0, signal, 1), 0)
    if distance not in ("euclidean", "squared_euclidean"):
        raise ValueError(f"distance must be one of cosine, euclidean, squared_euclidean, dot, snr; got {distance!r}")
    squares = dots(left - right, left - right)
    return np.sqrt(squares) if distance == "euclidean" else squares


def equal_error(positives: np.ndarray, negatives: np.ndarray) -> tuple[float, float]:
    """(threshold, rate): where the share of positives farther equals the share of negatives
    nearer."""
    thresholds = np.sort(np.concatenate([positives, negatives]))
    missed = 1 - np.searchsorted(np.sort(positives), thresholds, side="right") / len(positives)
    accepted = np.searchsorted(np.sort(negatives), thresholds, side="right") / len(negatives)
    place = np.argmin(np.abs(missed - accepted))
    return float(thresholds[place]), float(missed[place] + accepted[place]) / 2


def overlap(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Common area of the two histograms, from 0 (apart) to 1 (the same)."""
    edges = _edges(positives, negatives)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (positives, negatives)]
    return float(np.minimum(*shares).sum())


def _edges(positives, negatives):
    low = min(positives.min(), negatives.min())
    high = max(positives.max(), negatives.max())
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _draw(axes, positives, negatives, threshold):
    edges = _edges(positives, negatives)
    for values, name, color in (
        (positives, "same class", canvas.RIGHT),
        (negatives, "different classes", canvas.WRONG),
    ):
        shares = np.histogram(values, edges)[0] / len(values)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(
            shares,
            edges,
            color=color,
            linewidth=1.5,
            label=f"{name}, median {np.median(values):.3g}",
        )
    axes.axvline(threshold, color=canvas.INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9, frameon=False, loc="upper right")

"""How embeddings lie in space, whatever is searched: alignment, uniformity, effective rank, and collapse.

All rows are brought to length 1 first, zero rows left out. The functions for one score give (value, standard error),
the error by the infinitesimal jackknife over classes: what the score would gain or lose with other classes.
"""

import warnings

import numpy as np

from metric_learning.evaluation.intervals import by_class

_MOST_ROWS = 8192  # of the pairs for uniformity, drawn from more


def geometry(rows: np.ndarray, classes: np.ndarray) -> dict[str, tuple[float, tuple[float, float]]]:
    """Alignment, uniformity and effective rank of rows [n, D] with classes [n]: name -> (score, 95 % interval); warns
    of a collapse.

    The interval is the score +- 1.96 standard errors, which derivatives give without drawing, cut where the range of
    the score ends, as a normal has no ends.
    """
    lengths = np.linalg.norm(np.asarray(rows, np.float64), axis=1, keepdims=True)
    there = lengths[:, 0] > 0
    rows, classes = rows[there] / lengths[there], np.asarray(classes)[there]
    found = {
        "alignment": alignment(rows, classes),
        "uniformity": uniformity(rows, classes),
        "effective_rank": effective_rank(rows, classes),
    }
    rank, pairs = found["effective_rank"][0], found["uniformity"][0]
    if len(rows) < 2 or rank < 2 or pairs > -0.1:
        warnings.warn(
            f"the embeddings have collapsed: their effective rank is {rank:.1f} and their uniformity {pairs:.2f}, "
            "where 1 and 0 mean that all are the same",
            stacklevel=2,
        )
    ranges = {"alignment": (0.0, 4.0), "uniformity": (-8.0, 0.0), "effective_rank": (1.0, float(rows.shape[1]))}
    return {
        name: (score, (max(least, score - 1.96 * error), min(most, score + 1.96 * error)))
        for (name, (score, error)), (least, most) in zip(found.items(), ranges.values(), strict=True)
    }


def alignment(rows: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Mean squared distance of the pairs of a class, in [0, 4]; 0 when classes are points. NaN without such a pair.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", ICML 2020, https://arxiv.org/abs/2005.10242, with their exponent 2.

    Example:
        >>> alignment(np.array([[1.0, 0], [0, 1], [1, 0]]), np.array([5, 5, 6]))[0]  # |(1, -1)|^2
        2.0
    """
    numbers = np.unique(classes, return_inverse=True)[1].reshape(-1)
    sizes, sums = np.bincount(numbers), by_class(rows, numbers)
    squares = np.bincount(numbers, np.einsum("nd,nd->n", rows, rows))
    # Of all ordered pairs of a class: sum |x - y|^2 = 2 n sum |x|^2 - 2 |sum x|^2.
    distances = 2 * sizes * squares - 2 * np.einsum("cd,cd->c", sums, sums)
    return _ratio(np.maximum(distances, 0.0), (sizes * (sizes - 1)).astype(float))


def uniformity(rows: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """ln of the mean of exp(-2 |x - y|^2) over all pairs, in [-8, 0]; near -4 for many dimensions spread evenly, 0 when
    all rows are one point. Wang and Isola 2020, as above. Of more than 8,192 rows, of so many drawn.

    Example:
        >>> round(uniformity(np.array([[1.0, 0], [0, 1]]), np.array([0, 1]))[0], 4)  # -2 |(1, -1)|^2
        -4.0
    """
    if len(rows) > _MOST_ROWS:
        drawn = np.random.default_rng(0).choice(len(rows), _MOST_ROWS, replace=False)
        rows, classes = rows[drawn], classes[drawn]
    rows = rows.astype(np.float32)
    squares = np.einsum("nd,nd->n", rows, rows)
    numbers = np.unique(classes, return_inverse=True)[1].reshape(-1)
    sums, within = np.empty((2, len(rows)))
    for start in range(0, len(rows), 1024):
        block = slice(start, start + 1024)
        distances = squares[block, None] + squares - 2 * rows[block] @ rows.T
        near = np.exp(-2 * np.maximum(distances, 0.0))
        near[np.arange(len(near)), np.arange(start, start + len(near))] = 0.0  # itself
        sums[block] = near.sum(axis=1, dtype=np.float64)
        within[block] = np.where(numbers[block, None] == numbers, near, 0.0).sum(axis=1, dtype=np.float64)
    num_pairs, total = len(rows) * (len(rows) - 1.0), sums.sum()
    if not total > 0:
        return float("nan"), float("nan")
    # A pair of two classes has an end in each, so both move it; a pair of one class is moved by that alone.
    sizes = np.bincount(numbers)
    moved = 2 * np.bincount(numbers, sums) - np.bincount(numbers, within)
    moved -= total / num_pairs * (2 * sizes * (len(rows) - 1) - sizes * (sizes - 1))
    error = np.sqrt(np.square(moved - moved.mean()).sum()) / total
    return float(np.log(total / num_pairs)), float(error)


def effective_rank(rows: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """exp of the entropy of the singular values as shares of their sum, from 1 to D: how many directions are in use.

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007. Of the rows without
    their mean.

    Example:
        >>> rows = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        >>> round(effective_rank(rows, np.arange(4))[0], 4)  # two directions, alike
        2.0
    """
    centered = rows - rows.mean(axis=0)
    squares, directions = np.linalg.eigh(centered.T @ centered)
    values = np.sqrt(np.maximum(squares, 0.0))
    total = values.sum()
    if not total > 1e-6 * np.sqrt(len(rows)):
        return 1.0, 0.0
    shares = values / total
    logs = np.log(np.where(shares > 0, shares, 1.0))
    entropy = -(shares * logs).sum()
    # What a row adds to the entropy, through what it adds to the squares of the singular values.
    slopes = np.divide(-(logs + entropy), 2 * values * total, out=np.zeros_like(values), where=shares > 1e-6)
    numbers = np.unique(classes, return_inverse=True)[1].reshape(-1)
    added = by_class((np.square(centered @ directions) @ slopes)[:, None], numbers)
    return float(np.exp(entropy)), float(np.exp(entropy) * np.sqrt(np.square(added).sum()))


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, float]:
    """sum(parts) / sum(wholes) over classes, and its standard error."""
    total = wholes.sum()
    if not total:
        return float("nan"), float("nan")
    ratio = parts.sum() / total
    return float(ratio), float(np.sqrt(np.square((parts - ratio * wholes) / total).sum()))

"""Whether the classes come back when the embeddings are clustered: k-means with as many clusters as classes."""

import numpy as np
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    homogeneity_completeness_v_measure,
)

from metric_learning.evaluation.intervals import around
from metric_learning.evaluation.search import k_means

_RESAMPLES = 400


def clustering(
    rows: np.ndarray, classes: np.ndarray, distance: str = "cosine", seed: int = 0
) -> dict[str, tuple[float, tuple[float, float]]]:
    """Scores of a k-means clustering of rows [n, D] against classes [n]: name -> (score, 95 % interval).

    "nmi": mutual information over the mean of the two entropies, in [0, 1], the same number as the V-measure,
    "v_measure"; "ami": adjusted for chance, 0 for a random clustering; "ari": the adjusted Rand index; "homogeneity":
    clusters hold one class; "completeness": classes are in one cluster. By scikit-learn. NMI grows with the number of
    clusters even for random ones: compare it between runs on the same data only.

    The interval holds the percentiles of drawing the classes again, 400 times, with the clusters as they are. k-means
    is FAISS's, 20 rounds from a start drawn by `seed`; for cosine distance of rows of length 1, around centers of
    length 1.
    """
    numbers = np.unique(classes, return_inverse=True)[1].reshape(-1)
    clusters = k_means(rows, int(numbers.max()) + 1, spherical=distance == "cosine", seed=seed)
    scores = clustering_scores(numbers, clusters)
    resamples = _resamples(numbers, clusters)
    nmi, ami = scores["nmi"], scores["ami"]
    # AMI = (NMI - e) / (1 - e) for the share e that chance would give, so that 1 - AMI is a multiple of 1 - NMI.
    resamples["ami"] = 1 - (1 - resamples["nmi"]) * ((1 - ami) / (1 - nmi) if nmi < 1 else 1.0)
    least = {"ami": -1.0, "ari": -1.0}
    num_classes = int(numbers.max()) + 1
    return {
        name: (score, around(resamples[name], score, num_classes, least.get(name, 0.0), 1.0))
        for name, score in scores.items()
    }


def clustering_scores(classes: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """The scores of `clustering` for clusters [n] that are there.

    Example:
        >>> round(clustering_scores([0, 0, 1, 1], [7, 7, 8, 9])["homogeneity"], 4)  # each cluster holds one class
        1.0
    """
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(classes, clusters)
    return {
        "nmi": float(v_measure),
        "ami": float(adjusted_mutual_info_score(classes, clusters)),
        "ari": float(adjusted_rand_score(classes, clusters)),
        "v_measure": float(v_measure),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
    }


def _resamples(numbers, clusters):
    """Each score [r] when the classes are drawn again, from the cells of the table alone."""
    clusters = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    num_classes, num_clusters = int(numbers.max()) + 1, int(clusters.max()) + 1
    cells, counts = np.unique(numbers * num_clusters + clusters, return_counts=True)
    of_class, of_cluster = np.divmod(cells, num_clusters)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        drawn = counts * rng.poisson(1.0, num_classes)[of_class]
        if not drawn.any():
            continue
        rows, columns = np.bincount(of_class, drawn), np.bincount(of_cluster, drawn)
        found.append(_scores_of_cells(drawn, rows, columns))
    return dict(zip(("nmi", "v_measure", "ari", "homogeneity", "completeness"), np.transpose(found), strict=True))


def _scores_of_cells(cells, rows, columns):
    total = cells.sum()
    of_classes, of_clusters, of_both = (_entropy(counts, total) for counts in (rows, columns, cells))
    information = of_classes + of_clusters - of_both
    homogeneity = information / of_classes if of_classes else 1.0
    completeness = information / of_clusters if of_clusters else 1.0
    mean = (of_classes + of_clusters) / 2
    nmi = information / mean if mean else 1.0
    pairs, of_rows, of_columns = ((counts * (counts - 1) / 2).sum() for counts in (cells, rows, columns))
    chance = of_rows * of_columns / max(total * (total - 1) / 2, 1)
    most = (of_rows + of_columns) / 2
    ari = (pairs - chance) / (most - chance) if most != chance else 1.0
    return nmi, nmi, ari, homogeneity, completeness


def _entropy(counts, total):
    shares = counts[counts > 0] / total
    return -(shares * np.log(shares)).sum()

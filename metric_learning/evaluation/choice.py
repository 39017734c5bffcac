"""Which metrics are wanted: their names, how deep a search each needs, and their values for a block of queries."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from metric_learning.evaluation import metrics

# Name -> function of (hits, relevant, k): as deep as k.
_AT_K: dict[str, Callable[..., np.ndarray]] = {
    "recall": metrics.recall_at_k,
    "recall_of_relevant": metrics.recall_of_relevant_at_k,
    "precision": metrics.precision_at_k,
    "map": metrics.map_at_k,
}
# Name -> function of (hits, relevant): as deep as the largest R.
_AT_R: dict[str, Callable[..., np.ndarray]] = {
    "r_precision": metrics.r_precision,
    "map@r": metrics.map_at_r,
}
# The same at a k of its own: the largest R, or the largest of `ks` if that is more.
_AT_DEPTH: dict[str, Callable[..., np.ndarray]] = {"mrr": metrics.reciprocal_rank_at_k}
# Name -> function of (hits, relevant) that needs the whole ranking.
_OF_ALL: dict[str, Callable[..., np.ndarray]] = {
    "map": metrics.mean_average_precision,
    "minp": metrics.mean_inverse_negative_penalty,
}
# What is not a mean over queries: each stands for several scores, or for means of another kind.
WHOLE = ("clustering", "verification", "geometry", "macro")
NAMES = (*(f"{name}@k" for name in (*_AT_K, "ndcg")), *_AT_R, *_AT_DEPTH, *_OF_ALL, *WHOLE)
DEFAULT = ("recall@k", "precision@1", "r_precision", "map@r", "mrr")


class Choice(NamedTuple):
    """Metrics by name.

    at_k: (name, k) of "recall@4" and the like.
    others: "map@r", "mrr" and the like.
    whole: those of `WHOLE`.
    ks: as they were given.
    """

    at_k: tuple[tuple[str, int], ...]
    others: tuple[str, ...]
    whole: tuple[str, ...]
    ks: tuple[int, ...] = ()

    @property
    def largest_k(self) -> int:
        return max((k for _, k in self.at_k), default=1)

    def depth(self, largest_r: int, gallery_size: int) -> int:
        """How many neighbors a query needs."""
        if any(name in _OF_ALL for name in self.others):
            return gallery_size
        beyond = self._beyond(largest_r) if any(name in _AT_DEPTH for name in self.others) else 1
        return max(self.largest_k, beyond, largest_r if self.others else 1)

    def _beyond(self, largest_r):
        """The k of what stands in `_AT_DEPTH`, whatever else is wanted or kept."""
        return max(largest_r, *self.ks)

    def columns(
        self,
        hits: np.ndarray,
        relevant: np.ndarray,
        gains: Callable[[], np.ndarray],
        at_least: np.ndarray,
        largest_r: int,
    ) -> dict[str, np.ndarray]:
        """[b] float64 by name, in the order of the choice.

        Args:
            hits, relevant: see `metrics`.
            gains: gives [b, k], called if a metric needs it.
            at_least: [b, G], see `metrics.ndcg_at_k`.
            largest_r: of all queries, not of these alone.
        """
        found = {}
        for name, k in self.at_k:
            if name == "ndcg":
                found[f"ndcg@{k}"] = metrics.ndcg_at_k(gains(), at_least, k)
            else:
                found[f"{name}@{k}"] = _AT_K[name](hits, relevant, k)
        for name in self.others:
            if name in _AT_DEPTH:
                found[name] = _AT_DEPTH[name](hits, relevant, self._beyond(largest_r))
            else:
                found[name] = (_AT_R | _OF_ALL)[name](hits, relevant)
        return found


def choose(names: Sequence[str], ks: Sequence[int]) -> Choice:
    """The metrics of these names.

    Args:
        names: of `NAMES`, where "@k" stands for each of `ks`, or a number stands in its place as in "ndcg@10".
        ks: the k of all that end in "@k".

    Returns:
        `Choice`.

    Raises:
        ValueError: an unknown name, or none at all.
    """
    at_k: dict[tuple[str, int], None] = {}
    others, whole = [], []
    for given in names:
        name, _, k = str(given).partition("@")
        if name in (*_AT_K, "ndcg") and re.fullmatch("k|[1-9][0-9]*", k):
            at_k |= {(name, each): None for each in (ks if k == "k" else [int(k)])}
        elif given in (*_AT_R, *_AT_DEPTH, *_OF_ALL):
            others.append(given)
        elif given in WHOLE:
            whole.append(given)
        else:
            raise ValueError(f"metrics must be of {', '.join(NAMES)}, or with a number for k; got {given!r}")
    if not (at_k or others):
        raise ValueError("metrics must name at least one that has a value for each query, such as recall@k")
    return Choice(tuple(at_k), tuple(dict.fromkeys(others)), tuple(dict.fromkeys(whole)), tuple(ks))

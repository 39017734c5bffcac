"""The same judged in other ways: by the first numbers of each embedding alone, by numbers of 8 bits or of one, and by a
second look at what was found."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metric_learning.checks import check_choice, check_whole
from metric_learning.distances import check_from_zero
from metric_learning.evaluation.choice import DEFAULT, WHOLE
from metric_learning.evaluation.evaluate import Evaluation, evaluate

QUANTIZATIONS = ("int8", "binary")


def evaluate_variants(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    prefixes: Sequence[int] = (),
    quantizations: Sequence[str] = (),
    expand: int = 0,
    rerank: bool = False,
    gallery_embeddings: ArrayLike | None = None,
    distance: str = "cosine",
    metrics: Sequence[str] = DEFAULT,
    **options: Any,
) -> Evaluation:
    """`evaluate`, with the means over queries also of what could be stored in place of the embeddings, and of searches
    that look twice.

    Args:
        embeddings, labels, gallery_embeddings, distance, metrics, options: see `evaluate`.
        prefixes: numbers of dimensions, the first of each row (Matryoshka, https://arxiv.org/abs/2205.13147); adds
            "prefix_16/recall@1" and so on.
        quantizations: "int8", each dimension in 256 steps between its least and its greatest value in the gallery, 4
            times smaller, adds "int8/recall@1" and so on; "binary", whether each number is above 0, 32 times smaller,
            by the Hamming distance, adds "binary/recall@1".
        expand: adds "expanded_3/recall@1" and so on for 3, see `evaluate`; 0 adds nothing.
        rerank: adds "reranked/recall@1", and if there is `expand`, "expanded_3_reranked/recall@1", both at once.

    Returns:
        `Evaluation`, with the neighbors of the embeddings as they are.

    Raises:
        ValueError: a prefix longer than the embeddings, an unknown quantization, and what `evaluate` raises.
    """
    check_variants(prefixes, quantizations, expand, rerank, distance)
    options["metrics"] = metrics
    found = evaluate(embeddings, labels, gallery_embeddings=gallery_embeddings, distance=distance, **options)
    options["metrics"] = [name for name in metrics if name not in WHOLE]
    rows = np.asarray(embeddings, np.float32)
    gallery = None if gallery_embeddings is None else np.asarray(gallery_embeddings, np.float32)
    scores, per_query = dict(found.scores), dict(found.per_query)
    less = _variants(rows, gallery, distance, prefixes, quantizations)
    twice = ((name, rows, gallery, {"distance": distance} | look) for name, look in _second_looks(expand, rerank))
    for name, queries, searched, how in itertools.chain(less, twice):
        other = evaluate(queries, labels, gallery_embeddings=searched, **how, **options)
        columns = {f"{name}/{metric}": values for metric, values in other.per_query.items()}
        per_query |= columns
        scores |= {column: other.scores[column.removeprefix(f"{name}/")] for column in columns}
    counts = {name: scores.pop(name) for name in ("queries", "queries_without_positives")}
    return dataclasses.replace(found, scores=scores | counts, per_query=per_query)


def check_variants(
    prefixes: Sequence[int], quantizations: Sequence[str], expand: int, rerank: bool, distance: str
) -> None:
    """Raises ValueError unless prefixes are whole numbers of at least 1, quantizations known, and the distance fits the
    second looks."""
    for prefix in prefixes:
        if not isinstance(prefix, int) or prefix < 1:
            raise ValueError(f"prefixes must be numbers of dimensions, at least 1; got {prefix!r}")
    for quantization in quantizations:
        check_choice(QUANTIZATIONS, quantizations=quantization)
    check_whole(0, expand=expand)
    if expand and distance != "cosine":
        raise ValueError(f"expand needs distance=cosine, as it sums rows of length 1; got {distance!r}")
    if rerank:
        check_from_zero(distance, "rerank")


def quantized(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Rows [n, D] in 256 steps between the least and the greatest value that each dimension has in `like` [m, D], and
    back in float32."""
    low, high = like.min(axis=0), like.max(axis=0)
    step = np.maximum((high - low) / np.float32(255), np.finfo(np.float32).tiny)
    return low + step * np.clip(np.round((rows - low) / step), 0, 255)


def _second_looks(expand: int, rerank: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names, with the arguments of `evaluate` that they stand for."""
    if expand:
        yield f"expanded_{expand}", {"expand": expand}
    if rerank:
        yield "reranked", {"rerank": True}
    if expand and rerank:
        yield f"expanded_{expand}_reranked", {"expand": expand, "rerank": True}


def _variants(rows, gallery, distance, prefixes, quantizations) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    for prefix in prefixes:
        if prefix > rows.shape[1]:
            raise ValueError(f"prefixes must be at most the {rows.shape[1]} dimensions; got {prefix}")
        shorter = None if gallery is None else gallery[:, :prefix]
        yield f"prefix_{prefix}", rows[:, :prefix], shorter, {"distance": distance}
    searched = rows if gallery is None else gallery
    if "int8" in quantizations:
        in_steps = None if gallery is None else quantized(gallery, searched)
        yield "int8", quantized(rows, searched), in_steps, {"distance": distance}
    if "binary" in quantizations:  # of zeros and ones the squared distance is the Hamming distance
        bits = None if gallery is None else (gallery > 0).astype(np.float32)
        yield "binary", (rows > 0).astype(np.float32), bits, {"distance": "squared_euclidean"}

"""What a run leaves for people to look at: the pictures of its `report/` folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.evaluation.evaluate import Evaluation
from metric_learning.evaluation.judge import SplitEvaluation
from metric_learning.report.pictures import (
    distance_histograms,
    embedding_map,
    neighbor_gallery,
    neighbor_table,
    training_curves,
)
from metric_learning.types import Items


def report_run(
    folder: str | Path, source: Any, trained: SplitEvaluation, untrained: SplitEvaluation, **options: Any
) -> dict[str, Path]:
    """`write_report` of the test split of a source.

    Args:
        folder: of the pictures.
        source: `DataSource`.
        trained, untrained: each a `SplitEvaluation` of the test split.
        options: see `write_report`.
    """
    return write_report(
        folder,
        source.test,
        trained.embeddings,
        trained.evaluation,
        untrained_embeddings=untrained.embeddings,
        gallery=source.gallery,
        gallery_embeddings=trained.gallery_embeddings,
        untrained_gallery_embeddings=untrained.gallery_embeddings,
        class_names=source.class_names,
        **options,
    )


def write_report(
    folder: str | Path,
    split: Items,
    embeddings: np.ndarray,
    evaluation: Evaluation,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    untrained_embeddings: np.ndarray | None = None,
    gallery: Items | None = None,
    gallery_embeddings: np.ndarray | None = None,
    untrained_gallery_embeddings: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    distance: str = "cosine",
    objective: str = "validation/recall@1",
    title: str = "Test",
) -> dict[str, Path]:
    """All pictures of a finished run.

    Args:
        folder: made if missing; files of the same names are replaced.
        split: the judged items: anything with `inputs`, `labels` and `captions`, and if wanted `ids`. uint8
            [n, h, w, c] inputs are images, all others texts.
        embeddings: [n, D] of the split.
        evaluation: what `evaluate` found for them.
        history: rows as `training_curves` takes them; without rows there is no such picture.
        untrained_embeddings: [n, D] before training, for comparison.
        gallery: what was searched, if not the split itself.
        gallery_embeddings: [m, D] of the gallery.
        untrained_gallery_embeddings: [m, D] before training.
        class_names: name of each label.
        distance: what the model was trained and searched with.
        objective: the validation scalar that chose the checkpoint.
        title: names data, split and run, such as "emoji test, loss=triplet".

    Returns:
        name -> path of each PNG: "training_curves", "neighbors", "embedding_map",
        "distance_histograms". Texts also leave `neighbors.md`.
    """
    folder = Path(folder)
    scores = evaluation.scores
    said = {"precision@1": "recall@1", "map@r": "MAP@R"}
    named = [f"{words} {scores[name]:.3f}" for name, words in said.items() if name in scores]
    scored = f"{title}: {', '.join(named)}" if named else title
    paths = {}
    if len(history):
        paths["training_curves"] = training_curves(
            folder / "training_curves.png", history, objective=objective, title=title
        )
    neighbors: dict[str, Any] = {
        "neighbors": evaluation.neighbors,
        "average_precision": evaluation.per_query.get("map@r", next(iter(evaluation.per_query.values()))),
        "gallery": gallery,
        "class_names": class_names,
        "title": f"Nearest neighbors, {scored}",
    }
    draw = neighbor_gallery if len(split.inputs.shape) == 4 else neighbor_table
    paths["neighbors"] = draw(folder / "neighbors.png", split, **neighbors)
    paths["embedding_map"] = embedding_map(
        folder / "embedding_map.png",
        split,
        embeddings,
        class_names=class_names,
        distance=distance,
        title=f"Embedding map, {scored}",
    )
    labels, ids = split.labels, getattr(split, "ids", None)
    if gallery is not None:  # the queries alone may have no two items of a class
        labels = np.concatenate([labels, gallery.labels])
        gallery_ids = getattr(gallery, "ids", None)
        ids = None if ids is None or gallery_ids is None else [*ids, *gallery_ids]
        embeddings = np.concatenate([embeddings, gallery_embeddings])
        if untrained_embeddings is not None:
            untrained_embeddings = np.concatenate([untrained_embeddings, untrained_gallery_embeddings])
    paths["distance_histograms"] = distance_histograms(
        folder / "distance_histograms.png",
        embeddings,
        labels,
        ids=ids,
        distance=distance,
        untrained_embeddings=untrained_embeddings,
        title=f"Distances of pairs, {title}",
    )
    return paths

"""What a run says of its data: the card of them as a picture, and labels that look wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metric_learning.evaluation.judge import SplitEvaluation
from metric_learning.evaluation.suspicious import Suspicion
from metric_learning.report.page import Section
from metric_learning.report.pictures import data_card
from metric_learning.report.sections.labels import labels_section
from metric_learning.report.suspicions import Joined, suspicions_among, write_suspicions


def report_data(
    folder: str | Path, source: Any, trained: Mapping[str, SplitEvaluation], *, distance: str = "cosine"
) -> tuple[dict[str, Path], list[Section]]:
    """Draws the card of the data and, where a row has one label, lists the labels that look wrong.

    Args:
        folder: of the pictures; made if missing.
        source: `DataSource`.
        trained: split name -> `SplitEvaluation`, of splits that the encoder was not trained on.
        distance: what the encoder was trained for.

    Returns:
        "data" and, if there is one, "suspicious_labels" -> the path of the PNG, beside which lies a CSV; and a section
        of the page for them.
    """
    folder = Path(folder)
    title = f"{source.name}, the data of this run"
    names = source.class_names
    paths = {"data": data_card(folder / "data.png", source.card, source.splits, class_names=names, title=title)}
    if source.test.labels.ndim > 1:
        return paths, []
    items, found = suspicions_of_run(source, trained, distance)
    paths |= write_suspicions(folder, items, found, names, title=f"Suspicious labels, {source.name}")
    return paths, [labels_section(items, found, names)]


def suspicions_of_run(
    source: Any, trained: Mapping[str, SplitEvaluation], distance: str
) -> tuple[Joined, list[Suspicion]]:
    """Of the splits that were judged, and of what the test is searched in, together, since an item of one may belong to
    a class of another.

    Args:
        source, trained, distance: see `report_data`.
    """
    parts: list[Any] = [(getattr(source, name), judged.embeddings) for name, judged in trained.items()]
    if source.gallery is not None and "test" in trained:
        parts.append((source.gallery, trained["test"].gallery_embeddings))
    splits, embeddings = zip(*parts, strict=True)
    items = Joined(splits)
    rows = np.concatenate(embeddings)
    return items, suspicions_among(items, rows, np.ones(len(items), bool), distance=distance)

"""What a run leaves for people to look at: the page and the pictures of its `report/` folder."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from metric_learning.evaluation.calibration import curve_of
from metric_learning.evaluation.evaluate import Evaluation
from metric_learning.evaluation.judge import SplitEvaluation
from metric_learning.evaluation.nearest import nearest_of_all
from metric_learning.labels import rarest_class
from metric_learning.report import sections
from metric_learning.report.data import report_data
from metric_learning.report.judged import Judged
from metric_learning.report.page import Section, write_page
from metric_learning.report.pairs import pairs_of_encoders
from metric_learning.report.pictures import (
    distance_histograms,
    embedding_map,
    neighbor_gallery,
    neighbor_table,
    training_curves,
)
from metric_learning.report.pictures.embedding_map import lay_out
from metric_learning.types import Items

PAGE = "index.html"


@dataclasses.dataclass(frozen=True)
class Background:
    """What a page tells besides what was found.

    Attributes:
        about: a sentence on the data.
        columns: name -> scores, to stand beside those of the page.
        intervals: name of a column -> score -> (low, high).
        curve: of thresholds, see `curve_of`, on a split that the scores of the page are not of.
        chosen: `thresholds.json`; None before there is one.
        environment: `environment.json`.
        settings: text of `config.yaml`.
        sections: more of them, which come before the settings.
    """

    about: str = ""
    columns: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = dataclasses.field(default_factory=dict)
    curve: Mapping[str, np.ndarray] | None = None
    chosen: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: str = ""
    sections: Sequence[Section] = ()


def report_run(
    folder: str | Path,
    source: Any,
    trained: Mapping[str, SplitEvaluation],
    untrained: Mapping[str, SplitEvaluation] | None = None,
    *,
    run: str | Path | None = None,
    more: Sequence[Section] = (),
    **options: Any,
) -> dict[str, Path]:
    """`write_report` of the test split of a source, and what `report_data` says of its data.

    Args:
        folder: of the report.
        source: `DataSource`.
        trained: split name -> `SplitEvaluation`: "test", and if there is one "validation".
        untrained: the same before training; not shown again where it is `trained` itself, as nothing trains.
        run: folder of the run, whose settings, versions and threshold the page shows, as far as they are there.
        more: sections for the page.
        options: see `write_report`.
    """
    untrained = {} if untrained is None or untrained is trained else untrained
    test, before = trained["test"], untrained.get("test")
    columns = {
        f"{split}{state}": found.evaluation.scores
        for judged, state in ((untrained, ", untrained"), (trained, ""))
        for split, found in sorted(judged.items())
    }
    validation = trained.get("validation")
    pictures, about_data = report_data(folder, source, trained, distance=options.get("distance", "cosine"))
    background = Background(
        about=source.describe(),
        columns={name: columns[name] for name in sorted(columns)},
        intervals={name: found.evaluation.intervals(over=found.drawn) for name, found in trained.items()},
        curve=_curve(validation.embeddings, source.validation, options) if validation else None,
        sections=(*more, *about_data),
        **_kept(run),
    )
    return pictures | write_report(
        folder,
        source.test,
        test.embeddings,
        test.evaluation,
        untrained_embeddings=before.embeddings if before else None,
        gallery=source.gallery,
        gallery_embeddings=test.gallery_embeddings,
        untrained_gallery_embeddings=before.gallery_embeddings if before else None,
        class_names=source.class_names,
        drawn=test.drawn,
        background=background,
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
    drawn: str = "classes",
    background: Background | None = None,
) -> dict[str, Path]:
    """The page and all pictures of a finished run, or of any evaluation.

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
        drawn: "classes" or "queries", what intervals are over.
        background: what else the page tells.

    Returns:
        name -> path of each PNG: "training_curves", "neighbors", "embedding_map", "distance_histograms"; and "page",
        `index.html`. Texts also leave `neighbors.md`.
    """
    folder = Path(folder)
    judged = Judged(split, embeddings, evaluation, gallery, gallery_embeddings, class_names, distance, drawn)
    layout = lay_out(rarest_class(split.labels), embeddings, distance)
    pairs = _pairs(judged, untrained_embeddings, untrained_gallery_embeddings)
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
        "average_precision": judged.precision,
        "gallery": gallery,
        "class_names": class_names,
        "title": f"Nearest neighbors, {scored}",
    }
    draw = neighbor_gallery if judged.has_pictures else neighbor_table
    paths["neighbors"] = draw(folder / "neighbors.png", split, **neighbors)
    paths["embedding_map"] = embedding_map(
        folder / "embedding_map.png",
        split,
        embeddings,
        class_names=class_names,
        distance=distance,
        title=f"Embedding map, {scored}",
        layout=layout,
    )
    paths["distance_histograms"] = distance_histograms(
        folder / "distance_histograms.png", pairs, distance=distance, title=f"Distances of pairs, {title}"
    )
    background = background or Background()
    parts = _sections(judged, layout, pairs, history, objective, background)
    paths["page"] = write_page(folder / PAGE, title, background.about, [part for part in parts if part])
    return paths


def _sections(judged, layout, pairs, history, objective, background) -> list[Section | None]:
    columns = background.columns or {"test": judged.evaluation.scores}
    intervals = background.intervals or {"test": judged.evaluation.intervals(over=judged.drawn)}
    settings = yaml.safe_load(background.settings) or {}
    return [
        sections.scores_section(columns, intervals, drawn=judged.drawn),
        sections.queries_section(judged),
        sections.confusions_section(judged),
        sections.map_section(judged, layout),
        sections.distances_section(pairs, judged.distance),
        background.curve and sections.thresholds_section(background.curve, background.chosen, distance=judged.distance),
        sections.classes_section(judged),
        sections.training_section(history, objective),
        *background.sections,
        sections.settings_section(background.environment, settings, background.settings)
        if settings or background.environment
        else None,
    ]


def _pairs(judged, untrained, untrained_gallery):
    """Distances of pairs: with a gallery of the rows of both, as queries alone may have no two items of a class."""
    split, gallery = judged.split, judged.gallery
    labels, ids, embeddings = split.labels, getattr(split, "ids", None), judged.embeddings
    if gallery is not None:
        labels = np.concatenate([labels, gallery.labels])
        gallery_ids = getattr(gallery, "ids", None)
        ids = None if ids is None or gallery_ids is None else [*ids, *gallery_ids]
        embeddings = np.concatenate([embeddings, judged.gallery_embeddings])
        if untrained is not None:
            untrained = np.concatenate([untrained, untrained_gallery])
    given = {"ids": ids, "distance": judged.distance, "untrained_embeddings": untrained}
    return pairs_of_encoders(embeddings, labels, **given)


def _curve(embeddings, split, options):
    """None where a threshold cannot be asked for: rows of several classes, too few of any."""
    try:
        given = {"ids": split.ids, "groups": split.groups, "distance": options.get("distance", "cosine")}
        return curve_of(nearest_of_all(embeddings, split.labels, **given))
    except ValueError:
        return None


def _kept(run) -> dict[str, Any]:
    """Of the folder of a run: what a page shows of it."""
    if run is None:
        return {}

    def text(name):
        path = Path(run) / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    chosen = json.loads(text("thresholds.json") or "{}")
    return {
        "settings": text("config.yaml"),
        "environment": json.loads(text("environment.json") or "{}"),
        "chosen": None if chosen.get("of") == "pairs" else chosen or None,  # the curve is of validation
    }

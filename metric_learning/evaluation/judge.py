"""The evaluation that a run repeats: before training, while it trains, and at its end."""

import contextlib
import dataclasses
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from metric_learning.checks import check_choice
from metric_learning.distances import check_distance
from metric_learning.evaluation.choice import DEFAULT, choose
from metric_learning.evaluation.embed import embed
from metric_learning.evaluation.evaluate import Evaluation
from metric_learning.evaluation.search import ENGINES
from metric_learning.evaluation.variants import check_variants, evaluate_variants


class SplitEvaluation(NamedTuple):
    """What a `Judge` found: the split's name, its `Evaluation`, the embeddings [n, D] float32 of its items and of the
    gallery, None if it has none, and what is drawn again for intervals: classes, unless training knew them or an item
    has several."""

    split_name: str
    evaluation: Evaluation
    embeddings: np.ndarray
    gallery_embeddings: np.ndarray | None = None
    drawn: str = "classes"

    @property
    def scores(self) -> dict[str, float]:
        """Such as "validation/recall@1": 0.8."""
        return {f"{self.split_name}/{metric}": value for metric, value in self.evaluation.scores.items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals, such as "test/recall@1": (.66, .71)."""
        found = self.evaluation.intervals(over=self.drawn)
        return {f"{self.split_name}/{metric}": interval for metric, interval in found.items()}


def check_objective(objective: str, scores: Collection[str]) -> None:
    """Raises ValueError unless the objective is among the validation scores."""
    if objective not in scores:
        raise ValueError(f"objective must be one of {', '.join(scores)}; got {objective!r}")


@dataclasses.dataclass(frozen=True)
class Judge:
    """Embeds a split and scores its nearest neighbors, always in the same way.

    Args:
        ks: the k of recall@k.
        every: steps between validations while training.
        batch_size: items embedded at once, at most.
        memory: GB that a batch may take on its way through the encoder, see `embed`.
        distance: see `metric_learning.evaluation.search`.
        metrics: names, see `evaluate`.
        prefixes, quantizations, expand, rerank: judged besides, see `evaluate_variants`.
        engine: of the search, "faiss", "tensorflow" or "auto"; changes nothing but time.

    Raises:
        ValueError: an unknown metric, no k or one below 1, every or batch_size below 1, no memory, an unknown distance.
            What is wrong is named as in the configuration, such as evaluation.ks.
    """

    ks: tuple = (1, 2, 4, 8)
    every: int = 100
    batch_size: int = 1024
    memory: float = 0.5
    distance: str = "cosine"
    metrics: tuple = DEFAULT
    prefixes: tuple = ()
    quantizations: tuple = ()
    expand: int = 0
    rerank: bool = False
    engine: str = "auto"

    def __post_init__(self):
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"evaluation.ks must be numbers of at least 1; got {list(self.ks)}")
        for name in ("every", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1; got {getattr(self, name)}")
        if not self.memory > 0:
            raise ValueError(f"evaluation.memory must be above 0; got {self.memory}")
        check_distance(self.distance)
        with _named_as_settings():
            choose(self.metrics, self.ks)
            check_variants(self.prefixes, self.quantizations, self.expand, self.rerank, self.distance)
        check_choice(ENGINES, **{"evaluation.engine": self.engine})

    def __call__(self, encoder: keras.Model, source: Any, split_name: str) -> SplitEvaluation:
        """Scores one split of a data source: "validation", or "test", which is searched in the gallery if there is one.

        An item never finds itself, wherever it is listed: rows of one id are left out of each other's answers,
        and so are rows of the query's class and group.

        Returns:
            SplitEvaluation.
        """
        split = getattr(source, split_name)
        embeddings = self._embed(encoder, split)
        options: dict[str, Any] = {
            "ks": tuple(self.ks),
            "metrics": self.metrics,
            "distance": self.distance,
            "engine": self.engine,
        }
        options |= {"ids": split.ids, "groups": split.groups, "levels": getattr(split, "levels", None)}
        if split_name == "test" and not getattr(source, "unseen_classes", True) and split.labels.ndim == 1:
            options["known_labels"] = source.train.labels
        if split_name == "test" and source.gallery is not None:
            gallery = source.gallery
            options["gallery_embeddings"] = self._embed(encoder, gallery)
            options["gallery_labels"] = gallery.labels
            options["gallery_ids"] = gallery.ids
            options["gallery_groups"] = gallery.groups
            options["gallery_levels"] = getattr(gallery, "levels", None)
            if split.ids is None or gallery.ids is None:  # then no query is in the gallery
                options["ids"] = options["gallery_ids"] = None
        options |= {name: getattr(self, name) for name in ("prefixes", "quantizations", "expand", "rerank")}
        with _named_as_settings():
            found = evaluate_variants(embeddings, split.labels, **options)
        of_one_class = getattr(source, "unseen_classes", True) and split.labels.ndim == 1
        drawn = "classes" if of_one_class else "queries"
        return SplitEvaluation(split_name, found, embeddings, options.get("gallery_embeddings"), drawn)

    def _embed(self, encoder, split):
        return embed(encoder, split.inputs, self.batch_size, progress=True, memory=self.memory)


@contextlib.contextmanager
def _named_as_settings() -> Iterator[None]:
    """Puts the name of the group before what an error names first, where that is a setting of a `Judge`."""
    try:
        yield
    except ValueError as error:
        first = re.match("[a-z_]+", str(error))
        if first and first[0] in {field.name for field in dataclasses.fields(Judge)} - {"distance"}:
            raise ValueError(f"evaluation.{error}") from None
        raise

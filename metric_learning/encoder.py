"""What a user holds after training: an encoder that takes files, texts and features, and knows its run."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from metric_learning.data import Vocabulary
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.labeled_pairs import labeled_pairs
from metric_learning.data.raw_items import called, cells_of, features_of, ids_of, images_of, sequence_of, tokens_of
from metric_learning.data.unreadable import refuse_or_warn
from metric_learning.distances import check_distance, pairwise
from metric_learning.encoder_files import ABOUT, MODEL, read_about, read_json, sha256
from metric_learning.encoders.saved import load_safely
from metric_learning.evaluation.calibration import Calibration, calibrate, chosen_on, summary
from metric_learning.evaluation.embed import embed
from metric_learning.evaluation.nearest import Nearest, nearest_of_all, nearest_of_pairs
from metric_learning.evaluation.rows import paired_distances
from metric_learning.index import Index, fill
from metric_learning.versions import versions
from metric_learning.whole_files import write_json

VOCABULARY, COLUMNS = "vocabulary.json", "columns.json"
THRESHOLDS = "thresholds.json"
Item = Any  # of images: a path, bytes, a PIL image, an array; of texts: a string; of features: a row of numbers


def load(folder: str | Path, trusted: Sequence[str] = ()) -> Encoder:
    """The encoder of a run, or of a folder that holds no more than its encoder.keras, encoder.json and vocabulary.json.

    Args:
        folder: of the run, wherever it has been moved.
        trusted: packages whose code may be imported, for an encoder that was made by `encoder.target`.

    Raises:
        ValueError: no such folder or file, one that is damaged, or another encoder.keras than the folder was written
            with.
    """
    folder = Path(folder).expanduser()
    if not (folder / MODEL).is_file():
        raise ValueError(f"load needs the folder of a run with an {MODEL}; there is none in {folder}")
    about = read_about(folder)
    target = about.get("target")
    if target:
        package = target.partition(".")[0]
        if package not in trusted:
            raise ValueError(f"{folder} has an encoder made by {target}; if you trust it, say trusted=['{package}']")
        importlib.import_module(target.rpartition(".")[0])
    hashed = sha256(folder / MODEL)
    if about.get("sha256") not in (None, hashed):
        raise ValueError(f"{folder / MODEL} is not the one that {ABOUT} was written for; both must be of one run")
    made_with = about.get("packages", {})
    here = versions(made_with)
    other = [f"{name} {made_with[name]}, here {here[name]}" for name in here if here[name] != made_with[name]]
    if other:
        warnings.warn(f"{folder} was made with {', '.join(other)}", stacklevel=2)
    model = load_safely("encoder", folder / MODEL)
    takes_texts = keras.backend.standardize_dtype(model.inputs[0].dtype) == "string"  # and has its own tokenizer
    has_vocabulary = about["kind"] == "texts" and not takes_texts
    vocabulary = Vocabulary.load(folder / VOCABULARY) if has_vocabulary else None
    columns = ColumnIds.load(folder / COLUMNS) if about["kind"] == "ids" else None
    return Encoder(folder, model, about, vocabulary or columns, hashed)


class Encoder:
    """Makes embeddings of what people have, and compares them by the distance that they were trained for.

    Attributes:
        folder: where it was loaded from.
        model: the `keras.Model` from inputs to [B, D].
        kind: "images", "texts", "ids" or "features".
        input_shape: of one item, as the model takes it.
        distance: see `metric_learning.distances`.
        embedding_dim: D.
        fingerprint: of the model, by which an `Index` knows its encoder.
        card: `data.json` of the run, what it was trained on; {} if the folder has none.
        scores: `metrics.json` of the run, likewise.
        calibration: `thresholds.json`, what `calibrate` found; {} before.
        columns: of kind "ids", the names of the columns that a row may have.
        fit: how images are brought to their size, see `fit_image`.
        vocabulary: how texts or rows of a table become ids; None where the model takes them as they are.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        about: dict[str, Any],
        vocabulary: Vocabulary | ColumnIds | None,
        fingerprint: str,
    ) -> None:
        check_distance(about["distance"])
        self.folder = folder
        self.model = model
        self.kind: str = about["kind"]
        self.input_shape: tuple[int, ...] = tuple(about["input_shape"])
        self.distance: str = about["distance"]
        self.embedding_dim = int(model.output_shape[-1])
        self.fingerprint = fingerprint
        self.card = read_json(folder / "data.json")
        self.scores = read_json(folder / "metrics.json")
        self.calibration = read_json(folder / THRESHOLDS)
        self.fit: str = about.get("fit") or "letterbox"
        self.vocabulary = vocabulary
        self.columns = vocabulary.names if isinstance(vocabulary, ColumnIds) else ()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"<Encoder of {self.kind} ({shape}) to {self.embedding_dim} dimensions, {self.distance}, {self.folder}>"

    def embed(
        self,
        items: Sequence[Item] | np.ndarray | Item,
        *,
        skip_unreadable: bool = False,
        batch_size: int = 1024,
        memory: float = 0.5,
        progress: bool = True,
    ) -> np.ndarray:
        """Embeddings of items, decoded and sized as those of the run were.

        Args:
            items: a sequence of items, or one alone. Images: paths, bytes of a file, PIL images, uint8 arrays [h, w, c]
                or [h, w] of any size, or one array [n, h, w, c]. Texts: strings. Ids: rows of a table, as
                {column: cell}. Features: [n, F] numbers. All may also be rows of a table, such as {"image": path},
                {"text": "..."} or {"features": [...]}; of an image with x_1, y_1, x_2, y_2 what is in the box.
            skip_unreadable: of images that cannot be read, give rows of NaN and a warning, rather than raise.
            batch_size, memory: see `metric_learning.evaluation.embed`.
            progress: shows a bar on stderr once it has taken a second.

        Returns:
            float32 [n, D], in the order of the items.

        Raises:
            ValueError: no items, items of another kind, features of another length or that are not finite, images that
                cannot be read.
        """
        many = sequence_of(items, self.kind)
        if len(many) == 0:
            raise ValueError(f"embed needs at least 1 item of {self.kind}; got 0")
        problems: dict[int, str] = {}
        inputs = self.inputs_of(many, problems)
        found = embed(self.model, inputs, batch_size, progress=progress, memory=memory)
        named = {called(many[i], i): problem for i, problem in sorted(problems.items())}
        try:
            refuse_or_warn(named, len(many), skip_unreadable)
        except ValueError as error:
            message = str(error).replace("data.skip_unreadable=true", "skip_unreadable=True")
            raise ValueError(message) from None
        found[list(problems)] = np.nan
        return found

    def inputs_of(self, items: Any, problems: dict[int, str]) -> Any:
        """What the model takes of items: an array, or of images and many texts something to be read like one.

        Args:
            items: a sequence of at least 1, see `embed`.
            problems: takes up why images cannot be read, by their number, once they are read; they are black.

        Returns:
            [n, *input_shape], for `embed_inputs`.

        Raises:
            ValueError: items of another kind, features of another length or that are not finite.
        """
        if self.kind != "ids" and not isinstance(items, np.ndarray):
            items = cells_of(items, self.kind)
        if self.kind == "images":
            return images_of(items, self.input_shape, self.fit, problems)
        if self.kind == "texts":
            return tokens_of(items, self.vocabulary if isinstance(self.vocabulary, Vocabulary) else None)
        if isinstance(self.vocabulary, ColumnIds):
            return ids_of(items, self.vocabulary)
        return features_of(items, self.input_shape[0])

    def embed_inputs(self, inputs: Any, *, batch_size: int = 1024, progress: bool = True) -> np.ndarray:
        """Embeddings of the inputs of a `Split`, which are in the form that the model takes; see `embed`."""
        return embed(self.model, inputs, batch_size, progress=progress)

    def distances(self, first: Any, second: Any) -> np.ndarray:
        """[n, m] float32, how far items are apart; see `embed` for what they may be, or as in `index` embeddings."""
        return pairwise(self._rows(first), self._rows(second), distance=self.distance).numpy()

    def similarity(self, first: Any, second: Any) -> np.ndarray:
        """[n, m] float32, how much alike items are: the cosine or the dot product, or minus the distance."""
        distances = self.distances(first, second)
        return 1.0 - distances if self.distance == "cosine" else -distances

    def calibrate(
        self,
        items: Any = None,
        labels: Sequence[Any] | None = None,
        *,
        groups: Sequence[Any] | None = None,
        families: Mapping[Any, Any] | None = None,
        pairs: Iterable[Any] | None = None,
        **target: Any,
    ) -> Calibration:
        """Chooses up to which distance the nearest item is a match, and keeps it in `thresholds.json` of the folder.

        Args:
            items: see `embed`, or as in `index` embeddings; of classes that were not learned, best those of validation,
                never those that the threshold will be judged on.
            labels: [n] of the items.
            groups: [n], such as the camera of each; items of equal label and group are never matched.
            families: label -> family, see `nearest_of_all`.
            pairs: instead: (item, item, same) each, or (distance, same). What is promised is of two items put side by
                side, not of the nearest in a gallery.
            target: precision=0.99, recall=0.9, far=0.001 or best_f1=True, see `evaluation.calibrate`.

        Raises:
            ValueError: a target that cannot be promised, with what can be.
        """
        if (pairs is None) == (items is None) or (items is None) != (labels is None):
            raise ValueError("calibrate needs items and labels, or pairs")
        if pairs is not None and (groups is not None or families is not None):
            raise ValueError("groups and families are of items, and pairs have none")
        nearest = self._of_pairs(pairs) if items is None else self._of_items(items, labels, groups, families)
        found = calibrate(nearest, **target)
        self.keep_threshold(found, of="pairs" if items is None else "items")
        return found

    def keep_threshold(self, found: Calibration, *, of: str = "items") -> None:
        """Writes `thresholds.json`; `found` by embeddings of this encoder, `of` "items" in a gallery or "pairs"."""
        self.calibration = summary(found) | {"of": of, "chosen_on": chosen_on(found, of)}
        write_json(self.folder / THRESHOLDS, self.calibration)

    def _of_items(self, items, labels, groups, families) -> Nearest:
        rows = self._rows(items)
        for name, column in (("labels", labels), ("groups", groups)):
            if column is not None and len(column) != len(rows):
                raise ValueError(f"{name} must be one for each of {len(rows)} items; got {len(column)}")
        return nearest_of_all(rows, labels, groups=groups, families=families, distance=self.distance)

    def _of_pairs(self, pairs) -> Nearest:
        given = labeled_pairs(pairs)
        distances: Any = given.distances
        if given.units is not None:
            rows = self._rows(given.items)
            distances = paired_distances(rows, rows, given.units.T, self.distance)
        return nearest_of_pairs(distances, given.same, given.units)

    def index(
        self,
        gallery: Any,
        *,
        ids: Sequence[object] | None = None,
        labels: Sequence[object] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
        kind: str = "exact",
        skip_unreadable: bool = False,
        folder: str | Path | None = None,
    ) -> Index:
        """An `Index` of a gallery, which knows this encoder, its distance and its threshold.

        Args:
            gallery: items, see `embed`, or unless those are features the embeddings of this encoder, float32 [m, D].
            ids: [m] unique; None: paths as they are, and else the number of each item.
            labels, metadata: [m], see `Index.add`.
            kind: see `Index`.
            skip_unreadable: leave images that cannot be read out, with a warning.
            folder: of none yet, where it is saved as it grows, see `fill`.
        """
        many = gallery if isinstance(gallery, np.ndarray) else sequence_of(gallery, self.kind)
        if ids is None:
            named = (str, os.PathLike) if self.kind == "images" else ()
            ids = [os.fspath(item) if isinstance(item, named) else str(i) for i, item in enumerate(many)]
        index = self.new_index(kind)
        known: Any = {"labels": labels, "metadata": metadata, "skip_unreadable": skip_unreadable}
        fill(index, partial(self._rows, skip_unreadable=skip_unreadable), many, ids, **known, folder=folder)
        return index

    def new_index(self, kind: str = "exact") -> Index:
        """An empty `Index` that knows this encoder, its distance and its threshold."""
        index = Index(self.embedding_dim, self.distance, encoder=self.fingerprint, kind=kind)
        index.take_threshold(self)
        return index

    def _rows(self, items, skip_unreadable=False) -> np.ndarray:
        """Embeddings, also of what are embeddings already."""
        is_float = isinstance(items, np.ndarray) and items.dtype.kind == "f" and items.ndim == 2
        if is_float and items.shape[1] == self.embedding_dim and self.kind != "features":
            return np.asarray(items, np.float32)
        return self.embed(items, skip_unreadable=skip_unreadable)

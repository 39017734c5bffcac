"""What a report is about: items, what was found for them, and how a page shows an item."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from metric_learning.evaluation.evaluate import Evaluation
from metric_learning.labels import are_alike, class_words, rarest_class
from metric_learning.report.pictures import canvas
from metric_learning.types import Items


class ShownItem(NamedTuple):
    """An item as people see it.

    Attributes:
        picture: a data URI; "" where the item is no image, or no room for pictures was left.
        caption: its text, or the name of its image, shortened.
        class_name: shortened.
    """

    picture: str
    caption: str
    class_name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Queries, what they were searched in, and what was found.

    Attributes:
        split: the queries: anything with `inputs`, `labels` and `captions`, and if wanted `ids`. uint8 [n, h, w, c]
            inputs are images, all others are shown by their captions.
        embeddings: [n, D].
        evaluation: what `evaluate` found.
        gallery: what was searched, if not the split itself.
        gallery_embeddings: [m, D].
        class_names: of each label; None: labels are numbers to people too.
        distance: the queries were searched by.
        drawn: "classes" or "queries", what is drawn again for intervals.
    """

    split: Items
    embeddings: np.ndarray
    evaluation: Evaluation
    gallery: Items | None = None
    gallery_embeddings: np.ndarray | None = None
    class_names: Sequence[str] | None = None
    distance: str = "cosine"
    drawn: str = "classes"

    @property
    def searched(self) -> Items:
        return self.split if self.gallery is None else self.gallery

    @property
    def has_pictures(self) -> bool:
        return len(self.split.inputs.shape) == 4

    @property
    def ranked_by(self) -> str:
        """The metric that says how well a query went."""
        names = self.evaluation.per_query
        return "map@r" if "map@r" in names else next(iter(names))

    @property
    def precision(self) -> np.ndarray:
        """[n] float64, how well each query went; NaN for those with nothing to find."""
        return self.evaluation.per_query[self.ranked_by]

    @cached_property
    def right(self) -> np.ndarray:
        """[n, k] bool, whether the kept neighbors are of their query's class."""
        indices = self.evaluation.neighbors.indices
        alike = [are_alike(self.searched.labels[column], self.split.labels) for column in np.maximum(indices, 0).T]
        return np.stack(alike, axis=1) & (indices >= 0)

    @cached_property
    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """[n] and [m], one class of each query and of each row that was searched."""
        queries = rarest_class(self.split.labels)
        return queries, queries if self.gallery is None else rarest_class(self.gallery.labels)

    def class_name(self, label: Any, length: int = 60) -> str:
        """Of a label of a row, or of a class."""
        several = np.ndim(label) > 0
        if self.class_names is None:
            words = " | ".join(map(str, np.flatnonzero(label))) if several else str(label)
        else:
            words = class_words(label, self.class_names)
        return shortened(words, length)

    def query(self, row: int, pictures: "Pictures", length: int = 300) -> ShownItem:
        return self._shown(self.split, row, pictures, length)

    def found(self, row: int, pictures: "Pictures", length: int = 300) -> ShownItem:
        """A row of what was searched."""
        return self._shown(self.searched, row, pictures, length)

    def _shown(self, items, row, pictures, length):
        picture = pictures.of(items.inputs[row]) if self.has_pictures else ""
        return ShownItem(picture, shortened(items.captions[row], length), self.class_name(items.labels[row]))


class Pictures:
    """Small pictures within a page, as long as there is room for them.

    Args:
        side: pixels of the longer side; smaller images stay as they are.
        room: bytes that all together may take.

    Attributes:
        left_out: how many found no room.
    """

    def __init__(self, side: int, room: int) -> None:
        self.side, self.room, self.left_out = side, room, 0

    def of(self, image: np.ndarray) -> str:
        """A data URI of an image uint8 [h, w, 1, 3 or 4], on white as in all pictures; "" if there is no room left."""
        if self.left_out:
            return ""
        side = min(self.side, max(np.shape(image)[:2]))
        file = io.BytesIO()
        canvas.tile(image, side).save(file, "WEBP", quality=82, method=2)
        uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
        if len(uri) > self.room:
            self.left_out += 1
            return ""
        self.room -= len(uri)
        return uri


def shortened(text: object, length: int) -> str:
    """`text` in one line of at most `length` characters."""
    text = " ".join(str(text).split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "\u2026"

"""An encoder and its index, asked by many at once: what requests ask is read, embedded and searched together."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import numpy as np
from PIL import Image

from metric_learning.cores import usable_cores
from metric_learning.data.boxes import parted
from metric_learning.data.images import fit_image
from metric_learning.index import Hit, Index
from metric_learning.serving.limits import Limits
from metric_learning.serving.questions import files_of

if TYPE_CHECKING:
    from metric_learning.encoder import Encoder

# What people send; not all that Pillow reads, as some of that calls other programs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
THUMBNAIL = 128  # pixels
AT_ONCE = 100_000  # bytes of files that are decoded sooner than threads are told to


class Job(NamedTuple):
    """The items of a request, to be embedded, and if k is not None to be searched with."""

    items: Sequence[Any]
    k: int | None = None


class Answer(NamedTuple):
    """Embeddings float32 [n, D], and for each what was found, if there was a k."""

    embeddings: np.ndarray
    hits: list[list[Hit]]


class Service:
    """What the server knows how to do, without any of HTTP.

    Args:
        encoder: see `metric_learning.load`.
        index: of that encoder; None: no searches.
        limits: see `Limits`.
        root: folder that ids of the index are paths in, where they are relative ones.
    """

    def __init__(self, encoder: Encoder, index: Index | None, limits: Limits, root: str | Path = ".") -> None:
        self.encoder = encoder
        self.index = index
        self.limits = limits
        self.root = Path(root)
        self._readers = ThreadPoolExecutor(usable_cores(), thread_name_prefix="reader")

    def close(self) -> None:
        """Ends its threads."""
        self._readers.shutdown(cancel_futures=True)

    def warm_up(self, most: int) -> None:
        """Does once what takes longer the first time: batches of up to `most` items, and a search."""
        some: dict[str, Any] = {"images": Image.new("RGB", (8, 8)), "texts": "a", "ids": {}}
        some["features"] = [0.0] * self.encoder.input_shape[0] if self.encoder.kind == "features" else None
        one = np.asarray(self.encoder.inputs_of([some[self.encoder.kind]], {}))
        for size in sorted({padded_size(rows) for rows in range(1, most + 1)}):
            self._embed(np.repeat(one, size, axis=0))
        if self.index is not None and len(self.index):
            self.index.search(self.index.rows[np.arange(1)], 1)

    def inputs_of(self, items: Sequence[Any]) -> np.ndarray:
        """What the model takes of the items of a request.

        Raises:
            ValueError: an item that cannot be read, or images of more pixels than the limits have.
        """
        if self.encoder.kind == "images":
            items = opened([io.BytesIO(file) for file in files_of(items)], self.limits.pixels)
        problems: dict[int, str] = {}
        with np.errstate(over="ignore"):  # a number beyond float32 is infinite, and said to be
            inputs = np.asarray(self.encoder.inputs_of(items, problems))
        for number, problem in sorted(problems.items()):
            raise ValueError(f"item {number} cannot be read as an image: {problem}")
        return inputs

    def answer(self, jobs: Sequence[Job]) -> list[Answer | Exception]:
        """Answers in the order of the jobs, of which those that can be read go through the model together.

        Returns:
            For each job its answer, or a ValueError that says which item cannot be read.

        Raises:
            ValueError: an embedding that is not finite, or that the index refuses.
        """
        answers: list[Any] = self._read(jobs)
        readable = [i for i, inputs in enumerate(answers) if not isinstance(inputs, Exception)]
        if not readable:
            return answers
        rows = self._embed(np.concatenate([answers[i] for i in readable]))
        parts = np.split(rows, np.cumsum([len(answers[i]) for i in readable])[:-1])
        for i, part in zip(readable, parts, strict=True):
            answers[i] = Answer(part, [])
        for k in {jobs[i].k for i in readable} - {None}:
            chosen = [i for i in readable if jobs[i].k == k]
            queries = np.concatenate([answers[i].embeddings for i in chosen])
            hits = iter(cast(Index, self.index).search(queries, cast(int, k)))
            for i in chosen:
                answers[i] = answers[i]._replace(hits=[next(hits) for _ in answers[i].embeddings])
        return answers

    def _read(self, jobs: Sequence[Job]) -> list[Any]:
        """The inputs of each job or a ValueError; of large images in threads, which small ones are not worth."""

        def read(job: Job) -> np.ndarray | Exception:
            try:
                return self.inputs_of(job.items)
            except ValueError as error:
                return error

        images = self.encoder.kind == "images"
        if images and sum(len(item) for job in jobs for item in job.items) > AT_ONCE:
            return list(self._readers.map(read, jobs))
        return list(map(read, jobs))

    def _embed(self, inputs: np.ndarray) -> np.ndarray:
        """Through the model in one of a few sizes: what it sets up for a shape is then there."""
        more = padded_size(len(inputs)) - len(inputs)
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], more, axis=0)])
        rows = self.encoder.embed_inputs(padded, progress=False)[: len(inputs)]
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(wrong):
            raise ValueError(f"the embedding of item {wrong[0]} is not finite, so nothing can be said of it")
        return rows

    def thumbnail(self, id: str) -> bytes | None:
        """A small picture of an item, as PNG; None if it is no image file that can be read.

        Args:
            id: of the index; of any other a file would be shown that is nobody's business.
        """
        name, box = (id, None) if (self.root / id).is_file() else parted(id)
        path = self.root / name
        try:
            if self.encoder.kind != "images" or not path.is_file():
                return None
            with path.open("rb") as file:
                (image,) = opened([file], self.limits.pixels)
                small = fit_image(image, THUMBNAIL, box=box)
        except Exception:  # decoders raise whatever a broken file leads them to
            return None
        png = io.BytesIO()
        Image.fromarray(small).save(png, "PNG")
        return png.getvalue()


def padded_size(rows: int) -> int:
    """The rows of a batch with what fills it up: 1, 2, 4, 8, and then multiples of 8.

    Few shapes, each of which a GPU tunes itself for, and little that is computed for nothing: powers of two throughout
    cost a sixth more on a CPU, which does not care.
    """
    return 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8


def opened(files: Sequence[BinaryIO], most: float) -> list[Image.Image]:
    """Images of which no more than the headers have been read.

    Args:
        files: of images.
        most: millions of pixels of all of them together.

    Raises:
        ValueError: too many pixels, or a file that is no image.
    """
    images: list[Image.Image] = []
    pixels = 0.0
    for number, file in enumerate(files):
        try:
            image = Image.open(file, formats=FORMATS)
        except Image.UnidentifiedImageError:
            raise ValueError(f"item {number} is no image; expected one of {', '.join(FORMATS)}") from None
        except Exception as error:  # decoders raise whatever a broken file leads them to
            raise ValueError(f"item {number} cannot be read as an image: {error or type(error).__name__}") from None
        pixels += image.width * image.height / 1e6
        if pixels > most:
            raise ValueError(
                f"the images of a request may have {most:g} million pixels; item {number} of {image.width} x "
                f"{image.height} makes it {pixels:.3g}"
            )
        images.append(image)
    return images

"""Writes an encoder in a format that others read: a folder that is whole, tried, and says what it is."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from metric_learning.checks import check_choice
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.text import Vocabulary
from metric_learning.encoder import COLUMNS, VOCABULARY, Encoder
from metric_learning.encoder_files import PACKAGES
from metric_learning.encoders import tokenizer_of
from metric_learning.encoders.saved import one_line
from metric_learning.export import keras_file, litert_file, onnx_file, saved_model
from metric_learning.export.card import card
from metric_learning.export.check import TOLERANCE, largest_difference
from metric_learning.export.folder import ABOUT_EXPORT, check_free, folder_in_one_move
from metric_learning.export.inputs import prepared, takes_texts
from metric_learning.export.preprocess import write_preprocess
from metric_learning.versions import versions
from metric_learning.whole_files import write_json, write_whole

FORMATS: dict[str, ModuleType] = {
    "keras": keras_file,
    "saved_model": saved_model,
    "onnx": onnx_file,
    "litert": litert_file,
}
BARE = ("onnx", "litert")  # graphs without preprocessing, which run without TensorFlow


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        size: bytes of all files.
        items: how many were embedded by it in a process of its own.
        difference: between these embeddings and the encoder's own, at most; None without items.
    """

    folder: Path
    size: int
    items: int
    difference: float | None


def export(encoder: Encoder, to: str, out: str | Path, items: Sequence[Any] = ()) -> Exported:
    """Writes an encoder into a folder of its own, with a card that says what it is and how it is used.

    Args:
        encoder: see `metric_learning.load`.
        to: "keras", a folder for `metric_learning.load`; "saved_model", from bytes, strings or cells to embeddings,
            for TensorFlow Serving; "onnx" and "litert", from what `preprocess.py` beside them makes of items.
        out: the folder: new or empty, or of an earlier export, which is replaced.
        items: to try the export with, in a process of its own: bytes of image files, texts, {column: cell}, features.

    Raises:
        ValueError: another format, packages that are not installed, a folder with something else in it, an encoder that
            cannot be converted, or embeddings that differ by more than 1e-5; then there is no folder, or the old one.
    """
    check_choice(tuple(FORMATS), to=to)
    path = check_free(out)
    check_packages(to)
    items = list(items)
    with folder_in_one_move(path) as folder:
        convert(encoder, to, folder)
        if to in BARE:
            write_preprocess(encoder, folder)
        usage = FORMATS[to].usage(encoder)
        difference = None
        if items:
            expected = encoder.embed(items, progress=False)
            difference = largest_difference(folder, usage, given(encoder, to, items), expected, to not in BARE)
            if not difference <= TOLERANCE:
                raise ValueError(
                    f"the embeddings of {len(items)} items differ by up to {difference:.1e} in to={to}, more than "
                    f"{TOLERANCE:.0e}; nothing was written"
                )
        about = describe(encoder, to) | {"checked": {"items": len(items), "largest_difference": difference}}
        write_whole(folder / "README.md", card(encoder, to, usage, about))
        names = sorted({each.name for each in folder.iterdir()} | {ABOUT_EXPORT})
        write_json(folder / ABOUT_EXPORT, about | {"files": names})
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Exported(path, size, len(items), difference)


def check_packages(to: str) -> None:
    """Refuses a format whose packages are missing.

    Raises:
        ValueError: with how to install them.
    """
    missing = [name for name in FORMATS[to].PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f'to={to} needs more packages ({", ".join(missing)}): pip install -c constraints.txt -e ".[export]"'
        )


def convert(encoder: Encoder, to: str, folder: Path) -> None:
    """Writes the files of a format, without what its converter has to tell."""
    try:
        with _quiet():
            FORMATS[to].write(encoder, folder)
    except (ValueError, OSError):
        raise
    except Exception as error:  # converters raise whatever an operation they lack leads them to
        raise ValueError(f"this encoder cannot be converted to={to}: {one_line(error)}") from error


def given(encoder: Encoder, to: str, items: list[Any]) -> list[Any]:
    """Items as the export takes them: token ids for a bare graph whose tokenizer stays behind."""
    tokenizer = tokenizer_of(encoder.model)
    return tokenizer.tokens(items).tolist() if to in BARE and tokenizer is not None else items


def describe(encoder: Encoder, to: str) -> dict[str, Any]:
    """What `export.json` says: the format, what goes in and comes out, and how items are brought to that."""
    names = [*PACKAGES, *(name.replace("_", "-") for name in FORMATS[to].PACKAGES)]
    about: dict[str, Any] = {
        "format": to,
        "kind": encoder.kind,
        "embedding_dim": encoder.embedding_dim,
        "distance": encoder.distance,
        "encoder": encoder.fingerprint,
        "packages": versions(names),
    }
    if to in BARE:
        _, spec = prepared(encoder)
        shape = [None if side is None else int(side) for side in spec.shape]
        about["input"] = {"name": spec.name, "dtype": spec.dtype.name, "shape": shape}
    return about | {"preprocessing": preprocessing(encoder)}


def preprocessing(encoder: Encoder) -> dict[str, Any]:
    """In words and numbers, what lies between an item and the graph; inside of the graph of a SavedModel."""
    if encoder.kind == "images":
        height, width, channels = encoder.input_shape
        return {
            "image_size": [height, width],
            "channels": channels,
            "fit": encoder.fit,
            "resampling": "bicubic over the area of a pixel; whole blocks first where the image is 6 times as large",
            "rotation": "as EXIF says",
            "transparency": "on white",
            "values": "0 to 255",
        }
    if isinstance(encoder.vocabulary, Vocabulary):
        return {"vocabulary": VOCABULARY, "length": encoder.vocabulary.length}
    if isinstance(encoder.vocabulary, ColumnIds):
        return {"columns": COLUMNS, "names": list(encoder.vocabulary.names)}
    if takes_texts(encoder):
        return (
            {"tokenizer": "tokenizer", "length": prepared(encoder)[1].shape[-1]} if tokenizer_of(encoder.model) else {}
        )
    return {"features": encoder.input_shape[0]}


@contextlib.contextmanager
def _quiet():
    """Without what C++ and Python print while they convert; errors come as exceptions."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        stderr = os.dup(2)
        try:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

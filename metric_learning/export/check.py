"""An export tried as its user will: in a process of its own, in its folder, by the lines that its card shows."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.split import Split
from metric_learning.encoder import Encoder

TOLERANCE = 1e-5
_READ = """\
import base64
import json
import sys

import numpy as np



def as_item(found):
    return base64.b64decode(found["b64"]) if isinstance(found, dict) and list(found) == ["b64"] else found


with open(sys.argv[1], encoding="utf-8") as file:
    items = [as_item(found) for found in json.load(file)]
"""
# Of one item, of a few, and of the rest: a batch may be of any size.
_EMBED = """
parts = [items[:1], items[1:8], items[8:]]
np.save(sys.argv[2], np.concatenate([np.asarray(embed(part)) for part in parts if part]))
assert "tensorflow" not in sys.modules or {may_be_tensorflow}, "TensorFlow was imported"
"""


def raw_items_of(encoder: Encoder, split: Split, count: int) -> list[Any]:
    """Items of a split as people have them, from its first to its last.

    Args:
        encoder: of the run that the split is of.
        split: what the run made of its items.
        count: at most so many.

    Returns:
        Of images the bytes of PNG files, of texts strings, of ids rows of a table that have these ids, of features rows
        of numbers.
    """
    rows = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64))
    if encoder.kind == "texts":
        return [split.captions[row] for row in rows]
    inputs = split.inputs[rows]
    if encoder.kind == "images":
        return [_png(image) for image in inputs]
    if isinstance(encoder.vocabulary, ColumnIds):
        return [_row_of(ids, encoder.vocabulary) for ids in inputs]
    return np.asarray(inputs, np.float64).tolist()


def largest_difference(folder: Path, usage: str, items: Sequence[Any], expected: np.ndarray, tensorflow: bool) -> float:
    """How far the embeddings of an export are from those that they should be, at most.

    Args:
        folder: of the export.
        usage: Python that defines `embed`, to be run there.
        items: what `embed` takes.
        expected: float32 [n, D].
        tensorflow: whether that may import TensorFlow.

    Raises:
        ValueError: it ends with an error, or gives what is no such array.
    """
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "found.npy"
        run_in(folder, usage + _EMBED.format(may_be_tensorflow=tensorflow), items, str(out))
        found = np.load(out)
    if found.shape != expected.shape:
        raise ValueError(f"the export gives embeddings {list(found.shape)}, and should give {list(expected.shape)}")
    return float(np.abs(found - expected).max())


def run_in(folder: Path, program: str, items: Sequence[Any], *arguments: str) -> str:
    """Runs Python in a process of its own, in a folder, where `items` is what it says; returns what it prints.

    Raises:
        ValueError: it ends with an error; with its last line.
    """
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "items.json"
        path.write_text(json.dumps([_as_json(item) for item in items]), encoding="utf-8")
        source = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-c", _READ + program, str(path), *arguments]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONPATH": paths},
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"the export does not run in a process of its own: {lines[-1]}")
    return done.stdout


def _as_json(item):
    return {"b64": base64.b64encode(item).decode("ascii")} if isinstance(item, bytes) else item


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()


def _row_of(ids: np.ndarray, columns: ColumnIds) -> dict[str, Any]:
    """A row of a table that has these ids, {column: cell}."""
    row: dict[str, Any] = {}
    for key, name, categories, edges in zip(
        ids.tolist(), columns.names, columns.categories, columns.edges, strict=True
    ):
        if not key:
            row[name] = None
        elif edges is None:
            row[name] = categories[key - 1]
        else:
            row[name] = edges[key - 2] if key > 1 else (edges[0] - 1.0 if edges else 0.0)
    return row

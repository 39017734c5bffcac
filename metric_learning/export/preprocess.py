"""Writes what stands in front of a graph without preprocessing: a Python file that needs no more than NumPy and Pillow.

It is made of this project's own sources, so that it does the same.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from metric_learning import whole_files
from metric_learning.data import column_ids, deep_images, images, plain_png, raw_items, text, token_ids
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.text import Vocabulary
from metric_learning.encoder import COLUMNS, VOCABULARY, Encoder
from metric_learning.encoders import tokenizer_of
from metric_learning.export.inputs import takes_texts
from metric_learning.whole_files import write_whole

FILE = "preprocess.py"
_IMPORTS = """\
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
"""
_PARTS: dict[str, tuple[Any, ...]] = {
    "images": (deep_images, plain_png, images, raw_items.is_path, raw_items._image),
    "texts": (whole_files, token_ids, text, raw_items.texts_of),
    "ids": (whole_files, column_ids, raw_items.ids_of),
    "features": (raw_items.features_of,),
}
_INPUTS = {
    "images": '''
def inputs(items):
    """uint8 [n, {height}, {width}, {channels}] of paths, bytes of files, PIL images or uint8 arrays [h, w, c]."""
    options = {{"image_size": ({height}, {width}), "channels": {channels}, "fit": {fit!r}}}
    found = [_image(item, options) for item in items]
    for i, image in enumerate(found):
        if isinstance(image, str):
            raise ValueError(f"item {{i}} cannot be read: {{image}}")
    return np.stack(found)
''',
    "texts": '''
_vocabulary = Vocabulary.load(Path(__file__).with_name("{vocabulary}"))


def inputs(items):
    """int32 [n, {length}] of texts."""
    return _vocabulary.encode(texts_of(items))
''',
    "ids": '''
_columns = ColumnIds.load(Path(__file__).with_name("{columns}"))


def inputs(items):
    """int32 [n, {length}] of rows of a table, as {{column: cell}}."""
    return ids_of(items, _columns)
''',
    "features": '''
def inputs(items):
    """float32 [n, {length}] of rows of numbers."""
    return features_of(items, {length})
''',
}


def write_preprocess(encoder: Encoder, folder: Path) -> None:
    """`preprocess.py`, whose `inputs` makes of items what the graph takes, and the vocabulary or the columns beside it.

    For an encoder with a tokenizer of its own, a folder `tokenizer` as KerasHub reads it.
    """
    if takes_texts(encoder):
        _save_tokenizer(encoder, folder)
        return
    shape = encoder.input_shape
    names = {"vocabulary": VOCABULARY, "columns": COLUMNS, "length": shape[0], "fit": encoder.fit}
    if encoder.kind == "images":
        names |= dict(zip(("height", "width", "channels"), shape, strict=True))
    parts = [_plain(part) for part in _PARTS[encoder.kind]]
    head = '"""Items to what the model beside this file takes: `inputs`. Needs NumPy, and for images Pillow."""\n\n'
    source = head + "from __future__ import annotations\n\n" + _IMPORTS + "\n\n".join(["", *parts])
    write_whole(folder / FILE, source + "\n" + _INPUTS[encoder.kind].format(**names))
    if isinstance(encoder.vocabulary, Vocabulary):
        encoder.vocabulary.save(folder / VOCABULARY)
    if isinstance(encoder.vocabulary, ColumnIds):
        encoder.vocabulary.save(folder / COLUMNS)


def _plain(part: Any) -> str:
    """The source of a module or a function, without what it takes from this project."""
    lines = inspect.getsource(part).splitlines()
    kept = [line for line in lines if not line.startswith(("from __future__", "from metric_learning"))]
    if isinstance(part, ModuleType):
        kept.insert(0, f"# {part.__name__}")
    return "\n".join(kept).strip("\n")


def _save_tokenizer(encoder: Encoder, folder: Path) -> None:
    tokenizer = tokenizer_of(encoder.model)
    if tokenizer is not None:
        tokenizer.preprocessor.tokenizer.save_to_preset(str(folder / "tokenizer"))

"""As a SavedModel in the layout of TensorFlow Serving, with all preprocessing in its graph."""

from __future__ import annotations

from pathlib import Path

import keras

from metric_learning.data.column_ids import ColumnIds
from metric_learning.encoder import Encoder
from metric_learning.encoders import tokenizer_of
from metric_learning.export.graph_columns import argument_names
from metric_learning.export.inputs import OUTPUT, forward, prepared, raw, takes_texts

PACKAGES = ()
VERSION = "1"


def write(encoder: Encoder, folder: Path) -> None:
    """`1/saved_model.pb` and its variables.

    The signature "serving_default" takes what people have; another, called as its input, what `prepared` says.
    """
    function, signature, parts = raw(encoder)
    archive = keras.export.ExportArchive()
    # Variables are found in the endpoints; those of what is tracked would be written a second time. Tables are not.
    for part in (*(layer for layer in encoder.model.layers if not layer.variables), *parts):
        archive.track(part)
    archive.add_endpoint("serving_default", function, signature)
    if not takes_texts(encoder):
        model, spec = prepared(encoder)
        archive.add_endpoint(spec.name, forward(model), [spec])
    archive.write_out(str(folder / VERSION), verbose=False)


def usage(encoder: Encoder) -> str:
    """Python that defines `embed`, to be run in the folder."""
    ops = "import tensorflow_text  # the operations of its tokenizer\n" if tokenizer_of(encoder.model) else ""
    head = f'import tensorflow as tf\n{ops}\nserved = tf.saved_model.load("{VERSION}").signatures["serving_default"]\n'
    if isinstance(encoder.vocabulary, ColumnIds):
        return head + _usage_of_rows(encoder.vocabulary)
    if encoder.kind == "features":
        given = "features=tf.constant(items, tf.float32)"
    else:
        given = f"{'image_bytes' if encoder.kind == 'images' else 'texts'}=tf.constant(items)"
    comment = "  # the bytes of files" if encoder.kind == "images" else ""
    return f'{head}\n\ndef embed(items):{comment}\n    return served({given})["{OUTPUT}"].numpy()\n'


def _usage_of_rows(columns: ColumnIds) -> str:
    pairs = list(zip(argument_names(columns.names), columns.names, columns.edges, strict=True))
    categories = {argument: name for argument, name, edges in pairs if edges is None}
    numbers = {argument: name for argument, name, edges in pairs if edges is not None}
    return f"""\
categories = {categories}  # arguments and their columns
numbers = {numbers}


def embed(items):
    cells = {{}}
    for argument, column in categories.items():
        words = [item.get(column) for item in items]
        cells[argument] = tf.constant(["" if word is None else str(word) for word in words])
    for argument, column in numbers.items():
        words = [item.get(column) for item in items]
        found = [float("nan") if word in (None, "") else float(word) for word in words]
        cells[argument] = tf.constant(found, tf.float64)
    return served(**cells)["{OUTPUT}"].numpy()
"""

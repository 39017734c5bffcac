"""As a LiteRT (TensorFlow Lite) file, for phones and small machines; it takes what `preprocess.py` makes of items."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from metric_learning.encoder import Encoder
from metric_learning.export.inputs import check_float32, forward, prepared, usage_of_graph
from metric_learning.whole_files import in_one_move

PACKAGES = ("ai_edge_litert",)
FILE = "encoder.tflite"
_USAGE = """\
import os

{numpy}from ai_edge_litert.interpreter import Interpreter
{preprocess}
runner = Interpreter("encoder.tflite", num_threads=os.cpu_count()).get_signature_runner()


def embed(items):{comment}
    return runner({name}={given})["{output}"]
"""


def write(encoder: Encoder, folder: Path) -> None:
    """`encoder.tflite`, with one signature, in LiteRT's own operations alone."""
    model, spec = prepared(encoder)
    check_float32("litert", model)
    with tempfile.TemporaryDirectory() as saved:
        archive = keras.export.ExportArchive()
        archive.add_endpoint("serving_default", forward(model), [spec])
        archive.write_out(saved, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=["serving_default"])
        with in_one_move(folder / FILE) as unfinished:
            unfinished.write_bytes(converter.convert())


def usage(encoder: Encoder) -> str:
    """Python that defines `embed`, to be run in the folder."""
    return usage_of_graph(encoder, _USAGE)

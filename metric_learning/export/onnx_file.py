"""As an ONNX file, for runtimes that know nothing of TensorFlow; it takes what `preprocess.py` makes of items."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

import tensorflow as tf

from metric_learning.encoder import Encoder
from metric_learning.export.inputs import check_float32, forward, prepared, usage_of_graph

PACKAGES = ("tf2onnx", "onnx", "onnxruntime")
FILE = "encoder.onnx"
OPSET = 18
_USAGE = """\
{numpy}import onnxruntime
{preprocess}
session = onnxruntime.InferenceSession("encoder.onnx", providers=["CPUExecutionProvider"])


def embed(items):{comment}
    return session.run(["{output}"], {{"{name}": {given}}})[0]
"""


def write(encoder: Encoder, folder: Path) -> None:
    """`encoder.onnx`, of one input and the output "embeddings"."""
    model, spec = prepared(encoder)
    check_float32("onnx", model)
    tf2onnx = importlib.import_module("tf2onnx")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    function = tf.function(forward(model), input_signature=[spec], autograph=False)
    tf2onnx.convert.from_function(function, [spec], opset=OPSET, output_path=str(folder / FILE))


def usage(encoder: Encoder) -> str:
    """Python that defines `embed`, to be run in the folder."""
    return usage_of_graph(encoder, _USAGE)

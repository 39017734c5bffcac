"""As an ONNX file, for runtimes that know nothing of TensorFlow; it takes what `preprocess.py` makes of items."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

import tensorflow as tf

from metric_learning.encoder import Encoder
from metric_learning.export.inputs import OUTPUT, check_float32, forward, prepared, takes_texts

PACKAGES = ("tf2onnx", "onnx", "onnxruntime")
FILE = "encoder.onnx"
OPSET = 18


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
    _, spec = prepared(encoder)
    texts = takes_texts(encoder)
    more = "import numpy\n" if texts else ""
    preprocess = "" if texts else "\nfrom preprocess import inputs  # beside the model\n"
    given = "numpy.array(items, numpy.int32)" if texts else "inputs(items)"
    comment = "  # token ids, see below" if texts else ""
    return f"""\
{more}import onnxruntime
{preprocess}
session = onnxruntime.InferenceSession("{FILE}", providers=["CPUExecutionProvider"])


def embed(items):{comment}
    return session.run(["{OUTPUT}"], {{"{spec.name}": {given}}})[0]
"""

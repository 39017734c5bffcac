"""As an ONNX file, for runtimes that know nothing of TensorFlow; it takes what `preprocess.py` makes of items."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from metric_learning.encoder import Encoder
from metric_learning.export.inputs import OUTPUT, check_float32, forward, prepared, usage_of_graph

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
    # Not `from_function`, which asks for constants of layers, such as the means of Keras' Normalization, as inputs.
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(), lower_control_flow=False)
    (given,), (found,) = ([tensor.name for tensor in each] for each in (frozen.inputs, frozen.outputs))
    tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[given],
        output_names=[found],
        tensors_to_rename={given: spec.name, found: OUTPUT},
        opset=OPSET,
        output_path=str(folder / FILE),
    )


def usage(encoder: Encoder) -> str:
    """Python that defines `embed`, to be run in the folder."""
    return usage_of_graph(encoder, _USAGE)

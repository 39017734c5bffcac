"""What the graph of an encoder takes, behind all preprocessing and in front of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.text import Vocabulary
from metric_learning.encoder import Encoder
from metric_learning.encoders import tokenizer_of
from metric_learning.encoders.backbone import all_layers
from metric_learning.export.graph_columns import Cells
from metric_learning.export.graph_images import decode_and_fit
from metric_learning.export.graph_texts import Tokens

OUTPUT = "embeddings"


def takes_texts(encoder: Encoder) -> bool:
    """Whether the model takes texts as they come, by a tokenizer of its own."""
    return keras.backend.standardize_dtype(encoder.model.inputs[0].dtype) == "string"


def prepared(encoder: Encoder) -> tuple[keras.Model, tf.TensorSpec]:
    """The part of an encoder behind its preprocessing, and what that takes: pixels, token ids, ids or features.

    Raises:
        ValueError: it takes texts through layers of its own that nobody knows to take apart.
    """
    if takes_texts(encoder):
        tokenizer = tokenizer_of(encoder.model)
        if tokenizer is None:
            raise ValueError("this encoder turns texts into numbers by layers of its own; export it to saved_model")
        layers = encoder.model.layers
        model, *others = layers[layers.index(tokenizer) + 1 :]
        for layer in others:  # a penalty
            model = keras.Model(model.input, layer(model.output), name=model.name)
        return model, tf.TensorSpec([None, *model.input_shape[1:]], tf.int32, "token_ids")
    dtype, name = {
        "images": (tf.uint8, "images"),
        "texts": (tf.int32, "token_ids"),
        "ids": (tf.int32, "ids"),
        "features": (tf.float32, "features"),
    }[encoder.kind]
    return encoder.model, tf.TensorSpec([None, *encoder.input_shape], dtype, name)


def forward(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A model in inference, as a function to {"embeddings": float32 [B, D]}."""
    return lambda inputs: {OUTPUT: tf.cast(model(inputs, training=False), tf.float32)}


def raw(encoder: Encoder) -> tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec], list[Any]]:
    """What people have, to embeddings.

    Returns:
        (function, signature, parts): the function, what it takes, and what of it besides the model must be saved.
    """
    embed = forward(encoder.model)
    if encoder.kind == "images":
        shape, fit = encoder.input_shape, encoder.fit
        spec = tf.TensorSpec([None], tf.string, "image_bytes")
        return (lambda image_bytes: embed(decode_and_fit(image_bytes, shape, fit))), [spec], []
    if isinstance(encoder.vocabulary, Vocabulary):
        tokens = Tokens(encoder.vocabulary)
        return (lambda texts: embed(tokens(texts))), [tf.TensorSpec([None], tf.string, "texts")], [tokens]
    if isinstance(encoder.vocabulary, ColumnIds):
        cells = Cells(encoder.vocabulary)
        specs = list(cells.signature.values())
        return (lambda *given: embed(cells(**dict(zip(cells.names, given, strict=True))))), specs, [cells]
    if encoder.kind == "texts":
        return embed, [tf.TensorSpec([None], tf.string, "texts")], []
    return embed, [prepared(encoder)[1]], []


def usage_of_graph(encoder: Encoder, template: str) -> str:
    """Python that defines `embed` by a graph that takes what `prepared` says, to be run in the folder of the export.

    Args:
        encoder: that was exported.
        template: with {numpy} before the first import of a package, {preprocess} after the last, {comment} behind
            `def`, {name} and {given} for the input of the graph, and {output}.
    """
    if takes_texts(encoder):
        parts = {"numpy": "import numpy\n", "preprocess": "", "comment": "  # token ids, see below"}
        parts["given"] = "numpy.array(items, numpy.int32)"
    else:
        parts = {"numpy": "", "preprocess": "\nfrom preprocess import inputs  # beside the model\n", "comment": ""}
        parts["given"] = "inputs(items)"
    return template.format(name=prepared(encoder)[1].name, output=OUTPUT, **parts)


def check_float32(to: str, model: keras.Model) -> None:
    """Refuses a model of mixed precision, whose numbers the other runtimes do not have, or have otherwise.

    Raises:
        ValueError: a layer computes in another precision than float32.
    """
    kinds = {layer.compute_dtype for layer in all_layers(model)} - {"float32"}
    # A look-up takes ids, and what only counts has no precision.
    other = sorted(kind for kind in kinds if "float" in str(kind))
    if other:
        raise ValueError(
            f"to={to} needs an encoder that computes in float32; this one has layers in {', '.join(other)}"
        )

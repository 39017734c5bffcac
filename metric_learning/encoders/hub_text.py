"""Encoders on a text backbone of KerasHub, from texts as they come to embeddings."""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.encoders.backbone import BACKBONE, Backbone
from metric_learning.encoders.embedding_head import embedding_head
from metric_learning.encoders.keras_hub import keras_hub, load_backbone, part_for, where
from metric_learning.encoders.saved import one_line

POOLINGS = ("avg", "max", "first")
TAKEN = {"token_ids", "segment_ids", "padding_mask"}


def hub_text(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None,
    preset: str,
    length: int = 64,
    train: str = "head",
    pooling: str = "avg",
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    embedding_dim: int | None = 128,
    batch_norm: bool = False,
    normalize: bool = True,
) -> keras.Model:
    """The backbone's own tokenizer, the backbone, pooling over tokens, and the embedding head, orthogonal at the start.

    The encoder takes texts, and so does the one that is saved, which holds its tokenizer. See `tokenized` for how it is
    trained on token ids.

    Args:
        input_shape: of the items; that they are texts is all that counts.
        vocabulary_size: None for what is no text.
        preset: a folder of KerasHub, or of Hugging Face with config.json, model.safetensors and the tokenizer, of an
            ALBERT, BERT, DeBERTa, DistilBERT, FNet, RoBERTa or XLM-RoBERTa; or a name of KerasHub, which is fetched.
        length: tokens of a text, its first and last mark included; more are cut off.
        train: which part of the backbone trains: "head" none of it, "all", or "top:N" its last N transformer layers.
        pooling: over the tokens of a text: "avg", "max", or "first", the mark at its beginning.
        hidden, dropout, embedding_dim, batch_norm, normalize: see `embedding_head`; with embedding_dim=None the pooled
            features are the embeddings.

    Returns:
        keras.Model from texts, tf.string [B], to float32 [B, D].

    Raises:
        ValueError: no texts; KerasHub is not installed; no such preset, or one without a tokenizer or of another kind;
            an option out of range.
    """
    if vocabulary_size is None or len(input_shape) != 1:
        raise ValueError(
            f"encoder=hub_text takes texts; got inputs of shape {tuple(input_shape)}. "
            "For images use encoder=cnn or encoder=pretrained, for features encoder=mlp"
        )
    check_choice(POOLINGS, pooling=pooling)
    model, preprocessor = _load(preset, length)
    ids = keras.Input((length,), dtype="int32", name="ids")
    layer = TextBackbone(model, pooling, preprocessor.tokenizer.pad_token_id, name=BACKBONE)
    features = layer(ids)
    _set_trained_part(layer, train)
    embeddings = embedding_head(
        features,
        hidden=hidden,
        dropout=dropout,
        embedding_dim=embedding_dim,
        kernel_initializer="orthogonal",
        batch_norm=batch_norm,
        normalize=normalize,
    )
    of_ids = keras.Model(ids, embeddings, name="of_ids")
    texts = keras.Input((), dtype="string", name="texts")
    return keras.Model(texts, of_ids(Tokenizer(preprocessor, name="tokenizer")(texts)), name="hub_text")


def tokenizer_of(encoder: keras.Model) -> "Tokenizer | None":
    """The `Tokenizer` of an encoder that takes texts, or None."""
    found = [layer for layer in encoder.layers if isinstance(layer, Tokenizer)]
    return found[0] if found else None


@keras.saving.register_keras_serializable(package="metric_learning")
class Tokenizer(keras.layers.Layer):
    """Texts to the token ids of a backbone.

    Args:
        preprocessor: a `keras_hub.models.TextClassifierPreprocessor`, which marks the ends of a text and pads it.
    """

    def __init__(self, preprocessor: keras.layers.Layer, **options: Any) -> None:
        super().__init__(**options)
        self.preprocessor = preprocessor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.built = True  # the vocabulary is there; what is saved is read before anything is built

    def call(self, texts: tf.Tensor) -> tf.Tensor:
        """[B] strings to int32 [B, length]."""
        return tf.cast(self.preprocessor(texts)["token_ids"], tf.int32)

    def compute_output_spec(self, texts: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor((*texts.shape, self.preprocessor.sequence_length), dtype="int32")

    def tokens(self, texts: Sequence[str], batch: int = 4096) -> np.ndarray:
        """Texts to int32 [n, length]."""
        parts = [self(tf.constant(list(texts[first : first + batch]))) for first in range(0, len(texts), batch)]
        return np.concatenate([part.numpy() for part in parts])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"preprocessor": keras.saving.serialize_keras_object(self.preprocessor)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        keras_hub()  # makes its layers known
        return cls(keras.saving.deserialize_keras_object(config.pop("preprocessor")), **config)


@keras.saving.register_keras_serializable(package="metric_learning")
class TextBackbone(Backbone):
    """A model from token ids to one vector for each text; frozen as `Backbone` is.

    Args:
        model: keras.Model from a dict of token_ids and padding_mask, and segment_ids if it wants them, to [B, T, F].
        pooling: one of POOLINGS; padding has no part in it.
        pad_id: the id that padding has.
    """

    def __init__(self, model: keras.Model, pooling: str, pad_id: int, **options: Any) -> None:
        super().__init__(model, **options)
        self.pooling = pooling
        self.pad_id = pad_id

    def call(self, ids: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """[B, T] to [B, F]."""
        is_token = tf.not_equal(ids, self.pad_id)
        given = {"token_ids": ids, "segment_ids": tf.zeros_like(ids), "padding_mask": tf.cast(is_token, tf.int32)}
        taken = {name: given[name] for name in self.model.input}
        features = tf.cast(self.model(taken, training=bool(training) and self.trainable), tf.float32)
        if self.pooling == "first":
            return features[:, 0]
        if self.pooling == "max":
            return tf.reduce_max(tf.where(is_token[:, :, None], features, features.dtype.min), axis=1)
        weights = tf.cast(is_token, tf.float32)[:, :, None]
        return tf.reduce_sum(features * weights, axis=1) / tf.maximum(tf.reduce_sum(weights, axis=1), 1.0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"pooling": self.pooling, "pad_id": self.pad_id}
        del config["family"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        keras_hub()  # makes its layers known
        return super().from_config(config)


def _set_trained_part(layer, train):
    """See `hub_text`."""
    top = re.fullmatch(r"top:(\d+)", str(train))
    if train not in ("all", "head") and not top:
        raise ValueError(f"train must be head, all, or top:N for the last N transformer layers; got {train!r}")
    layer.trainable = train != "head"
    if top:
        layers = layer.model.layers
        blocks = [
            i for i, one in enumerate(layers) if "Transformer" in type(one).__name__ or "FNet" in type(one).__name__
        ]
        if not 1 <= int(top[1]) <= len(blocks):
            raise ValueError(
                f"train=top:N must have N from 1 to {len(blocks)}, the layers of the backbone; got {train!r}"
            )
        for one in layers[: blocks[-int(top[1])]]:
            one.trainable = False


def _load(preset, length):
    """The model from tokens to features, and the preprocessor."""
    backbone = load_backbone("encoder.preset", preset)
    preprocessor = part_for(backbone, keras_hub().models.TextClassifierPreprocessor)
    if preprocessor is None or not set(backbone.input) <= TAKEN:
        raise ValueError(f"encoder.preset={preset} is a {type(backbone).__name__}, which is no encoder of texts")
    longest = getattr(backbone, "max_sequence_length", None) or length
    if not 3 <= length <= longest:
        raise ValueError(f"encoder.length must be from 3 to {longest}; got {length}")
    try:
        tokenizer = _word_pieces(pathlib.Path(preset).expanduser()) or preprocessor.tokenizer_cls.from_preset(
            where(preset)
        )
    except Exception as error:  # files of others
        raise ValueError(f"encoder.preset={preset} has no tokenizer that KerasHub reads: {one_line(error)}") from error
    output = backbone.output
    output = output["sequence_output"] if isinstance(output, dict) else output
    model = keras.Model(backbone.input, output, name=backbone.name)  # without a pooled output, which would not train
    return model, preprocessor(tokenizer, sequence_length=length)


def _word_pieces(folder):
    """The tokenizer of a Hugging Face folder whose vocabulary lies in its tokenizer.json, or None.

    As there, whatever lower-cases strips accents too, unless it says otherwise.
    """
    file = folder / "tokenizer.json"
    described = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    pieces = described.get("model") or {}
    if not isinstance(pieces, dict) or pieces.get("type", "WordPiece") != "WordPiece" or "vocab" not in pieces:
        return None
    normalizer = described.get("normalizer") or {}
    lowercase = bool(normalizer.get("lowercase"))
    strip_accents = normalizer.get("strip_accents")
    vocabulary = sorted(pieces["vocab"], key=pieces["vocab"].get)
    return keras_hub().models.BertTokenizer(
        vocabulary, lowercase=lowercase, strip_accents=lowercase if strip_accents is None else strip_accents
    )

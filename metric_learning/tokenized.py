"""The data as an encoder takes them: what is tokenized once need not be again at every step."""

import keras
import numpy as np

from metric_learning.data import Vocabulary
from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.source import DataSource
from metric_learning.encoders import tokenizer_of
from metric_learning.frozen_features import FeatureSource, frozen_features


def what_trains(
    encoder: keras.Model, source: DataSource, frozen: bool = True
) -> "tuple[keras.Model, DataSource | FeatureSource]":
    """The part of an encoder that learns, and the data as that part sees it: texts tokenized, frozen features computed.

    Args:
        encoder, source: see `tokenized`.
        frozen: compute what a frozen backbone gives once, see `frozen_features`.
    """
    model, data = tokenized(encoder, source)
    return frozen_features(model, data) if frozen else (model, data)


def tokenized(encoder: keras.Model, source: DataSource) -> "tuple[keras.Model, DataSource | FeatureSource]":
    """The part of an encoder behind its tokenizer, and the token ids of the data.

    Args:
        encoder: of `encoders.hub_text`, or any other keras.Model.
        source: `DataSource`, whose captions are its texts.

    Returns:
        keras.Model from token ids to the embeddings of the encoder, with its weights, and the source with these ids as
        inputs; or both as they are, if the encoder has no tokenizer.
    """
    tokenizer = tokenizer_of(encoder)
    if tokenizer is None:
        return encoder, source
    model, *others = encoder.layers[encoder.layers.index(tokenizer) + 1 :]
    for layer in others:  # a penalty
        model = keras.Model(model.input, layer(model.output), name=model.name)
    ids = {name: tokenizer.tokens(split.captions) for name, split in source.splits.items()}
    return model, FeatureSource(source, ids)


def respelled(source: DataSource, known: Vocabulary | ColumnIds | None) -> "DataSource | FeatureSource":
    """Other data in the token ids, or ids of columns, that a run has made of its own data.

    Args:
        source: of texts for a `Vocabulary`, of categories and numbers for `ColumnIds`.
        known: of the run; None for all else, which needs no such numbers.

    Raises:
        ValueError: data of another kind, or columns that cannot be put so.
    """
    if known is None:
        return source
    if isinstance(known, Vocabulary):
        if source.vocabulary is None:
            raise ValueError(f"the encoder takes texts; {source.name} has {source.kind}")
        return FeatureSource(source, {name: known.encode(split.captions) for name, split in source.splits.items()})
    if source.columns is None:
        raise ValueError(f"the encoder takes the columns {', '.join(known.names)}; {source.name} has {source.kind}")
    ids = {name: known.translated(np.asarray(split.inputs[:]), source.columns) for name, split in source.splits.items()}
    return FeatureSource(source, ids)

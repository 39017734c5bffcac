"""Encoders: functions that build a plain `keras.Model` from inputs to embeddings [B, D]."""

from metric_learning.encoders.backbone import Backbone, backbone_of
from metric_learning.encoders.cnn import cnn
from metric_learning.encoders.custom import custom
from metric_learning.encoders.embedding import embedding
from metric_learning.encoders.hub_text import hub_text, tokenizer_of
from metric_learning.encoders.mlp import mlp
from metric_learning.encoders.pretrained import pretrained
from metric_learning.encoders.saved import saved

__all__ = [
    "Backbone",
    "backbone_of",
    "cnn",
    "custom",
    "embedding",
    "hub_text",
    "mlp",
    "pretrained",
    "saved",
    "tokenizer_of",
]

"""Encoders: functions that build a plain `keras.Model` from inputs to embeddings [B, D]."""

from metric_learning.encoders.cnn import cnn
from metric_learning.encoders.embedding import embedding

__all__ = ["cnn", "embedding"]

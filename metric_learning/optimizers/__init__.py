"""Optimizers: Keras' own, with a learning rate for each part, and what they need around them."""

from metric_learning.optimizers.by_part import SGD, Adam, AdamW
from metric_learning.optimizers.repeated_ids import sum_repeated_ids

__all__ = ["SGD", "Adam", "AdamW", "sum_repeated_ids"]

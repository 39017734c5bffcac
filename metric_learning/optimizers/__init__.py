"""Optimizers: what Keras' own need around them."""

from metric_learning.optimizers.repeated_ids import sum_repeated_ids

__all__ = ["sum_repeated_ids"]

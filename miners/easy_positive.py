"""The nearest positive of each anchor with a negative, so that a class may stay spread out."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.selections import Triplets
from miners.miner import Miner

NEGATIVES = ("semi_hard", "hard")


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class EasyPositive(Miner):
    """One triplet an anchor: its nearest positive, and a hard or semi-hard negative.

    Only the nearest positive is pulled, so the many looks of a class need not fall onto one point.

    Args:
        negative: "semi_hard", the nearest negative farther than the positive (the paper's EPSHN), or "hard", the
            nearest negative of all (EPHN). An anchor without a semi-hard negative selects nothing.

    Returns:
        Triplets of one slot.

    Reference: Xuan, Stylianou, Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020,
    https://arxiv.org/abs/1904.04370
    """

    negative: str = "semi_hard"

    def __post_init__(self):
        if self.negative not in NEGATIVES:
            raise ValueError(f"negative must be one of {', '.join(NEGATIVES)}; got {self.negative!r}")

    def __call__(self, distances, positive_mask, negative_mask):
        distances = tf.stop_gradient(distances)
        to_positives = tf.where(positive_mask, distances, float("inf"))
        positive = tf.argmin(to_positives, axis=1, output_type=tf.int32)
        candidates = negative_mask
        if self.negative == "semi_hard":
            candidates &= distances > tf.reduce_min(to_positives, axis=1, keepdims=True)
        negative = tf.argmin(tf.where(candidates, distances, float("inf")), axis=1, output_type=tf.int32)
        valid = tf.reduce_any(positive_mask, axis=1) & tf.reduce_any(candidates, axis=1)
        return Triplets(positive[:, None], negative[:, None], tf.cast(valid, tf.float32)[:, None])

"""The nearest positive of each anchor with a negative, so that a class may stay spread out."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.tuples import Selection
from miners.batch_easy_hard import BatchEasyHard
from miners.miner import Miner

NEGATIVES = ("semi_hard", "hard")


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class EasyPositive(Miner):
    """One triplet an anchor: its nearest positive, and a hard or semi-hard negative.

    Only the nearest positive is pulled, so the many looks of a class need not fall onto one point. The short name of
    `BatchEasyHard` as the paper uses it.

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
        check_choice(NEGATIVES, negative=self.negative)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Selection:
        return BatchEasyHard("easy", self.negative)(distances, positive_mask, negative_mask)

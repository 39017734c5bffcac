"""For each positive pair, negatives of two classes that break a margin which follows the batch: quadruplets."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.tuples import Quadruplets, Triplets, at, entries, to_quadruplets
from miners.candidates import pick_negatives
from miners.miner import Miner

NEGATIVES = ("random", "hardest")
SECOND_NEGATIVES = ("semi_hard", "hard")


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class QuadrupletMargin(Miner):
    """The quadruplets of a positive loss under adaptive margins: the paper's margin-based online hard negative mining.

    The margins are alpha_t = w_t (mean negative distance - mean positive distance) of the batch, at least 0: small
    while classes are mixed, and growing as they part. Of the anchor a with positive p

        the triplet (a, p, n) counts if            d_ap - d_an + alpha_1 > 0
        the second term, m being of a third class, d_ap - d_mn + alpha_2 > 0

    There are O(B^4) quadruplets. Each positive pair takes one n of the first rule, and with it one m.

    Args:
        adaptive_weights: (w_1, w_2), each at least 0; the paper's are (1, 0.5).
        negative: which n: "random", each that breaks the margin as likely, with the number of them as weight, so that
            means over triplets are right on average; or "hardest", the anchor's nearest negative, of weight 1.
            A pair whose negatives all keep the margin takes the nearest, for the second term only.
        second_negative: which m, as in `losses.Quadruplet`: "semi_hard", the nearest to n that is farther from it than
            p from a (where all are nearer, the farthest), or "hard", the nearest of all.

    Returns:
        Quadruplets of M slots; slot j is the pair of the anchor with column j. Triplet losses see the first term only.

    Differs from the paper: distances of the embeddings instead of a learned two-way softmax; one quadruplet a positive
    pair instead of every one.

    Reference: Chen, Chen, Zhang, Huang, "Beyond Triplet Loss: A Deep Quadruplet Network for Person Re-Identification",
    CVPR 2017, section 3.3, https://arxiv.org/abs/1704.01719
    """

    adaptive_weights: tuple[float, float] = (1.0, 0.5)
    negative: str = "random"
    second_negative: str = "semi_hard"

    def __post_init__(self):
        weights = tuple(self.adaptive_weights)
        if len(weights) != 2 or not min(weights) >= 0.0:
            raise ValueError(f"adaptive_weights must be two numbers of at least 0; got {self.adaptive_weights}")
        object.__setattr__(self, "adaptive_weights", weights)  # lists come from yaml and JSON
        check_choice(NEGATIVES, negative=self.negative)
        check_choice(SECOND_NEGATIVES, second_negative=self.second_negative)

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Quadruplets:
        distances = tf.stop_gradient(distances)
        first_margin, second_margin = self.margins(distances, positive_mask, negative_mask)
        nearest = tf.argmin(tf.where(negative_mask, distances, float("inf")), axis=1, output_type=tf.int32)[:, None]
        columns = tf.broadcast_to(tf.range(tf.shape(distances)[1])[None, :], tf.shape(distances))

        if self.negative == "random":
            negative, count = pick_negatives(
                distances, positive_mask, negative_mask, float("-inf"), first_margin, "random", closed=False
            )
            negative = tf.where(count > 0.0, negative, nearest)
        else:
            negative = tf.broadcast_to(nearest, tf.shape(distances))
            count = tf.cast(distances - at(distances, negative) + first_margin > 0.0, tf.float32)

        exists = tf.cast(positive_mask & tf.reduce_any(negative_mask, axis=1, keepdims=True), tf.float32)
        tuples = to_quadruplets(
            Triplets(columns, negative, exists), distances, negative_mask, second_negative=self.second_negative
        )
        between = entries(distances, tuples.second_negative, negative)
        breaks = tf.cast(distances - between + second_margin > 0.0, tf.float32)
        return Quadruplets(columns, negative, tuples.second_negative, exists * count, tuples.second_weights * breaks)

    def margins(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """(alpha_1, alpha_2) of a batch, scalars."""
        gap = tf.nn.relu(_mean(distances, negative_mask) - _mean(distances, positive_mask))
        return tuple(weight * gap for weight in self.adaptive_weights)


def _mean(distances, mask):
    weights = tf.cast(mask, tf.float32)
    return tf.reduce_sum(weights * distances) / tf.maximum(tf.reduce_sum(weights), 1.0)

"""Lifted structure loss: each positive pair against all negatives of both its ends."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, log_sum_exp, share_mean

# Stands for log 0 where no negative is; below any log-sum, and finite, so that differences stay numbers.
NOTHING = -1e30


@keras.saving.register_keras_serializable(package="metric_learning")
class LiftedStructure(TupleLoss):
    """Pulls a positive pair nearer than the negatives of either end, by a margin.

    Mean over the positive pairs (i, j) of 1/2 [J_ij]+^2, where

        J_ij = d(i, j) + 1/scale log( sum_k exp(scale (margin - d(i, k))) + sum_l exp(scale (margin - d(j, l))) )

    over the negatives k of i and l of j. Both directions of a pair count, which is the paper's sum over pairs once,
    divided by 2 |P|.

    Differs from the paper: by `scale`, 1 in the paper. On unit vectors distances span at most 2, where the sums of the
    paper are soft: a batch of many classes raises all J_ij by the log of its negatives, whatever the distances.

    Args:
        margin: at least 0 (alpha), in units of the distance.
        scale: above 0, the sharpness of the soft maximum; the larger, the more only the nearest negative counts.
        distance: see `metric_learning.distances`; "euclidean" in the paper.
        miner: which pairs; None for all, as in the paper. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positive, and for pairs of which neither end has a negative. The
        negatives of a reference that is no anchor itself, as in a memory bank, are the anchors that it is a negative
        of, since distances between references are not known.

    Raises:
        ValueError: margin below 0, scale not above 0, unknown distance.

    Example:
        >>> lifted = LiftedStructure(margin=1.0)
        >>> rows = [[0.0], [1.0], [3.0]]  # J = 1 + log(exp(1 - 3) + exp(1 - 2)) = .313262, for both directions
        >>> round(float(lifted([0, 0, 1], rows)), 6)
        0.049066

    Reference: Oh Song, Xiang, Jegelka, Savarese, "Deep Metric Learning via Lifted Structured Feature Embedding",
    CVPR 2016, https://arxiv.org/abs/1511.06452.
    """

    can_be_packed = False

    def __init__(
        self,
        *,
        margin: float = 1.0,
        scale: float = 1.0,
        distance: str = "euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin)
        check_positive(scale=scale)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """Which references are the anchors themselves, [B, M] boolean; None where all are, in their order."""
        if comparison.ref_embeddings is None:
            return {"own": None}
        return {"own": ~(comparison.positive_mask | comparison.negative_mask)}

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs, own: tf.Tensor | None) -> tf.Tensor:
        nearness = self.scale * (self.margin - distances)
        of_anchors = _log_sum(nearness, pairs.negative_weights)
        of_references = of_anchors
        if own is not None:
            of_references = _of_references(nearness, pairs.negative_weights, of_anchors, own)

        both = _log_add(of_anchors, of_references)
        costs = 0.5 * tf.square(tf.nn.relu(both / self.scale + distances))
        weights = pairs.positive_weights
        return share_mean(tf.reduce_sum(weights * costs, axis=1), tf.reduce_sum(weights))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}


def _log_sum(logits, weights):
    return tf.where(tf.reduce_any(weights > 0.0, axis=1), log_sum_exp(logits, weights), NOTHING)


def _of_references(nearness, negative_weights, of_anchors, own):
    """The log sum of each reference, [M]: that of the same row if it is an anchor too, else over the anchors."""
    # A reference that is an anchor is of its own row, and so neither positive nor negative there.
    # As a product, since a search for the row along the columns takes longer than all the rest.
    found = tf.matmul(
        tf.cast(own, tf.float32), tf.stack([of_anchors, tf.ones_like(of_anchors)], axis=1), transpose_a=True
    )
    is_anchor = found[:, 1] > 0.0
    of_columns = _log_sum(tf.transpose(nearness), tf.transpose(negative_weights))
    return tf.where(is_anchor, found[:, 0] / tf.where(is_anchor, found[:, 1], 1.0), of_columns)


@tf.custom_gradient
def _log_add(x, y):
    """log(exp(x_i) + exp(y_j)), [B, M], of which each gets its share of the gradient."""
    differences = x[:, None] - y[None, :]

    def grad(upstream):
        of_x = upstream * tf.sigmoid(differences)
        return tf.reduce_sum(of_x, axis=1), tf.reduce_sum(upstream - of_x, axis=0)

    return tf.maximum(x[:, None], y[None, :]) + tf.math.log(1.0 + tf.exp(-tf.abs(differences))), grad

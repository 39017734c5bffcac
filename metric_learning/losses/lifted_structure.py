"""Lifted structure loss: each positive pair against all negatives of both its ends."""

import keras
import tensorflow as tf

from metric_learning.losses.checks import check_not_negative, check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.masked import log_sum_exp, share_mean
from metric_learning.selections import to_pairs

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

    def __init__(
        self,
        *,
        margin=1.0,
        scale=1.0,
        distance="euclidean",
        miner=None,
        reduction="sum_over_batch_size",
        name=None,
    ):
        check_not_negative(margin=margin)
        check_positive(scale=scale)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def per_anchor(self, distances, positive_mask, negative_mask):
        pairs = to_pairs(self.select(distances, positive_mask, negative_mask), tf.shape(distances)[1])
        nearness = self.scale * (self.margin - distances)
        of_anchors = _log_sum(nearness, pairs.negative_weights)

        # A reference that is an anchor is of its own row, and so neither positive nor negative there.
        # As a product, since a search for the row along the columns takes longer than all the rest.
        own = tf.cast(~(positive_mask | negative_mask), tf.float32)
        found = tf.matmul(own, tf.stack([of_anchors, tf.ones_like(of_anchors)], axis=1), transpose_a=True)
        is_anchor = found[:, 1] > 0.0
        of_own_rows = found[:, 0] / tf.where(is_anchor, found[:, 1], 1.0)

        def with_columns():
            of_columns = _log_sum(tf.transpose(nearness), tf.transpose(pairs.negative_weights))
            return tf.where(is_anchor, of_own_rows, of_columns)

        # Within a batch all are anchors, and the columns need not be looked at.
        of_references = tf.cond(tf.reduce_all(is_anchor), lambda: of_own_rows, with_columns)

        both = _log_add(of_anchors[:, None], of_references[None, :])
        costs = 0.5 * tf.square(tf.nn.relu(both / self.scale + distances))
        weights = pairs.positive_weights
        return share_mean(tf.reduce_sum(weights * costs, axis=1), tf.reduce_sum(weights))

    def get_config(self):
        return super().get_config() | {"margin": self.margin, "scale": self.scale}


def _log_sum(logits, weights):
    return tf.where(tf.reduce_any(weights > 0.0, axis=1), log_sum_exp(logits, weights), NOTHING)


def _log_add(x, y):
    """log(exp(x) + exp(y)), of which each gets its share of the gradient, half and half where they are equal."""
    larger = tf.stop_gradient(tf.maximum(x, y))
    return larger + tf.math.log(tf.exp(x - larger) + tf.exp(y - larger))

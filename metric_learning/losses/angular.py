"""Angular loss: the angle at the negative, in the triangle with a positive pair, must be small."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.distances import pairwise
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.relations import relate
from metric_learning.tuples import AnyMiner, Pairs, largest_count, put, share_mean, thresholds, through_columns


@keras.saving.register_keras_serializable(package="metric_learning")
class Angular(TupleLoss):
    """Bounds the angle under which a negative sees a positive pair.

    For unit rows and t = tan^2(angle), the mean over positive pairs (a, p) of

        log(1 + sum_n exp(4 t (a + p).n - 2 (1 + t) a.p))

    over the negatives n of a that are negatives of p as well. An angle has no scale, so there is none to choose.

    Differs from the paper: every positive pair of the batch counts, in both directions, where the paper's batches hold
    one pair a class. Rows are normalized here, negatives too. The paper's joint form adds the N-pair loss.

    Args:
        angle: in degrees (alpha), above 0 and at most 60; 36 to 55 in the paper. The smaller, the stricter.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all, as in the paper. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positive pair. Memory is O(B x M + M x M). Time grows with B x M for
        each positive an anchor has; for large classes, references or a miner it is that of products of B x M by M x M.

    Raises:
        ValueError: an angle outside (0, 60], another distance.

    Example:
        >>> rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]  # at 45 degrees t = 1: log(1 + exp(4 (0 + 0) - 4 * 1))
        >>> round(float(Angular(angle=45.0)([0, 0, 1], rows)), 5)
        0.01815

    Reference: Wang, Zhou, Wen, Liu, Lin, "Deep Metric Learning with Angular Loss", ICCV 2017,
    https://arxiv.org/abs/1708.01682.
    """

    can_be_packed = False

    def __init__(
        self,
        *,
        angle: float = 45.0,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        # Beyond 60 degrees the negative could have the largest angle of the triangle. Up to there exponents are small.
        if not 0.0 < angle <= 60.0:
            raise ValueError(f"angle must be above 0 and at most 60 degrees; got {angle}")
        if distance != "cosine":
            raise ValueError(f"distance must be cosine for the angular loss; got {distance!r}")
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.angle = angle

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """Distances among the references, None where these are the anchors, and who is whose negative there."""
        if comparison.ref_embeddings is None:
            return {"ref_distances": None, "ref_negative_mask": comparison.negative_mask}
        return {
            "ref_distances": pairwise(comparison.ref_embeddings, distance=self.distance),
            "ref_negative_mask": relate(comparison.ref_labels).negative_mask,
        }

    def cost_of_pairs(
        self, distances: tf.Tensor, pairs: Pairs, ref_distances: tf.Tensor | None, ref_negative_mask: tf.Tensor
    ) -> tf.Tensor:
        tangent = math.tan(math.radians(self.angle)) ** 2

        # sum_n exp(4t a.n) exp(4t p.n) is a matrix product, of weights that are 0 unless n is a negative of both. The
        # exponents are within 12, so neither factor nor sum leaves the range of float32.
        to_negatives = pairs.negative_weights * tf.exp(4.0 * tangent * (1.0 - distances))
        if ref_distances is None and self.miner is None:
            totals = products_of_positives(to_negatives, pairs.positive_weights > 0.0)
        else:
            ref_distances = distances if ref_distances is None else ref_distances
            from_negatives = tf.cast(ref_negative_mask, tf.float32) * tf.exp(4.0 * tangent * (1.0 - ref_distances))
            totals = tf.matmul(to_negatives, from_negatives, transpose_b=True)

        empty = tf.equal(totals, 0.0)  # not "some are above 0", which would take NaN for nothing
        logits = tf.math.log(tf.where(empty, 1.0, totals)) - 2.0 * (1.0 + tangent) * (1.0 - distances)
        costs = tf.where(empty, 0.0, tf.nn.softplus(logits))
        weights = pairs.positive_weights
        return share_mean(tf.reduce_sum(weights * costs, axis=1), tf.reduce_sum(weights))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"angle": self.angle}


def products_of_positives(rows: tf.Tensor, positive_mask: tf.Tensor) -> tf.Tensor:
    """The dot products of the rows of positive pairs; of other pairs anything.

    Args:
        rows: [B, B] float32.
        positive_mask: [B, B] boolean, symmetric.

    Returns:
        [B, B] float32, of which only positive pairs may be used further.
    """
    few = largest_count(positive_mask) <= thresholds.MOST_FOR_A_PRODUCT_LOOP
    anchors = tf.range(tf.shape(positive_mask)[0])

    @tf.custom_gradient
    def products(rows):
        def add_products(positive, found, totals):
            sums = tf.reduce_sum(rows * tf.gather(rows, positive), axis=1)
            return (put(totals, positive, found, sums),)

        def grad(upstream):
            # The pairs (a, p) and (p, a) have one product, of which both rows are factors.
            def add_gradients(positive, found, gradient):
                both = tf.gather_nd(upstream, tf.stack([anchors, positive], axis=1))
                both += tf.gather_nd(upstream, tf.stack([positive, anchors], axis=1))
                return (gradient + tf.where(found, both, 0.0)[:, None] * tf.gather(rows, positive),)

            return tf.cond(
                few,
                lambda: through_columns(positive_mask, add_gradients, tf.zeros_like(rows))[0],
                lambda: tf.matmul(upstream + tf.transpose(upstream), rows),
            )

        totals = tf.cond(
            few,
            lambda: through_columns(positive_mask, add_products, tf.zeros_like(rows))[0],
            lambda: tf.matmul(rows, rows, transpose_b=True),
        )
        return totals, grad

    return products(rows)

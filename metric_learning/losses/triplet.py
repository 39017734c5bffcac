"""Triplet loss: a positive must be nearer than a negative, by a margin."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_not_negative, check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.sorted_hinges import sum_of_hinges
from metric_learning.tuples import (
    AnyMiner,
    Pairs,
    Selection,
    at,
    entries,
    in_blocks,
    largest_count,
    mean_per_anchor,
    put,
    share_mean,
    thresholds,
    through_columns,
)
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class Triplet(TupleLoss):
    """Pulls the positive nearer to the anchor than the negative, by a margin.

    Mean over the triplets (a, p, n) of

        [d(a, p) - d(a, n) + margin]+                              hinge
        softplus(scale * (d(a, p) - d(a, n) + margin)) / scale     soft=True

    Differs from the paper: nothing with distance "squared_euclidean", unit embeddings and margin 0.2 (FaceNet's alpha).
    Hermans et al. use "euclidean"; their soft margin is soft=True, margin=0, scale=1. On unit vectors distances span at
    most 2, where that soft margin stays near ln 2 and hardly learns: give a `scale` of 10 to 30.

    Args:
        margin: at least 0, in units of the distance.
        soft: softplus instead of the hinge, so that triplets beyond the margin still pull a little.
        scale: above 0, the sharpness of the soft margin; the larger, the more it is like the hinge.
        swap: take the harder of d(a, n) and d(p, n) (Balntas et al. 2016); needs anchors that are the references.
        average: "selected" divides by all triplets, "active" by those of a loss above 0, which keeps the gradient from
            fading as triplets are solved.
        distance: see `metric_learning.distances`.
        miner: which triplets; None for all. Pairs stand for every positive with every negative of the same anchor.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without triplet. With all triplets, memory is O(B x M); time is
        O(B x M x log M) for the hinge, O(B x M x largest class) for the soft margin and for swap.

    Raises:
        ValueError: margin below 0, scale not above 0, unknown average or distance, swap with references.

    Example:
        >>> triplet = Triplet(margin=0.2, distance="euclidean")
        >>> round(float(triplet([0, 0, 1], [[0.0], [1.0], [1.1]])), 4)  # (1 - 1.1 + .2 and 1 - .1 + .2) / 2
        0.6

    References:
        Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, eq. 3, https://arxiv.org/abs/1503.03832;
        Hermans, Beyer, Leibe, "In Defense of the Triplet Loss", 2017, https://arxiv.org/abs/1703.07737.
    """

    def __init__(
        self,
        *,
        margin: float = 0.2,
        soft: bool = False,
        scale: float = 1.0,
        swap: bool = False,
        average: str = "selected",
        distance: str = "squared_euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin)
        check_average(average)
        check_positive(scale=scale)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.soft = soft
        self.scale = scale
        self.swap = swap
        self.average = average

    def call(
        self, labels: TensorLike, embeddings: TensorLike, *, ref_embeddings: TensorLike | None = None, **references: Any
    ) -> tf.Tensor:
        if self.swap and ref_embeddings is not None:
            raise ValueError("swap=True compares positives with negatives, so it takes no ref_embeddings; got some")
        return super().call(labels, embeddings, ref_embeddings=ref_embeddings, **references)

    def cost_of_tuples(self, distances: tf.Tensor, selection: Selection) -> tf.Tensor:
        if isinstance(selection, Pairs):
            margin = None if self.soft else self.margin
            sums, active = sum_over_all_triplets(distances, *selection, self.cost, swap=self.swap, margin=margin)
            if self.average == "active":
                return share_mean(sums, tf.reduce_sum(active))
            return share_mean(sums, tf.reduce_sum(count_triplets(selection)))

        to_positive = at(distances, selection.positive)
        to_negative = at(distances, selection.negative)
        if self.swap:
            from_positive = entries(distances, selection.positive, selection.negative)
            to_negative = tf.minimum(to_negative, from_positive)
        return mean_per_anchor(self.cost(to_positive - to_negative), selection.weights, self.average)

    def cost(self, differences: tf.Tensor) -> tf.Tensor:
        """The loss of d(a, p) - d(a, n), element by element."""
        if self.soft:
            return tf.nn.softplus(self.scale * (differences + self.margin)) / self.scale
        return tf.nn.relu(differences + self.margin)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "soft": self.soft,
            "scale": self.scale,
            "swap": self.swap,
            "average": self.average,
        }


def count_triplets(pairs: Pairs) -> tf.Tensor:
    """Triplets of each anchor, [B], when every positive meets every negative."""
    return tf.reduce_sum(pairs.positive_weights, axis=1) * tf.reduce_sum(pairs.negative_weights, axis=1)


def sum_over_all_triplets(
    distances: tf.Tensor,
    positive_weights: tf.Tensor,
    negative_weights: tf.Tensor,
    cost: Callable[[tf.Tensor], tf.Tensor],
    *,
    swap: bool = False,
    margin: float | tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums `cost(d_ap - d_an)` over every positive and negative of each anchor, in O(B x M) memory.

    One positive of every anchor at a time, so that no [B, M, M] tensor exists. The backward pass repeats the forward
    pass instead of keeping its tensors. A hinge, which says so by its margin, is sorted instead where there are many
    positives.

    Args:
        distances: [B, M] float32.
        positive_weights: [B, M] float32, at least 0.
        negative_weights: [B, M] float32, at least 0.
        cost: an elementwise function of the differences.
        swap: take min(d_an, d_pn) for d_an; distances must be square.
        margin: m, a number or a scalar without gradient, where cost(x) is [x + m]+; None for another cost.

    Returns:
        Per anchor, [B] each: the weighted sum, and the weight of the triplets of a cost above 0.
    """
    # An anchor without negative has no triplet, and need not be gone through.
    has_negative = tf.reduce_any(negative_weights > 0.0, axis=1, keepdims=True)
    positive_weights = tf.where(has_negative, positive_weights, 0.0)
    if margin is None or swap:
        return _sum_by_loop(distances, positive_weights, negative_weights, cost, swap)
    few = largest_count(positive_weights > 0.0) <= thresholds.MOST_FOR_A_HINGE_LOOP
    # Sorting has one key a reference, so none may be a positive and a negative at once.
    overlap = tf.reduce_any((positive_weights > 0.0) & (negative_weights > 0.0))
    return tf.cond(
        few | overlap,
        lambda: _sum_by_loop(distances, positive_weights, negative_weights, cost, swap),
        lambda: sum_of_hinges(distances, positive_weights, negative_weights, margin),
    )


def _sum_by_loop(distances, positive_weights, negative_weights, cost, swap):
    """`sum_over_all_triplets`, for any cost and swap."""

    def costs_of(to_positive, matrix, positive):
        to_negative = tf.minimum(matrix, tf.gather(matrix, positive)) if swap else matrix
        return cost(to_positive - to_negative)

    def sums_of(matrix, positive_weights, negative_weights):
        def add(positive, found, total, active):
            weight = tf.where(found, at(positive_weights, positive[:, None])[:, 0], 0.0)
            costs = costs_of(at(matrix, positive[:, None]), matrix, positive)
            counted = tf.where(costs > 0.0, negative_weights, 0.0)
            return (
                total + weight * tf.reduce_sum(negative_weights * costs, axis=1),
                active + weight * tf.reduce_sum(counted, axis=1),
            )

        zeros = tf.zeros_like(matrix[:, 0])
        return through_columns(positive_weights > 0.0, add, zeros, zeros)

    def gradient_of(matrix, positive_weights, negative_weights, upstream):
        def add(positive, found, gradient):
            to_positive = at(matrix, positive[:, None])
            with tf.GradientTape() as tape:
                tape.watch([to_positive, matrix])
                costs = costs_of(to_positive, matrix, positive)
            weight = tf.where(found, upstream * at(positive_weights, positive[:, None])[:, 0], 0.0)
            of_positive, of_matrix = tape.gradient(
                costs, [to_positive, matrix], output_gradients=weight[:, None] * negative_weights
            )
            gradient += tf.convert_to_tensor(of_matrix)
            # Cheaper than the gradient of `at`, which fills a matrix.
            own = at(gradient, positive[:, None]) + of_positive
            return (put(gradient, positive, found, own[:, 0]),)

        return through_columns(positive_weights > 0.0, add, tf.zeros_like(matrix))

    @tf.custom_gradient
    def sums(matrix):
        # With swap the rows of positives are looked at too.
        of_rows = (lambda function, matrices, _: function(*matrices)) if swap else in_blocks
        matrices = (matrix, positive_weights, negative_weights)

        def grad(upstream, _):
            return of_rows(gradient_of, (*matrices, upstream), (tf.float32,))[0]

        return of_rows(sums_of, matrices, (tf.float32, tf.float32)), grad

    return sums(distances)

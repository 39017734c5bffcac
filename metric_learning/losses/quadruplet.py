"""Quadruplet loss: a triplet loss that also keeps positives nearer than two negatives are to each other."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_choice, check_not_negative
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.losses.triplet import count_triplets, sum_over_all_triplets
from metric_learning.relations import same_class_rows
from metric_learning.tuples import (
    AnyMiner,
    Pairs,
    Selection,
    at,
    entries,
    masked_mean,
    mean_per_anchor,
    share_mean,
    to_quadruplets,
)

SECOND_NEGATIVES = ("semi_hard", "hard")


@keras.saving.register_keras_serializable(package="metric_learning")
class Quadruplet(TupleLoss):
    """Pulls a positive nearer than the anchor's negatives and than any two negatives of other classes are apart.

    For an anchor a, its positive p, and negatives n, m of two further classes: the mean over the triplets plus the mean
    over the quadruplets of

        [d(a, p) - d(a, n) + margin]+   and   [d(a, p) - d(m, n) + second_margin]+

    The second term makes classes compact wherever they lie, not only around the anchor.

    With `adaptive_weights=(w_1, w_2)` the margins follow the batch: w_t * (mean negative distance - mean positive
    distance), at least 0, taken as constants, where the paper's gradient goes through them. The paper uses (1, 0.5).

    Differs from the paper: the distance is that of the embeddings instead of the square of a learned two-way softmax;
    each sum is a mean. Unlike some implementations, m and n are of different classes by label, and neither is the
    anchor's.

    Args:
        margin: alpha_1, at least 0, in units of the distance.
        second_margin: alpha_2, at least 0; smaller than `margin` in the paper, as its push is an auxiliary one.
        adaptive_weights: None for fixed margins, or (w_1, w_2), each at least 0.
        average: "selected" divides by all tuples, "active" by those of a loss above 0.
        distance: see `metric_learning.distances`.
        second_negative: which m completes a mined triplet: "semi_hard", the nearest to n that is farther from it than p
            is from a (where all are nearer, the farthest), or "hard", the nearest of all, which can collapse as
            batch-hard triplets can.
        miner: which triplets. None takes all quadruplets, which needs time O(positive pairs x B x M); memory is
            O(B x M) in any case.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`; a batch of two classes has triplets but no quadruplets.

    Raises:
        ValueError: a negative margin or weight, unknown average or distance.

    Example:
        >>> quadruplet = Quadruplet(margin=0.2, second_margin=0.1, distance="euclidean")
        >>> round(float(quadruplet([0, 0, 1, 2], [[0.0], [1.0], [3.0], [3.5]])), 4)  # no triplet; 1 - 0.5 + 0.1
        0.6

    Reference: Chen, Chen, Zhang, Huang, "Beyond Triplet Loss: A Deep Quadruplet Network for Person Re-Identification",
    CVPR 2017, sections 3.2 and 3.3, https://arxiv.org/abs/1704.01719
    """

    def __init__(
        self,
        *,
        margin: float = 0.2,
        second_margin: float = 0.1,
        adaptive_weights: Sequence[float] | None = None,
        average: str = "selected",
        second_negative: str = "semi_hard",
        distance: str = "squared_euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin, second_margin=second_margin)
        check_average(average)
        if adaptive_weights is not None:
            if len(adaptive_weights) != 2 or min(adaptive_weights) < 0:
                raise ValueError(f"adaptive_weights must be two numbers of at least 0, or None; got {adaptive_weights}")
        check_choice(SECOND_NEGATIVES, second_negative=second_negative)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.second_margin = second_margin
        self.adaptive_weights = None if adaptive_weights is None else tuple(adaptive_weights)
        self.average = average
        self.second_negative = second_negative

    def margins(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor
    ) -> tuple[float | tf.Tensor, ...]:
        """(alpha_1, alpha_2) of a batch: numbers, or scalars without gradient."""
        if self.adaptive_weights is None:
            return self.margin, self.second_margin
        gap = tf.stop_gradient(masked_mean(distances, negative_mask) - masked_mean(distances, positive_mask))
        return tuple(weight * tf.nn.relu(gap) for weight in self.adaptive_weights)

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """The margins of the batch, and which references are of another class than an anchor, [B, M] boolean."""
        margins = self.margins(comparison.distances, comparison.positive_mask, comparison.negative_mask)
        return {"margins": margins, "other_class": comparison.negative_mask}

    def cost_of_tuples(
        self, distances: tf.Tensor, selection: Selection, margins: Sequence[float | tf.Tensor], other_class: tf.Tensor
    ) -> tf.Tensor:
        if isinstance(selection, Pairs):
            return self._all(distances, other_class, selection, *margins)

        quadruplets = to_quadruplets(selection, distances, other_class, self.second_negative)
        to_positive = at(distances, quadruplets.positive)
        to_negative = at(distances, quadruplets.negative)
        between = entries(distances, quadruplets.second_negative, quadruplets.negative)
        weights = quadruplets.weights, quadruplets.second_weights
        return self.of_distances(to_positive, to_negative, between, margins, weights)

    def of_distances(
        self,
        to_positive: tf.Tensor,
        to_negative: tf.Tensor,
        between: tf.Tensor,
        margins: Sequence[float | tf.Tensor],
        weights: Sequence[tf.Tensor],
    ) -> tf.Tensor:
        """One value per anchor, [B], from d(a, p), d(a, n) and d(m, n) of each slot, [B, S].

        Args:
            margins: (alpha_1, alpha_2).
            weights: of the first and of the second term, [B, S] each.
        """
        first, second = (
            mean_per_anchor(tf.nn.relu(to_positive - to_other + margin), weight, self.average)
            for to_other, margin, weight in zip((to_negative, between), margins, weights, strict=True)
        )
        return first + second

    def _all(
        self,
        distances: tf.Tensor,
        negative_mask: tf.Tensor,
        pairs: Pairs,
        first_margin: float | tf.Tensor,
        second_margin: float | tf.Tensor,
    ) -> tf.Tensor:
        first, first_active = sum_over_all_triplets(
            distances, *pairs, lambda differences: tf.nn.relu(differences + first_margin), margin=first_margin
        )
        second, second_count, second_active = _sum_over_all_second_terms(
            distances, negative_mask, pairs.positive_weights, pairs.negative_weights, second_margin
        )
        if self.average == "active":
            first_count, second_count = first_active, second_active
        else:
            first_count = count_triplets(pairs)
        return share_mean(first, tf.reduce_sum(first_count)) + share_mean(second, tf.reduce_sum(second_count))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "second_margin": self.second_margin,
            "adaptive_weights": self.adaptive_weights,
            "average": self.average,
            "second_negative": self.second_negative,
        }


def _sum_over_all_second_terms(distances, negative_mask, positive_weights, negative_weights, margin):
    """Sums [d_ap - d_mn + margin]+ over each positive pair and each negative pair (m, n) outside the anchor's class.

    One positive pair at a time, so that memory stays O(B x M); the backward pass repeats the forward pass.

    Returns:
        Per anchor, [B] each: the sum, the number of quadruplets, and of those with a loss above 0.
    """
    num_references = tf.shape(distances)[1]
    same_class = same_class_rows(negative_mask)
    flat_weights = tf.reshape(positive_weights, [-1])
    order = tf.argsort(flat_weights, direction="DESCENDING", stable=True)
    num_pairs = tf.reduce_sum(tf.cast(flat_weights > 0.0, tf.int32))

    def pair(index):
        cell = tf.gather(order, index)
        anchor = cell // num_references
        outside = ~tf.gather(same_class, anchor)[:, None] & tf.gather(negative_mask, anchor)[None, :]
        return cell, anchor, tf.gather(flat_weights, cell) * tf.cast(outside, tf.float32) * negative_weights

    @tf.custom_gradient
    def sums(matrix):
        flat = tf.reshape(matrix, [-1])

        def add(index, totals):
            cell, anchor, weights = pair(index)
            costs = tf.nn.relu(tf.gather(flat, cell) - matrix + margin)
            terms = tf.stack(
                [
                    tf.reduce_sum(weights * costs),
                    tf.reduce_sum(weights),
                    tf.reduce_sum(weights * tf.cast(costs > 0.0, tf.float32)),
                ]
            )
            return index + 1, tf.tensor_scatter_nd_add(totals, anchor[None, None], terms[None])

        totals = tf.zeros_like(matrix[:, :1]) * tf.zeros([1, 3])
        totals = tf.while_loop(lambda index, _: index < num_pairs, add, (0, totals))[1]

        def grad(upstream, *_):
            def add_gradient(index, to_matrix, to_pairs):
                cell, anchor, weights = pair(index)
                is_active = tf.cast(tf.gather(flat, cell) - matrix + margin > 0.0, tf.float32)
                slopes = tf.gather(upstream, anchor) * weights * is_active
                to_pairs = tf.tensor_scatter_nd_add(to_pairs, cell[None, None], tf.reduce_sum(slopes)[None])
                return index + 1, to_matrix - slopes, to_pairs

            state = (0, tf.zeros_like(matrix), tf.zeros_like(flat))
            _, to_matrix, to_pairs = tf.while_loop(lambda index, *_: index < num_pairs, add_gradient, state)
            return to_matrix + tf.reshape(to_pairs, tf.shape(matrix))

        return tuple(tf.unstack(totals, 3, axis=1)), grad

    return sums(distances)

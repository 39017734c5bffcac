"""Margin loss: positives within a boundary and negatives beyond it, the boundary being learned."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average, check_choice, check_not_negative
from metric_learning.distances import FROM_ZERO
from metric_learning.losses.class_loss import ClassVectors, as_classes, nan_outside
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, Selection, mean_of_anchors, share_mean, to_pairs
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class Margin(TupleLoss):
    """Pulls positives within a boundary and pushes negatives beyond it, each by a margin.

    Over the triplets (a, p, n), the sum of

        [d(a, p) - b + margin]+   +   [b - d(a, n) + margin]+

    divided by the number of terms above 0, plus boundary_weight times the mean b of the anchors; b is the boundary of
    the anchor.

    Differs from the paper: a boundary per image is not offered, and with per_class it is one number and not the sum of
    a common part and one of the class; the authors' code also divides nu times the sum of the boundaries by the terms
    above 0. The paper samples its triplets by `miners.DistanceWeighted`.

    Args:
        margin: at least 0 (alpha), in units of the distance; 0.2 in the paper.
        boundary: b (beta), where a learned one begins; 1.2 suits Euclidean distances of unit rows, 0.5 cosine ones.
            With distance "dot" it is below 0, -0.5 for unit rows.
        learned: "one" boundary for all, one "per_class", or "none", which keeps b as it is.
        boundary_weight: at least 0 (nu), pulls learned boundaries down. Without it, they rise or fall until as many
            positive terms as negative ones are above 0.
        num_classes: C, for learned="per_class"; labels are then 0 to C - 1. None when it is not known yet: `build` says
            it then, as train.py does with the classes of the training data.
        average: "active" divides by the terms above 0, as the authors' code does, "selected" by all terms.
        distance: see `metric_learning.distances`; "euclidean" of unit rows in the paper.
        miner: which triplets; None for all. Pairs stand for every positive with every negative of the same anchor.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without triplet.

    Raises:
        ValueError: a negative margin or weight, unknown `learned`, average or distance; when called, per_class and
            num_classes not known, or multi-hot labels of another width.
        tf.errors.InvalidArgumentError: with per_class, a label outside 0 to C - 1; under XLA the value is NaN.

    Example:
        >>> loss = Margin(margin=0.25, boundary=1.0, learned="none")
        >>> float(loss([0, 0, 1], [[0.0], [1.0], [1.5]]))  # .25 + 0 and .25 + .75, of which 3 are above 0
        0.4166666567325592

    Reference: Wu, Manmatha, Smola, Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4,
    https://arxiv.org/abs/1706.07567.
    """

    def __init__(
        self,
        *,
        margin: float = 0.2,
        boundary: float = 1.2,
        learned: str = "one",
        boundary_weight: float = 0.0,
        num_classes: int | None = None,
        average: str = "active",
        distance: str = "euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin, boundary_weight=boundary_weight)
        check_choice(("none", "one", "per_class"), learned=learned)
        check_average(average)
        if distance not in FROM_ZERO and not boundary < 0.0:
            raise ValueError(
                f"boundary must be below 0 with distance={distance}, which is minus the product of the rows; "
                f"got {boundary}; between unit rows boundary=-0.5 is a cosine of 0.5"
            )
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.boundary = boundary
        self.learned = learned
        self.can_be_packed = learned != "per_class"
        self.boundary_weight = boundary_weight
        self.num_classes: int | None = None
        self.average = average
        if learned == "one":
            self.layers = self._make_layers(1)
        if num_classes is not None:
            self.build(num_classes, None)

    def build(self, num_classes: int, embedding_dim: int | None, class_names: Sequence[str] | None = None) -> None:
        """Makes the boundaries; see `EmbeddingLoss.build`.

        Raises:
            ValueError: fewer than 2 classes, or another number than the loss has been built with.
        """
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2; got {num_classes}")
        if self.num_classes not in (None, num_classes):
            raise ValueError(f"the loss has been built with num_classes={self.num_classes}; got {num_classes}")
        if self.num_classes is None:
            # Made anew where the constructor made them, since a strategy wants variables of its own scope.
            self.num_classes = num_classes
            self.layers = {
                "none": lambda: [],
                "one": lambda: self._make_layers(1),
                "per_class": lambda: self._make_layers(num_classes),
            }[self.learned]()

    def _make_layers(self, count):
        return [ClassVectors(count, 1, keras.initializers.Constant(self.boundary))]

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """The boundary of each anchor, [B, 1], or [1, 1] where all have one."""
        if self.learned == "none":
            return {"boundaries": tf.constant([[self.boundary]], tf.float32)}
        if not self.layers:
            raise ValueError(
                "num_classes must be known before the loss is used; give it to the constructor or to build()"
            )
        boundaries = tf.convert_to_tensor(self.layers[0].vectors)
        return {"boundaries": boundaries if self.learned == "one" else rows_of_labels(boundaries, comparison.labels)}

    def cost_of_tuples(self, distances: tf.Tensor, selection: Selection, boundaries: tf.Tensor) -> tf.Tensor:
        positive, negative = to_pairs(selection, tf.shape(distances)[1])
        if isinstance(selection, Pairs):  # each counts once for every triplet that it is part of
            num_positives, num_negatives = (tf.reduce_sum(part, axis=1, keepdims=True) for part in (positive, negative))
            positive, negative = positive * num_negatives, negative * num_positives

        pull = tf.nn.relu(distances - boundaries + self.margin)
        push = tf.nn.relu(boundaries - distances + self.margin)
        sums = tf.reduce_sum(positive * pull + negative * push, axis=1)
        if self.average == "active":
            terms = positive * tf.cast(pull > 0.0, tf.float32) + negative * tf.cast(push > 0.0, tf.float32)
        else:
            terms = positive + negative
        values = share_mean(sums, tf.reduce_sum(terms))

        if self.learned == "none" or not self.boundary_weight:
            return values
        of_anchors = tf.broadcast_to(boundaries[:, 0], tf.shape(values))
        valid = tf.reduce_any(positive + negative > 0.0, axis=1)
        return values + self.boundary_weight * mean_of_anchors(of_anchors, valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "boundary": self.boundary,
            "learned": self.learned,
            "boundary_weight": self.boundary_weight,
            "num_classes": self.num_classes,
            "average": self.average,
        }


def rows_of_labels(table: tf.Tensor, labels: TensorLike) -> tf.Tensor:
    """The rows [B, T] of a table [C, T] that the labels name; of multi-hot or graded labels the weighted mean.

    Raises:
        ValueError: labels that are neither integers nor [B, C].
        tf.errors.InvalidArgumentError: a label outside 0 to C - 1; under XLA, which cannot raise, its row is NaN.
    """
    num_classes = table.shape[0]
    labels = as_classes(labels, num_classes)
    if labels.shape.rank == 1:
        return nan_outside(tf.gather(table, labels), labels, num_classes)
    total = tf.reduce_sum(labels, axis=1, keepdims=True)
    return tf.matmul(labels / tf.where(total > 0.0, total, 1.0), table)

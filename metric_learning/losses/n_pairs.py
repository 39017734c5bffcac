"""N-pairs loss: a positive against one row of every other class."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.distances import to_similarities
from metric_learning.labels import as_labels
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.embedding_loss import as_embeddings
from metric_learning.relations import Relations, relate
from metric_learning.tuples import log_sum_exp, masked_mean, mean_of_anchors
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class NPairs(DistanceLoss):
    """Picks the positive out among one row of each other class, by a softmax over the products of embeddings.

    Mean over the anchors of -log of the softmax's share of the positive, among their candidates:

        log(1 + sum_n e^{s_an - s_ap})   for one positive p

    and plus l2_weight * mean |x|^2 over all rows.

    one_per_class=True, the paper: rows are numbered within their class in the order of the batch. Row 0 of a class is
    an anchor whose candidates are row 1 of every class, row 2 one with row 3, and so on (counting round in a class that
    ends). So a batch of the rows (x, x+) of each class is exactly the paper's multi-class N-pair loss, and one of K
    rows a class is the mean of K/2 of them. A row alone in its class is a candidate, but no anchor.

    one_per_class=False: every row is an anchor, all other rows are its candidates, and the positives are targets of
    equal shares, or with labels [B, C] of shares by grade, how alike the labels are (as TensorFlow Addons'
    NpairsMultilabelLoss, whose grades count the classes in common instead).

    Args:
        one_per_class: see above; needs labels [B].
        symmetric: with one_per_class, let every row be an anchor: row 1 with the candidates row 2, or row 0 of classes
            of two. The paper's loss with the parts of x and x+ exchanged joins in.
        l2_weight: at least 0; the paper regularizes so, TensorFlow's old version with 0.002. No use for unit rows.
        scale: above 0, a factor of the similarity; 1 in the paper, whose rows are of free length. Unit rows need 10 or
            more.
        distance: see `metric_learning.distances`; "dot" in the paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`; but for the l2 term, 0 for a row that is no anchor, or has no positive or no negative.

    Raises:
        ValueError: l2_weight below 0, scale not above 0, unknown distance; labels [B, C] with one_per_class.

    Example:
        >>> # the anchors are rows 0 and 1, each with candidates rows 2 and 3: log(1 + e^-1), log(1 + e^-4)
        >>> n_pairs = NPairs()
        >>> round(float(n_pairs([0, 1, 0, 1], [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 2.0]])), 4)
        0.1657

    Reference: Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016,
    https://papers.nips.cc/paper/2016/file/6b180037abbebea991d8b1232f8a8ca9-Paper.pdf.
    """

    takes_grades = True

    def __init__(
        self,
        *,
        one_per_class: bool = True,
        symmetric: bool = False,
        l2_weight: float = 0.0,
        scale: float = 1.0,
        distance: str = "dot",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(l2_weight=l2_weight)
        check_positive(scale=scale)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.one_per_class = one_per_class
        self.symmetric = symmetric
        self.l2_weight = l2_weight
        self.scale = scale

    def call(self, labels: TensorLike, embeddings: TensorLike, **references: Any) -> tf.Tensor:
        """As `DistanceLoss.call`; with one_per_class references are numbered within their class too."""
        values = super().call(labels, embeddings, **references)
        if self.l2_weight:
            values += self.l2_weight * tf.reduce_sum(tf.square(as_embeddings(embeddings)), axis=1)
        return values

    def relate(
        self, labels: TensorLike, ref_labels: TensorLike | None, *, ids: TensorLike | None, ref_ids: TensorLike | None
    ) -> Relations:
        if not self.one_per_class:
            return super().relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
        if as_labels(labels).shape.rank == 2:
            raise ValueError("one_per_class=True needs labels [batch], one class a row; got multi-hot ones")
        positive_mask, negative_mask, _ = super().relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
        is_candidate = _one_per_class(labels, ref_labels, self.symmetric)
        return Relations(positive_mask & is_candidate, negative_mask & is_candidate)

    def per_anchor(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor, grades: tf.Tensor | None
    ) -> tf.Tensor:
        logits = self.scale * to_similarities(distances, self.distance)
        shares = tf.cast(positive_mask, tf.float32)
        if grades is not None:
            shares *= grades
        everything = log_sum_exp(logits, tf.cast(positive_mask | negative_mask, tf.float32))
        costs = masked_mean(everything[:, None] - logits, shares, axis=1)
        return mean_of_anchors(costs, tf.reduce_any(positive_mask, axis=1) & tf.reduce_any(negative_mask, axis=1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "one_per_class": self.one_per_class,
            "symmetric": self.symmetric,
            "l2_weight": self.l2_weight,
            "scale": self.scale,
        }


def _one_per_class(labels, ref_labels, symmetric):
    """[B, M] boolean: the one candidate of every class for each anchor, and none for rows that are no anchor."""
    number, size = _number_in_class(labels)
    ref_number, ref_size = (number, size) if ref_labels is None else _number_in_class(ref_labels)
    is_candidate = tf.equal(ref_number[None, :], (number[:, None] + 1) % ref_size[None, :])
    return is_candidate if symmetric else is_candidate & tf.equal(number % 2, 0)[:, None]


def _number_in_class(labels):
    """How many earlier rows share a row's class, and how many rows are in that class: [B] int32 each."""
    same = relate(labels).positive_mask
    rows = tf.range(tf.shape(same)[0])
    earlier = same & (rows[None, :] < rows[:, None])
    return (
        tf.reduce_sum(tf.cast(earlier, tf.int32), axis=1),
        tf.reduce_sum(tf.cast(same, tf.int32), axis=1) + 1,
    )

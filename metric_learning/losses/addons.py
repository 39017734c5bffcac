"""The metric-learning losses of TensorFlow Addons 0.23, by their names, arguments and values.

For programs that used `tfa.losses`: `from metric_learning.losses import addons as tfa_losses`. The values are those of
Addons wherever these are finite. What differs:

- a batch without a positive pair costs 0, where Addons returned NaN;
- memory is O(B^2), where Addons' semi-hard and lifted losses took O(B^3);
- `call` returns one value per anchor, whose mean is Addons' scalar, so reductions and sample weights work;
- the soft hard loss does not overflow; the gradient is finite for equal and for zero rows;
- labels must be integers or strings, as floating numbers merge large ones.

They take no miner, and are no choices of `loss=`: see docs/migration.md for what the library offers instead.
"""

from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.distances import pairwise
from metric_learning.labels import as_labels
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.relations import relate
from metric_learning.tuples import at, log_sum_exp, mean_per_anchor, nearest_farther
from metric_learning.types import TensorLike

# The names of Addons, so that models saved with it find their losses.
REGISTER = keras.saving.register_keras_serializable(package="Addons")
METRICS = {"L2": "euclidean", "squared-L2": "squared_euclidean", "angular": "cosine"}


class _TripletLoss(EmbeddingLoss):
    """What the two triplet losses share.

    Args:
        margin: in units of the distance.
        distance_metric: "L2", "squared-L2", "angular" (1 - cosine), or a function of embeddings [B, D] to
            distances [B, B].
    """

    def __init__(
        self,
        margin: float,
        distance_metric: str | Callable[[tf.Tensor], tf.Tensor],
        reduction: str | None,
        name: str | None,
    ) -> None:
        if not callable(distance_metric):
            check_choice(METRICS, distance_metric=distance_metric)
        super().__init__(reduction=reduction, name=name)
        self.margin = margin
        self.distance_metric = distance_metric
        self.distance = METRICS[distance_metric] if isinstance(distance_metric, str) else None

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is Addons' loss."""
        embeddings = as_embeddings(embeddings)
        if callable(self.distance_metric):
            distances = self.distance_metric(embeddings)
        else:
            distances = pairwise(embeddings, distance=METRICS[self.distance_metric])
            distances = tf.linalg.set_diag(distances, tf.zeros_like(distances[:, 0]))
        relations = relate(labels)
        return self.per_anchor(distances, relations.positive_mask, relations.negative_mask)

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "distance_metric": self.distance_metric}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if isinstance(config.get("distance_metric"), dict):
            config = config | {"distance_metric": keras.saving.deserialize_keras_object(config["distance_metric"])}
        return cls(**config)


@REGISTER
class TripletSemiHardLoss(_TripletLoss):
    """For every ordered positive pair, the hinge against the nearest negative that is farther than the positive.

    The mean over positive pairs (a, p) of [d(a, p) - d(a, n) + margin]+, with n = argmin {d(a, n) : d(a, n) > d(a, p)},
    or the farthest negative where none is farther than p. Without any negative, d(a, n) is the smallest distance of
    the row, which is 0.

    Args:
        margin: in units of the distance.
        distance_metric: "L2", "squared-L2", "angular", or a function of embeddings to [B, B].
        name: as in Keras.
        reduction: as in Keras.

    Example:
        >>> round(float(TripletSemiHardLoss()([0, 0, 1], [[0.0], [1.0], [1.5]])), 4)  # (1 - 1.5 + 1 + 1 - .5 + 1) / 2
        1.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        distance_metric: str | Callable[[tf.Tensor], tf.Tensor] = "L2",
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(margin, distance_metric, reduction, name)

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        negative, found = nearest_farther(tf.stop_gradient(distances), positive_mask, negative_mask)
        to_negative = tf.where(found, at(distances, negative), _largest(distances, negative_mask)[:, None])
        costs = tf.nn.relu(distances - to_negative + self.margin)
        return mean_per_anchor(costs, tf.cast(positive_mask, tf.float32))


@REGISTER
class TripletHardLoss(_TripletLoss):
    """For every anchor, the hinge of its farthest positive against its nearest negative.

    The mean over all anchors of [max d(a, p) - min d(a, n) + margin]+, or log(1 + exp(max d(a, p) - min d(a, n))) if
    soft, without the margin. Without a positive d(a, p) is the smallest distance of the row (0), and without a negative
    d(a, n) is the largest, so that such anchors count too.

    Args:
        margin: in units of the distance.
        soft: the soft margin.
        distance_metric: "L2", "squared-L2", "angular", or a function of embeddings to [B, B].
        name: as in Keras.
        reduction: as in Keras.

    Example:
        >>> hard = TripletHardLoss(reduction=None)  # 1 - 1.5 + 1, 1 - .5 + 1, and 0 - .5 + 1 of the single row
        >>> [float(value) for value in hard([0, 0, 1], [[0.0], [1.0], [1.5]])]
        [0.5, 1.5, 0.5]
    """

    def __init__(
        self,
        margin: float = 1.0,
        soft: bool = False,
        distance_metric: str | Callable[[tf.Tensor], tf.Tensor] = "L2",
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(margin, distance_metric, reduction, name)
        self.soft = soft

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        # The smallest of the distances is the largest of their opposites.
        differences = _largest(distances, positive_mask) + _largest(-distances, negative_mask)
        return tf.nn.softplus(differences) if self.soft else tf.nn.relu(differences + self.margin)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"soft": self.soft}


def _largest(distances, mask):
    """The largest distance of each row [B] within the mask; of a row without any, the smallest of all."""
    largest = tf.reduce_max(tf.where(mask, distances, float("-inf")), axis=1)
    return tf.where(tf.reduce_any(mask, axis=1), largest, tf.reduce_min(distances, axis=1))


@REGISTER
class ContrastiveLoss(EmbeddingLoss):
    """Of given pairs: distance^2 for equal ones, [margin - distance]+^2 for different ones.

    `call(y_true, y_pred)` takes y_true [B] of 1 (equal) and 0 (different), and y_pred [B] or [B, 1], the distances.

    Args:
        margin: different pairs farther than this cost nothing.
        reduction: as in Keras.
        name: as in Keras.

    Example:
        >>> float(ContrastiveLoss()([1, 0], [2.0, 0.5]))  # (4 + .25) / 2
        2.125
    """

    def __init__(
        self, margin: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = "contrastive_loss"
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.margin = margin

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per pair, [B] float32."""
        distances = tf.reshape(tf.cast(tf.convert_to_tensor(embeddings), tf.float32), [-1])
        equal = tf.reshape(tf.cast(tf.convert_to_tensor(labels), tf.float32), [-1])
        push = tf.square(tf.nn.relu(self.margin - distances))
        return equal * tf.square(distances) + (1.0 - equal) * push

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin}


@REGISTER
class LiftedStructLoss(EmbeddingLoss):
    """For every positive pair, the hinge of its distance against a soft minimum over the negatives of both.

    J(i, j) = log(sum_n exp(margin - d(i, n)) + sum_n exp(margin - d(j, n))) + d(i, j), with the Euclidean distance of
    embeddings that need not be normalized; the mean over positive pairs of [J(i, j)]+^2 / 2.

    Args:
        margin: in units of the distance.
        name: as in Keras.
        reduction: as in Keras.

    Example:
        >>> lifted = LiftedStructLoss()
        >>> round(float(lifted([0, 0, 1], [[0.0], [1.0], [2.0]])), 4)  # (log(e^-1 + e^0) + 1)^2 / 2
        0.8623
    """

    distance = "euclidean"

    def __init__(
        self, margin: float = 1.0, name: str | None = None, reduction: str | None = "sum_over_batch_size"
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.margin = margin

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is Addons' loss."""
        distances = pairwise(as_embeddings(embeddings), distance="euclidean")
        relations = relate(labels)
        push = log_sum_exp(self.margin - distances, tf.cast(relations.negative_mask, tf.float32))
        of_both = push[None, :] + tf.nn.softplus(push[:, None] - push[None, :])
        # One class has no negatives, log(0), and no cost.
        has_negative = tf.reduce_any(relations.negative_mask, axis=1, keepdims=True)
        costs = 0.5 * tf.square(tf.nn.relu(tf.where(has_negative, of_both + distances, 0.0)))
        return mean_per_anchor(costs, tf.cast(relations.positive_mask, tf.float32))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin}


@REGISTER
class NpairsLoss(EmbeddingLoss):
    """Softmax cross-entropy of each row of a similarity matrix against the rows of its label, itself among them.

    `call(y_true, y_pred)` takes labels [B], and similarities [B, B] such as a b^T of two embeddings of each item.

    Args:
        name: as in Keras.
        reduction: as in Keras.

    Example:
        >>> round(float(NpairsLoss()([0, 1], [[1.0, 0.0], [2.0, 2.0]])), 4)  # (log(1 + e^-1) + log 2) / 2
        0.5032
    """

    def __init__(self, name: str | None = "npairs_loss", reduction: str | None = "sum_over_batch_size") -> None:
        super().__init__(reduction=reduction, name=name)

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per row, [B] float32."""
        similarities = as_embeddings(embeddings)
        labels = as_labels(labels)
        return _cross_entropy(tf.cast(labels[:, None] == labels[None, :], tf.float32), similarities)


@REGISTER
class NpairsMultilabelLoss(NpairsLoss):
    """`NpairsLoss` with y_true [B, C] of 1 and 0, dense or sparse: rows share a target by the labels that they share.

    A row without label costs 0 (NaN in Addons).

    Args:
        name: as in Keras.
        reduction: as in Keras.
    """

    def __init__(
        self, name: str | None = "npairs_multilabel_loss", reduction: str | None = "sum_over_batch_size"
    ) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        labels = tf.sparse.to_dense(labels) if isinstance(labels, tf.SparseTensor) else labels
        labels = tf.cast(tf.convert_to_tensor(labels), tf.float32)
        return _cross_entropy(tf.matmul(labels, labels, transpose_b=True), as_embeddings(embeddings))


def _cross_entropy(shared, similarities):
    """[B] float32, 0 for a row that shares nothing, not even with itself."""
    total = tf.reduce_sum(shared, axis=1)
    counts = total > 0.0
    targets = shared / tf.where(counts, total, 1.0)[:, None]
    return tf.where(counts, tf.nn.softmax_cross_entropy_with_logits(targets, similarities), 0.0)

"""Losses on tuples that are given: pairs, triplets and quadruplets as columns of one output, or apart."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.distances import rowwise
from metric_learning.losses.distance_loss import Comparison, DistanceLoss
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.losses.quadruplet import Quadruplet
from metric_learning.losses.triplet import Triplet
from metric_learning.types import TensorLike

WHAT_PARTS_ARE = {2: "[a|b]", 3: "[a|p|n]", 4: "[a|p|n1|n2]"}


@keras.saving.register_keras_serializable(package="metric_learning")
class Packed(EmbeddingLoss):
    """A loss on distances, for a model whose output holds the rows of a tuple side by side.

    For `model.compile(loss=Packed(Triplet(), parts=3))`, where the model's output is the concatenation of its
    embeddings of an anchor, a positive and a negative. Rows of other tuples are not compared. Where the rows of a tuple
    follow one another in the batch instead, take a plain loss with the miner `miners.Packed`.

    With average="selected" the value of a row is the loss of its tuple alone. With "active" it also holds the factor
    batch / active tuples, so that the mean over the batch is the mean over the active ones; and a loss of pairs
    averages equal and unequal pairs apart, which gives each side a like factor.

    Args:
        loss: a `DistanceLoss` without miner, as the tuples are chosen, and with `can_be_packed`; for pairs with
            `can_be_packed_in_pairs`. Its own reduction is not used.
        parts: 2 for pairs [a|b]; 3 for triplets [a|p|n]; 4 for [a|p|n1|n2], where `Quadruplet` takes n2 as a
            negative of a third class, and all other losses take it as one more negative of a.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call(y_true, y_pred)`. For pairs y_true, [B] or [B, 1], is 1 where both are of one class and 0 where
        not; otherwise it is not read. y_pred is [B, parts * D].

    Raises:
        ValueError: a loss of another kind or with a miner, other parts or too few for the loss, a width that is no
            multiple of the parts.

    Example:
        >>> packed = Packed(Triplet(margin=0.2, distance="squared_euclidean"), parts=3, reduction=None)
        >>> rows = [[0.0, 0, 1, 0, 0, 2], [0.0, 0, 0, 1, 1, 0]]  # 1 - 4 + .2 and 1 - 1 + .2
        >>> [round(float(value), 4) for value in packed([0, 0], rows)]
        [0.0, 0.2]
    """

    def __init__(
        self,
        loss: DistanceLoss,
        *,
        parts: int = 3,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if parts not in WHAT_PARTS_ARE:
            known = ", ".join(f"{number} for {columns}" for number, columns in WHAT_PARTS_ARE.items())
            raise ValueError(f"parts must be {known}; got {parts}")
        check_loss(loss, parts)
        super().__init__(reduction=reduction, name=name)
        self.loss = loss
        self.parts = parts
        self.distance = loss.distance
        self.layers = loss.layers

    def build(self, num_classes: int, embedding_dim: int, class_names: Sequence[str] | None = None) -> None:
        """Builds the loss that it holds; see `EmbeddingLoss.build`."""
        self.loss.build(num_classes, embedding_dim, class_names)
        self.layers = self.loss.layers

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        embeddings = as_embeddings(embeddings)
        width = embeddings.shape[1]
        if width is None or width % self.parts:
            raise ValueError(
                f"packed columns {WHAT_PARTS_ARE[self.parts]} must be a multiple of {self.parts} wide; "
                f"got shape {embeddings.shape}"
            )
        parts = tf.split(embeddings, self.parts, axis=1)
        return of_pairs(self.loss, labels, *parts) if self.parts == 2 else of_tuples(self.loss, *parts)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"loss": self.loss, "parts": self.parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if isinstance(config["loss"], dict):
            config = config | {"loss": keras.saving.deserialize_keras_object(config["loss"])}
        return cls(**config)


def of_pairs(loss: DistanceLoss, same: TensorLike, first: TensorLike, second: TensorLike) -> tf.Tensor:
    """The values, [B], of a loss on pairs of rows.

    Args:
        loss: see `Packed`.
        same: [B] or [B, 1], 1 or True where both rows are of one class.
        first: [B, D].
        second: [B, D].
    """
    check_loss(loss, 2)
    same = tf.cast(tf.reshape(tf.convert_to_tensor(same), [-1, 1]), tf.float32) > 0.5
    distances = rowwise(first, second, distance=loss.distance)[:, None]
    same = tf.ensure_shape(same, distances.shape)
    return _values(loss, first, distances, same, ~same)


def of_tuples(
    loss: DistanceLoss,
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    second_negative: TensorLike | None = None,
) -> tf.Tensor:
    """The values, [B], of a loss on triplets or quadruplets of rows that are given apart.

    Args:
        loss: see `Packed`.
        anchor: [B, D].
        positive: [B, D], each of the anchor's class.
        negative: [B, D], each of another class.
        second_negative: [B, D] or None: for `Quadruplet` of a third class, for others one more negative.
    """
    check_loss(loss, 3 if second_negative is None else 4)
    if isinstance(loss, Quadruplet):
        return _of_quadruplets(loss, anchor, positive, negative, second_negative)
    others = [negative] if second_negative is None else [negative, second_negative]
    to_positive = rowwise(anchor, positive, distance=loss.distance)
    to_others = [rowwise(anchor, other, distance=loss.distance) for other in others]
    if getattr(loss, "swap", False):
        # The harder of both sides is taken here: the loss would look for it in a matrix of the whole batch.
        from_positive = [rowwise(positive, other, distance=loss.distance) for other in others]
        to_others = [tf.minimum(*sides) for sides in zip(to_others, from_positive, strict=True)]
        loss = type(loss).from_config(loss.get_config() | {"swap": False})
    return _values(loss, anchor, *_with_masks(to_positive, *to_others))


def _of_quadruplets(loss, anchor, positive, negative, second_negative):
    distances, positive_mask, negative_mask = _with_masks(
        rowwise(anchor, positive, distance=loss.distance),
        rowwise(anchor, negative, distance=loss.distance),
        # In the order of the distance matrix, which matters to snr: from the second negative to the first.
        rowwise(second_negative, negative, distance=loss.distance),
    )
    margins = loss.margins(distances, positive_mask, negative_mask)
    columns = tf.split(distances, 3, axis=1)
    return loss.of_distances(*columns, margins, weights=[tf.ones_like(columns[0])] * 2)


def _values(loss, anchor, distances, positive_mask, negative_mask):
    return loss.values(Comparison(distances, positive_mask, negative_mask, embeddings=as_embeddings(anchor)))


def _with_masks(to_positive, *to_negatives):
    """A distance matrix of one positive and some negatives a row, [B, 1 + negatives], with its masks."""
    distances = tf.stack([to_positive, *to_negatives], axis=1)
    is_positive = tf.range(1 + len(to_negatives)) < 1
    masks = [tf.broadcast_to(mask[None, :], tf.shape(distances)) for mask in (is_positive, ~is_positive)]
    return distances, *(tf.ensure_shape(mask, distances.shape) for mask in masks)


def check_loss(loss: keras.losses.Loss, parts: int) -> None:
    """Raises ValueError unless the loss can be had from the distances within tuples of so many parts."""
    # One with a `call` of its own may need more than distances.
    known = isinstance(loss, DistanceLoss) and type(loss).call in (DistanceLoss.call, Triplet.call)
    if not known or not loss.can_be_packed:
        raise ValueError(
            f"loss must compare an anchor with each reference by distance alone; got {type(loss).__name__}, which "
            "needs labels, or more rows than those of a tuple"
        )
    if getattr(loss, "miner", None) is not None:
        raise ValueError(f"tuples that are given leave nothing to mine; got miner={loss.miner!r}")
    if isinstance(loss, Quadruplet) and parts != 4:
        raise ValueError(f"a Quadruplet loss takes 4 parts, [a|p|n1|n2]; got {parts}")
    if parts == 2 and not loss.can_be_packed_in_pairs:
        raise ValueError(
            f"{type(loss).__name__} takes 3 or 4 parts, as it compares the positive of an anchor with its negatives, "
            "and a pair has one of them only; got 2"
        )

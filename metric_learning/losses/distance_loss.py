"""What the losses on distances share: anchors compared with references once, and tuples chosen once."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf

from metric_learning.distances import check_distance, check_from_zero, pairwise
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.relations import Relations, relate
from metric_learning.tuples import AnyMiner, Pairs, Selection, all_pairs, to_pairs
from metric_learning.types import TensorLike


class Comparison(NamedTuple):
    """Anchors compared with references: all that a loss on distances knows of a batch.

    `distances` [B, M] float32, `positive_mask` and `negative_mask` [B, M] boolean, as `metric_learning.relations` makes
    them; `grades` [B, M] float32 in [0, 1], how alike labels [B, C] are, or None. Then what these come from:
    `embeddings` [B, D] and `ref_embeddings` [M, D] float32, `labels` and `ref_labels` as they were given. The
    references are None where the anchors are compared with each other, the labels where tuples are given instead.
    """

    distances: tf.Tensor
    positive_mask: tf.Tensor
    negative_mask: tf.Tensor
    grades: tf.Tensor | None = None
    embeddings: tf.Tensor | None = None
    ref_embeddings: tf.Tensor | None = None
    labels: tf.Tensor | None = None
    ref_labels: tf.Tensor | None = None


def compare(
    labels: TensorLike,
    embeddings: TensorLike,
    *,
    distance: str,
    ref_labels: TensorLike | None = None,
    ref_embeddings: TensorLike | None = None,
    ids: TensorLike | None = None,
    ref_ids: TensorLike | None = None,
    relate: Callable[..., Relations] = relate,
) -> Comparison:
    """Measures the distances of a batch and relates its labels.

    Args:
        labels: [B] integers or strings, or [B, C]; see `metric_learning.relations.relate`.
        embeddings: [B, D] floating.
        distance: a name of `metric_learning.distances.DISTANCES`.
        ref_labels: see `DistanceLoss.call`, as all that follow.
        ref_embeddings: [M, D].
        ids: [B].
        ref_ids: [M].
        relate: what makes masks of labels.

    Returns:
        A Comparison.

    Raises:
        ValueError: embeddings that are no matrix, or only one of `ref_labels` and `ref_embeddings`.
    """
    embeddings = as_embeddings(embeddings)
    if (ref_labels is None) != (ref_embeddings is None):
        raise ValueError("ref_labels and ref_embeddings must be given together; got one of them")
    ref_embeddings = None if ref_embeddings is None else as_embeddings(ref_embeddings)
    distances = pairwise(embeddings, ref_embeddings, distance=distance)
    relations = relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
    # The shapes that are known are written down, so that XLA and the miners see static ones.
    positive_mask, negative_mask, grades = (
        None if part is None else tf.ensure_shape(part, distances.shape) for part in relations
    )
    return Comparison(distances, positive_mask, negative_mask, grades, embeddings, ref_embeddings, labels, ref_labels)


class DistanceLoss(EmbeddingLoss):
    """A loss on the distances between anchors and references; subclasses say what an anchor costs, in `per_anchor`.

    Args:
        distance: a name of `metric_learning.distances.DISTANCES`.
        reduction: as in Keras.
        name: as in Keras.

    Attributes:
        takes_grades: whether the loss knows more and less alike pairs: it then gets `grades` by name, see `context`.
        can_be_packed: whether what an anchor costs can be had from its own row and distances, as for tuples that are
            given, see `Packed`; False where `context` asks for labels or references, too.
        can_be_packed_in_pairs: whether an anchor with a single reference costs something; False where positives are
            compared with negatives.
    """

    distance: str
    takes_references = True
    takes_grades = False
    can_be_packed = True
    can_be_packed_in_pairs = False

    def __init__(
        self, *, distance: str, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        check_distance(distance)
        super().__init__(reduction=reduction, name=name)
        self.distance = distance

    def call(
        self,
        labels: TensorLike,
        embeddings: TensorLike,
        *,
        ref_labels: TensorLike | None = None,
        ref_embeddings: TensorLike | None = None,
        ids: TensorLike | None = None,
        ref_ids: TensorLike | None = None,
    ) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: as in `__call__`.
            embeddings: as in `__call__`.
            ref_labels: [M], with `ref_embeddings`: rows to compare the anchors with instead of each other, such as a
                memory bank.
            ref_embeddings: [M, D].
            ids: [B] and `ref_ids` [M]: names of the items, so that an anchor is not compared with itself.
            ref_ids: see `ids`.

        Raises:
            ValueError: embeddings that are no matrix, or only one of `ref_labels` and `ref_embeddings`.
        """
        references = {"ref_labels": ref_labels, "ref_embeddings": ref_embeddings, "ids": ids, "ref_ids": ref_ids}
        return self.values(compare(labels, embeddings, distance=self.distance, relate=self.relate, **references))

    def relate(
        self, labels: TensorLike, ref_labels: TensorLike | None, *, ids: TensorLike | None, ref_ids: TensorLike | None
    ) -> Relations:
        """The relations of anchors and references, for losses that do not compare all of them with all."""
        return relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)

    def values(self, comparison: Comparison) -> tf.Tensor:
        """The values of `call`, [B], of a Comparison."""
        return self.per_anchor(
            comparison.distances, comparison.positive_mask, comparison.negative_mask, **self.context(comparison)
        )

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """What the loss looks at besides distances and masks, or the tuples chosen from them.

        Args:
            comparison: a Comparison.

        Returns:
            A dict of what `per_anchor` takes by name: `grades`, [B, M] or None, where the loss `takes_grades`; else
            nothing.
        """
        return {"grades": comparison.grades} if self.takes_grades else {}

    # Subclasses take what their `context` names. Only with `*_` besides does a type checker let them choose.
    def per_anchor(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor, *_: Any, **context: Any
    ) -> tf.Tensor:
        """[B, M] distances and masks, and what `context` names, to one value per anchor [B]."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"distance": self.distance}


def check_miner(miner: object, distance: str) -> None:
    """Raises ValueError unless the miner, or None, can be called with distances of that name and masks."""
    if isinstance(miner, type):
        raise ValueError(f"miner must be an object, such as {miner.__name__}(); got the class {miner.__name__}")
    if miner is not None and not callable(miner):
        raise ValueError(f"miner must be a callable or None; got {miner!r}")
    for part in (miner, getattr(miner, "first", None), getattr(miner, "then", None)):  # those of a schedule
        known = getattr(part, "distance", distance)
        if known != distance:
            raise ValueError(
                f"miner {type(part).__name__} is told that distances are {known}, and the loss measures by {distance}; "
                "give both the same"
            )
        if getattr(part, "from_zero", False):
            check_from_zero(distance, f"miner {type(part).__name__}")


class TupleLoss(DistanceLoss):
    """A loss on pairs, triplets or quadruplets, which a miner may choose.

    The miner is asked here, once, so that no loss can forget it. Subclasses say what an anchor costs: in
    `cost_of_pairs`, or in `cost_of_tuples` where a triplet is more than its two pairs.

    Args:
        distance: see `DistanceLoss`.
        miner: `miner(distances, positive_mask, negative_mask) -> Pairs | Triplets | Quadruplets`, or None for all.
        reduction: as in Keras.
        name: as in Keras.
    """

    def __init__(
        self,
        *,
        distance: str,
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(distance=distance, reduction=reduction, name=name)
        check_miner(miner, distance)
        self.miner = miner

    def per_anchor(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor, **context: Any
    ) -> tf.Tensor:
        """Lets the miner choose, all pairs without one, and hands on its choice; no subclass has one of its own."""
        if self.miner is None:
            return self.cost_of_tuples(distances, all_pairs(positive_mask, negative_mask), **context)
        return self.cost_of_tuples(distances, self.miner(distances, positive_mask, negative_mask), **context)

    def cost_of_tuples(self, distances: tf.Tensor, selection: Selection, *_: Any, **context: Any) -> tf.Tensor:
        """[B, M] distances and the tuples chosen from them to one value per anchor [B]: here that of their pairs.

        Args:
            distances: [B, M] float32.
            selection: Pairs, Triplets or Quadruplets; Pairs of all where there is no miner.
            **context: see `DistanceLoss.context`.
        """
        return self.cost_of_pairs(distances, to_pairs(selection, tf.shape(distances)[1]), **context)

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs, *_: Any, **context: Any) -> tf.Tensor:
        """[B, M] distances and Pairs to one value per anchor [B]; a pair of several tuples counts several times."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"miner": self.miner}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Keras rebuilds the loss, but leaves the miner that it holds in its saved form.
        if isinstance(config.get("miner"), dict):
            config = config | {"miner": keras.saving.deserialize_keras_object(config["miner"])}
        return cls(**config)

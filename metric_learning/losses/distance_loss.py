"""What the losses on distances share: one distance matrix, and masks of who belongs to whom."""

import keras
import tensorflow as tf

from metric_learning.distances import check_distance, pairwise
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.relations import relate
from metric_learning.tuples import all_pairs


class DistanceLoss(EmbeddingLoss):
    """A loss on the distances between anchors and references; subclasses say what an anchor costs, in `per_anchor`.

    Args:
        distance: a name of `metric_learning.distances.DISTANCES`.
        reduction: as in Keras.
        name: as in Keras.

    Attributes:
        takes_grades: whether `per_anchor` has a last argument `grades`, and so knows more and less alike pairs.
        takes_tuples: whether what an anchor costs can be had from its own row and distances, as for tuples that are
            given, see `Packed`; False where `inform` asks for labels or references, too.
        takes_lone_pairs: whether an anchor with a single reference costs something; False where positives are compared
            with negatives.
    """

    takes_references = True
    takes_grades = False
    takes_tuples = True
    takes_lone_pairs = False

    def __init__(self, *, distance, reduction="sum_over_batch_size", name=None):
        check_distance(distance)
        super().__init__(reduction=reduction, name=name)
        self.distance = distance

    def call(self, labels, embeddings, *, ref_labels=None, ref_embeddings=None, ids=None, ref_ids=None):
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
        embeddings = as_embeddings(embeddings)
        if (ref_labels is None) != (ref_embeddings is None):
            raise ValueError("ref_labels and ref_embeddings must be given together; got one of them")
        ref_embeddings = None if ref_embeddings is None else as_embeddings(ref_embeddings)
        distances = pairwise(embeddings, ref_embeddings, distance=self.distance)
        relations = self.relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
        # The shapes that are known are written down, so that XLA and the miners see static ones.
        masks = [tf.ensure_shape(mask, distances.shape) for mask in (relations.positive_mask, relations.negative_mask)]
        if self.takes_grades and relations.grades is not None:
            return self.per_anchor(distances, *masks, tf.ensure_shape(relations.grades, distances.shape))
        return self.informed(distances, *masks, self.inform(labels, embeddings, ref_labels, ref_embeddings))

    def relate(self, labels, ref_labels, *, ids, ref_ids):
        """The relations of anchors and references, for losses that do not compare all of them with all."""
        return relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)

    def inform(self, labels, embeddings, ref_labels, ref_embeddings):
        """What `per_anchor` takes as a last argument, for losses that look at more than distances; None for others.

        Args:
            labels: as in `call`.
            embeddings: [B, D] float32.
            ref_labels: as in `call`; None where the anchors are compared with each other.
            ref_embeddings: [M, D] float32, or None likewise.
        """

    def informed(self, distances, positive_mask, negative_mask, information):
        """`per_anchor` with what `inform` said, if anything."""
        return self.per_anchor(
            distances, positive_mask, negative_mask, *(() if information is None else (information,))
        )

    def per_anchor(self, distances, positive_mask, negative_mask):
        """[B, M] distances and masks to one value per anchor [B].

        Where `takes_grades`, there is a last argument `grades=None`: [B, M] float32 in [0, 1], how alike the labels
        are, when these are [B, C].
        """
        raise NotImplementedError

    def get_config(self):
        return super().get_config() | {"distance": self.distance}


def check_miner(miner, distance):
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


class TupleLoss(DistanceLoss):
    """A loss on pairs, triplets or quadruplets, which a miner may choose.

    Args:
        distance: see `DistanceLoss`.
        miner: `miner(distances, positive_mask, negative_mask) -> Pairs | Triplets | Quadruplets`, or None for all.
        reduction: as in Keras.
        name: as in Keras.
    """

    def __init__(self, *, distance, miner=None, reduction="sum_over_batch_size", name=None):
        super().__init__(distance=distance, reduction=reduction, name=name)
        check_miner(miner, distance)
        self.miner = miner

    def select(self, distances, positive_mask, negative_mask):
        """What the miner picks; all pairs without one."""
        if self.miner is None:
            return all_pairs(positive_mask, negative_mask)
        return self.miner(distances, positive_mask, negative_mask)

    def get_config(self):
        return super().get_config() | {"miner": self.miner}

    @classmethod
    def from_config(cls, config):
        # Keras rebuilds the loss, but leaves the miner that it holds in its saved form.
        if isinstance(config.get("miner"), dict):
            config = config | {"miner": keras.saving.deserialize_keras_object(config["miner"])}
        return cls(**config)

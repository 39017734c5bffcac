"""What the losses share that look at more than distances: at the rows, or at what the labels name."""

import tensorflow as tf

from metric_learning.distances import pairwise
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.embedding_loss import as_embeddings
from metric_learning.relations import relate


class InformedLoss(TupleLoss):
    """A loss on tuples whose `per_anchor` gets one thing more than other losses': what `inform` says."""

    def call(self, labels, embeddings, *, ref_labels=None, ref_embeddings=None, ids=None, ref_ids=None):
        """As in `DistanceLoss.call`."""
        embeddings = as_embeddings(embeddings)
        if (ref_labels is None) != (ref_embeddings is None):
            raise ValueError("ref_labels and ref_embeddings must be given together; got one of them")
        ref_embeddings = None if ref_embeddings is None else as_embeddings(ref_embeddings)
        distances = pairwise(embeddings, ref_embeddings, distance=self.distance)
        relations = relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
        masks = [tf.ensure_shape(mask, distances.shape) for mask in (relations.positive_mask, relations.negative_mask)]
        return self.per_anchor(distances, *masks, self.inform(labels, embeddings, ref_labels, ref_embeddings))

    def inform(self, labels, embeddings, ref_labels, ref_embeddings):
        """What `per_anchor` needs besides distances and masks.

        Args:
            labels: as in `call`.
            embeddings: [B, D] float32.
            ref_labels: as in `call`; None where the anchors are compared with each other.
            ref_embeddings: [M, D] float32, or None likewise.
        """
        raise NotImplementedError

    def per_anchor(self, distances, positive_mask, negative_mask, information):
        """[B, M] distances and masks, and the answer of `inform`, to one value per anchor [B]."""
        raise NotImplementedError

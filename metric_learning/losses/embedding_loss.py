"""What all losses on embeddings share: integer labels, one distance matrix, one value per anchor."""

import keras
import tensorflow as tf

from metric_learning.distances import check_distance, pairwise
from metric_learning.relations import relate
from metric_learning.selections import all_pairs

AVERAGES = ("selected", "active")


class EmbeddingLoss(keras.losses.Loss):
    """A Keras loss on labels and embeddings; subclasses say what one anchor costs, in `per_anchor`.

    `loss(labels, embeddings, sample_weight=None)` works alone, in `model.compile(loss=...)` and in the `Learner`.

    Args:
        distance: a name of `metric_learning.distances.DISTANCES`.
        miner: `miner(distances, positive_mask, negative_mask) -> Pairs | Triplets | Quadruplets`, or None for all.
        reduction: as in Keras; "sum_over_batch_size" is the mean over the anchors and so the loss of the paper.
        name: as in Keras.

    Attributes:
        layers: Keras layers that hold what the loss learns. The learner trains, saves and restores them.
    """

    def __init__(self, *, distance, miner=None, reduction="sum_over_batch_size", name=None):
        check_distance(distance)
        if miner is not None and not callable(miner):
            raise ValueError(f"miner must be a callable or None; got {miner!r}")
        super().__init__(name=name, reduction=reduction)
        self.distance = distance
        self.miner = miner
        self.layers = []
        # Keras' own reduction, which knows masks, weights and replicas, for values that are there already.
        self._reduce = _Reduction(name="reduction", reduction=reduction)

    def __call__(self, labels, embeddings, sample_weight=None, **references):
        """The reduced loss.

        Args:
            labels: [B] integers, or [B, C] multi-hot; see `metric_learning.relations.relate`.
            embeddings: [B, D] floating.
            sample_weight: [B], the weight of each anchor's value, or None.
            **references: `ref_labels`, `ref_embeddings`, `ids`, `ref_ids`, as in `call`.

        Returns:
            A scalar, or [B] with reduction None; float32.
        """
        return self.reduce(self.call(labels, embeddings, **references), sample_weight)

    def reduce(self, values, sample_weight=None):
        """The values of `call`, [B], weighted and reduced as Keras does."""
        return self._reduce(values, values, sample_weight)

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
        embeddings = tf.convert_to_tensor(embeddings)
        if embeddings.shape.rank != 2:
            raise ValueError(f"embeddings must be [batch, dim]; got shape {embeddings.shape}")
        if (ref_labels is None) != (ref_embeddings is None):
            raise ValueError("ref_labels and ref_embeddings must be given together; got one of them")
        distances = pairwise(embeddings, ref_embeddings, distance=self.distance)
        relations = relate(labels, ref_labels, ids=ids, ref_ids=ref_ids)
        # The shapes that are known are written down, so that XLA and the miners see static ones.
        relations = relations._replace(
            positive_mask=tf.ensure_shape(relations.positive_mask, distances.shape),
            negative_mask=tf.ensure_shape(relations.negative_mask, distances.shape),
        )
        return self.per_anchor(distances, relations.positive_mask, relations.negative_mask)

    def per_anchor(self, distances, positive_mask, negative_mask):
        """[B, M] distances and masks to one value per anchor [B]."""
        raise NotImplementedError

    def select(self, distances, positive_mask, negative_mask):
        """What the miner picks; all pairs without one."""
        if self.miner is None:
            return all_pairs(positive_mask, negative_mask)
        return self.miner(distances, positive_mask, negative_mask)

    def get_config(self):
        return super().get_config() | {"distance": self.distance, "miner": self.miner}

    @classmethod
    def from_config(cls, config):
        # Keras rebuilds the loss, but leaves the miner that it holds in its saved form.
        if isinstance(config.get("miner"), dict):
            config = config | {"miner": keras.saving.deserialize_keras_object(config["miner"])}
        return cls(**config)


class _Reduction(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred


def mean_per_anchor(values, weights, average="selected"):
    """Shares the weighted mean of tuple losses among the anchors that the tuples belong to.

    Args:
        values: [B, S] float32, the loss of each tuple.
        weights: [B, S] float32, 0 for no tuple.
        average: "selected" divides by all tuples, "active" by those of a loss above 0.

    Returns:
        [B] float32. Its mean over the anchors is the mean over the tuples; 0 when there is none.
    """
    if average == "active":
        weights *= tf.cast(values > 0.0, tf.float32)
    return share_mean(tf.reduce_sum(weights * values, axis=1), tf.reduce_sum(weights))


def share_mean(sums, count):
    """Per-anchor sums [B] of tuple losses, scaled so that their mean is the mean over `count` tuples; 0 when none."""
    # Not divide_no_nan, which makes 0 of the NaN / 0 of a broken encoder and so hides it: no NaN counts as active.
    return sums / tf.where(count > 0.0, count, 1.0) * tf.cast(tf.shape(sums)[0], tf.float32)


def check_average(average):
    """Raises ValueError unless `average` is one of AVERAGES."""
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {', '.join(AVERAGES)}; got {average!r}")


def check_not_negative(**arguments):
    """Raises ValueError naming the first of the numbers that is below 0."""
    for name, value in arguments.items():
        if value < 0:
            raise ValueError(f"{name} must be at least 0; got {value}")

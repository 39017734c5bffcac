"""One positive and one negative of each anchor, each easy, semi-hard or hard, within allowed distances."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.checks import check_choice
from metric_learning.tuples import Pairs, Triplets
from miners.miner import Miner

KINDS = ("easy", "semi_hard", "hard", "all")


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class BatchEasyHard(Miner):
    """How hard the positive and the negative of each anchor are, chosen apart from each other.

        kind         positive                                   negative
        easy         the nearest                                the farthest
        semi_hard    the farthest nearer than the negative      the nearest farther than the positive
        hard         the farthest                               the nearest
        all          every one                                  every one

    "hard" with "hard" is BatchHard; "easy" with "semi_hard", the default, is the paper's EPSHN; "easy" with "hard" its
    EPHN. Nearer and farther are strict. Ties go to the lower column.

    Args:
        positive: one of the kinds.
        negative: one of the kinds. "semi_hard" needs one pair to be measured by, so the other kind is "easy" or "hard".
        positive_range: (smallest, largest) distance of positives that may be chosen, both inclusive, in units of the
            run's distance; None for any. It holds for "all" too.
        negative_range: the same for negatives.

    Returns:
        Triplets of one slot; an anchor without such a positive or negative selects nothing. With "all", Pairs of weight
        0 or 1, as pytorch-metric-learning does: there an anchor may have pairs of one side only.

    Differs from pytorch-metric-learning: the ranges also hold for "all", where it ignores them.

    Reference: Xuan, Stylianou, Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020,
    https://arxiv.org/abs/1904.04370
    """

    positive: str = "easy"
    negative: str = "semi_hard"
    positive_range: tuple[float, float] | None = None
    negative_range: tuple[float, float] | None = None

    def __post_init__(self):
        for side in ("positive", "negative"):
            check_choice(KINDS, **{side: getattr(self, side)})
            limits = getattr(self, f"{side}_range")
            if limits is None:
                continue
            if len(limits) != 2 or not limits[0] <= limits[1]:
                raise ValueError(f"{side}_range must be (smallest, largest), or None; got {limits}")
            object.__setattr__(self, f"{side}_range", tuple(limits))  # lists come from yaml and JSON
        if "semi_hard" in (self.positive, self.negative) and not {"easy", "hard"} & {self.positive, self.negative}:
            raise ValueError(
                "semi_hard is measured by the one pair of the other side, which must be easy or hard; "
                f"got positive={self.positive!r}, negative={self.negative!r}"
            )

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Pairs | Triplets:
        distances = tf.stop_gradient(distances)
        positives = _within(distances, positive_mask, self.positive_range)
        negatives = _within(distances, negative_mask, self.negative_range)
        if self.positive == "semi_hard":
            positives &= distances < _extreme(distances, negatives, nearest=self.negative == "hard")
        if self.negative == "semi_hard":
            negatives &= distances > _extreme(distances, positives, nearest=self.positive == "easy")
        if "all" in (self.positive, self.negative):
            return Pairs(
                self._chosen(distances, positives, self.positive, nearest=self.positive == "easy"),
                self._chosen(distances, negatives, self.negative, nearest=self.negative == "hard"),
            )
        positive = _column(distances, positives, nearest=self.positive == "easy")
        negative = _column(distances, negatives, nearest=self.negative != "easy")
        valid = tf.reduce_any(positives, axis=1) & tf.reduce_any(negatives, axis=1)
        return Triplets(positive[:, None], negative[:, None], tf.cast(valid, tf.float32)[:, None])

    def _chosen(self, distances, mask, kind, *, nearest):
        """The weights of one side, [B, M]: all of the mask, or its one extreme column."""
        if kind != "all":
            columns = tf.range(tf.shape(distances)[1])[None, :]
            mask &= columns == _column(distances, mask, nearest=nearest)[:, None]
        return tf.cast(mask, tf.float32)


def _within(distances, mask, limits):
    if limits is None:
        return mask
    return mask & (distances >= limits[0]) & (distances <= limits[1])


def _extreme(distances, mask, *, nearest):
    """The distance [B, 1] to the nearest or farthest of the mask, an infinite one where it is empty."""
    if nearest:
        return tf.reduce_min(tf.where(mask, distances, float("inf")), axis=1, keepdims=True)
    return tf.reduce_max(tf.where(mask, distances, float("-inf")), axis=1, keepdims=True)


def _column(distances, mask, *, nearest):
    """The column [B] of the nearest or farthest of the mask; 0 where it is empty."""
    if nearest:
        return tf.argmin(tf.where(mask, distances, float("inf")), axis=1, output_type=tf.int32)
    return tf.argmax(tf.where(mask, distances, float("-inf")), axis=1, output_type=tf.int32)

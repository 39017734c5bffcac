"""Rows that already are triplets or quadruplets, one after another."""

import dataclasses

import keras
import tensorflow as tf

from metric_learning.tuples import Quadruplets, Triplets, entries
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class Packed(Miner):
    """Rows 3i, 3i + 1, 3i + 2 are an anchor, its positive and its negative; no others are compared.

    With size 4, row 4i + 3 is a second negative, of a third class. For batches put together from given tuples, such as
    those of a data set of judgments. Here a tuple is rows of the batch; where one output holds its rows side by side,
    as columns, it is the loss `metric_learning.losses.Packed` that unpacks them.

    A tuple counts only if the labels agree with it: the positive is one by its label, the negatives are, and the second
    is none of the first's class. So a batch that is not packed gives nothing instead of nonsense. For tuples without
    classes, label them i, i, -1 - i or the like. Rows of an incomplete last tuple are left out.

    Args:
        size: 3 or 4, the rows of a tuple.

    Returns:
        Triplets or Quadruplets of one slot, filled for the rows that are anchors.

    Raises:
        ValueError: references of another number, where a column is not the row of that number.
    """

    size: int = 3

    def __post_init__(self):
        if self.size not in (3, 4):
            raise ValueError(f"size must be 3 or 4; got {self.size}")

    def __call__(
        self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor
    ) -> Triplets | Quadruplets:
        rows, columns = distances.shape
        if rows != columns:
            raise ValueError(f"packed tuples are rows of one batch; got {rows} anchors and {columns} references")
        num_rows = tf.shape(distances)[0]
        anchor = tf.range(num_rows)
        is_anchor = (anchor % self.size == 0) & (anchor + self.size <= num_rows)
        positive, negative, second = (tf.minimum(anchor + place, num_rows - 1)[:, None] for place in (1, 2, 3))
        positive_mask, negative_mask = tf.convert_to_tensor(positive_mask), tf.convert_to_tensor(negative_mask)

        own = anchor[:, None]
        valid = is_anchor[:, None] & entries(positive_mask, own, positive) & entries(negative_mask, own, negative)
        weights = tf.cast(valid, tf.float32)
        if self.size == 3:
            return Triplets(positive, negative, weights)
        third_class = entries(negative_mask, own, second) & entries(negative_mask, second, negative)
        return Quadruplets(positive, negative, second, weights, weights * tf.cast(third_class, tf.float32))

"""Cosine embedding loss: positives to the same direction, negatives below a similarity."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_average
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class Cosine(TupleLoss):
    """Pulls positives to cosine similarity 1 and pushes negatives below a margin of similarity.

    The mean over positive pairs plus the mean over negative pairs of

        1 - cos(a, p)   and   [cos(a, n) - margin]+

    Differs from torch's CosineEmbeddingLoss, the usual reference: the two sides are averaged apart. It is neither
    Keras' CosineSimilarity, which is -cos of a prediction and its target, nor a regression of cos on a score.

    Args:
        margin: in [-1, 1], a similarity (not a distance); 0 to 0.5 are usual.
        average: "selected" divides each side by its pairs, "active" by its pairs of a loss above 0.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs; None for all.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: margin outside [-1, 1], another distance, unknown average.

    Example:
        >>> round(float(Cosine(margin=0.5)([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]])), 4)  # 0 + (.6 - .5)
        0.1
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        margin: float = 0.0,
        average: str = "selected",
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if not -1.0 <= margin <= 1.0:
            raise ValueError(f"margin must be in [-1, 1], a cosine similarity; got {margin}")
        if distance != "cosine":
            raise ValueError(f"distance must be cosine for the cosine loss; got {distance!r}")
        check_average(average)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.average = average

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        push = tf.nn.relu(1.0 - distances - self.margin)
        return mean_per_anchor(distances, pairs.positive_weights, self.average) + mean_per_anchor(
            push, pairs.negative_weights, self.average
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "average": self.average}

"""Circle loss: each similarity is pulled or pushed by how far it is from its best value."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, distinct, log_sum_exp, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class Circle(TupleLoss):
    """Compares all positives with all negatives of an anchor, each cosine s weighted by how far it still has to go.

    Mean over the anchors that have a positive and a negative, of

        log(1 + sum_n e^{scale * w_n (s_n - margin)} * sum_p e^{-scale * w_p (s_p - 1 + margin)})
        w_n = [s_n + margin]+,   w_p = [1 + margin - s_p]+,   both constants to the gradient

    So positives go towards 1 + margin and negatives towards -margin, and the decision boundary is a circle.

    Differs from the paper: nothing.

    Args:
        margin: m, a similarity; the paper uses 0.25 (faces, persons) and 0.4 (fine-grained retrieval).
        scale: gamma, above 0; 256 (faces), 128 (persons) and 80 (retrieval) in the paper.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        miner: which pairs, each once; None for all, as in the paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: scale not above 0, another distance.

    Example:
        >>> loss = Circle(margin=0.5, scale=2.0)
        >>> # rows 0 and 1: s_p = 1, w_p = 0.5; s_n = 0, w_n = 0.5: softplus(2 * .5 * -.5 - 2 * .5 * .5)
        >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)
        0.3133

    Reference: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020, eq. 4 to 8,
    https://arxiv.org/abs/2002.10857.
    """

    def __init__(
        self,
        *,
        margin: float = 0.4,
        scale: float = 80.0,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(scale=scale)
        check_choice(("cosine",), distance=distance)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.scale = scale

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        pairs = distinct(pairs)
        # In distances d = 1 - s: s_p - 1 + margin is margin - d, and 1 + margin - s_p is margin + d.
        pull = tf.stop_gradient(tf.nn.relu(self.margin + distances)) * (distances - self.margin)
        similarities = 1.0 - distances
        push = tf.stop_gradient(tf.nn.relu(self.margin + similarities)) * (similarities - self.margin)
        costs = tf.nn.softplus(
            log_sum_exp(self.scale * pull, pairs.positive_weights)
            + log_sum_exp(self.scale * push, pairs.negative_weights)
        )
        valid = [tf.reduce_any(weights > 0.0, axis=1) for weights in pairs]
        return mean_of_anchors(costs, valid[0] & valid[1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "scale": self.scale}

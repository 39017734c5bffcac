"""Sigmoid loss: every pair is a yes-or-no question, with a learned scale and bias."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import check_similarity, to_similarities
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.tuples import AnyMiner, Pairs, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class Sigmoid(TupleLoss):
    """Tells for each pair alone whether it belongs together, by a logistic regression on its similarity s.

    The sum over the pairs, divided by the number of anchors, of

        softplus(-(scale * s + bias))  of a positive   and   softplus(scale * s + bias)  of a negative

    With labels [B, C] a positive is one by its grade g, how alike the labels are: g and 1 - g of the two.
    `balanced=True` is the mean over the positives plus the mean over the negatives instead.

    Differs from the paper: nothing for images against their texts (`ref_embeddings`). There each anchor has one
    positive; here it may have several, and itself is no pair.

    Args:
        scale: the paper's t, above 0; where it begins if `learnable`. Learned as log(scale), as in the paper.
        bias: the paper's b; where it begins if `learnable`. -10 makes all pairs begin as negatives, as most are.
            The answer turns at the similarity -bias / scale, which for all distances but cosine and dot must be below
            0: bias=scale is a cosine of 0.5 between unit rows.
        learnable: learn scale and bias, or keep them fixed.
        balanced: give positives and negatives the same say, however many each are.
        distance: see `metric_learning.distances`; the similarity is cos, the dot product, or minus the distance.
        miner: which pairs; None for all. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: scale not above 0, unknown distance, an answer that turns where no similarity of it is.

    Example:
        >>> sigmoid = Sigmoid(scale=2.0, bias=-1.0)
        >>> # softplus(-1) of the positive twice; softplus(-1) of the negative, at cosine 0, four times; 3 anchors
        >>> round(float(sigmoid([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)
        0.6265

    Reference: Zhai, Mustafa, Kolesnikov, Beyer, "Sigmoid Loss for Language Image Pre-Training", ICCV 2023,
    https://arxiv.org/abs/2303.15343.
    """

    takes_grades = True
    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        scale: float = 10.0,
        bias: float = -10.0,
        learnable: bool = True,
        balanced: bool = False,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(scale=scale)
        check_similarity(distance, f"bias={scale:g}", **{"-bias / scale, where the answer turns,": -bias / scale})
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.scale = scale
        self.bias = bias
        self.learnable = learnable
        self.balanced = balanced
        if learnable:
            self.layers = [LearnedNumber(math.log(scale), name="log_scale"), LearnedNumber(bias, name="bias")]

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs, grades: tf.Tensor | None) -> tf.Tensor:
        scale, bias = self.scale, self.bias
        if self.learnable:
            log_scale, bias = (tf.convert_to_tensor(layer.number) for layer in self.layers)
            scale = tf.exp(log_scale)
        logits = scale * to_similarities(distances, self.distance) + bias
        as_negative = tf.nn.softplus(logits)
        # softplus(-x) = softplus(x) - x, but without the rounding of a small difference.
        as_positive = tf.nn.softplus(-logits)
        if grades is not None:
            as_positive = grades * as_positive + (1.0 - grades) * as_negative
        if self.balanced:
            return mean_per_anchor(as_positive, pairs.positive_weights) + mean_per_anchor(
                as_negative, pairs.negative_weights
            )
        return tf.reduce_sum(pairs.positive_weights * as_positive + pairs.negative_weights * as_negative, axis=1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "scale": self.scale,
            "bias": self.bias,
            "learnable": self.learnable,
            "balanced": self.balanced,
        }

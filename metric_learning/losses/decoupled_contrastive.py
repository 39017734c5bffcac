"""Decoupled contrastive loss: NT-Xent without the positive in the denominator."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import to_similarities
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.nt_xent import contrasted
from metric_learning.tuples import AnyMiner, Pairs, log_sum_exp, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class DecoupledContrastive(TupleLoss):
    """NT-Xent without the positive in the denominator, which in small batches takes much of the gradient away (DCL).

    Mean over the positive pairs (a, p) of anchors that have a negative, of

        -w_ap s_ap / T + log sum_n e^{s_an / T}

    with w_ap = 1, or with `sigma` the paper's negative von Mises-Fisher weight (DCLW), which pulls the far positives
    more: w_ap = 2 - e^{s_ap / sigma} / mean over all positive pairs of e^{s / sigma}. It may be below 0: unlike most
    losses, this one is no distance from a goal, only its differences mean something.

    Differs from the paper: nothing for two views (labels: the item's number). Mean instead of sum; several positives of
    an anchor are averaged. Gradients pass through w, as the equation is written.

    Args:
        temperature: T, above 0; 0.1 is usual.
        sigma: None for w = 1, or above 0; 0.5 is usual. The smaller, the more the pairs differ in weight.
        distance: see `metric_learning.distances`; the similarity is cos, the dot product, or minus the distance.
        miner: which pairs; None for all. A pair in several selected triplets counts several times.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: temperature or sigma not above 0, unknown distance.

    Example:
        >>> # rows 0 and 1 each have a positive at cosine 1 and one negative at cosine 0.6: -1 + log e^0.6
        >>> loss = DecoupledContrastive(temperature=1.0)
        >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]])), 4)
        -0.4

    Reference: Yeh, Hong, Hsu, Liu, Chen, LeCun, "Decoupled Contrastive Learning", ECCV 2022,
    https://arxiv.org/abs/2110.06848.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        sigma: float | None = None,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        if sigma is not None:
            check_positive(sigma=sigma)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.temperature = temperature
        self.sigma = sigma

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        similarities = to_similarities(distances, self.distance)
        counts = contrasted(pairs)
        pull = similarities / self.temperature
        if self.sigma is not None:
            pull *= 2.0 - _relative_exp(similarities / self.sigma, counts)
        push = log_sum_exp(similarities / self.temperature, pairs.negative_weights)
        return mean_per_anchor(push[:, None] - pull, counts)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature, "sigma": self.sigma}


def _relative_exp(logits, weights):
    """e^x of each weighted entry over the weighted mean of e^x, 0 elsewhere; [B, M]."""
    present = weights > 0.0
    # The largest is taken out of numerator and denominator, which changes neither the ratio nor its gradient.
    largest = tf.stop_gradient(tf.reduce_max(tf.where(present, logits, logits.dtype.min)))
    exps = tf.exp(tf.where(present, logits - largest, float("-inf")))
    total = tf.reduce_sum(weights * exps)
    return exps * tf.reduce_sum(weights) / tf.where(tf.reduce_any(present), total, 1.0)

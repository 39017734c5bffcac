"""Supervised contrastive loss: all positives of an anchor against everything else."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import to_similarities
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.nt_xent import contrasted
from metric_learning.tuples import AnyMiner, Pairs, distinct, log_sum_exp, masked_mean, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class SupCon(TupleLoss):
    """Gives the positives of an anchor equal shares of a softmax over its similarities s to positives and negatives.

    Mean over the anchors that have a positive and a negative, of

        mean_p -log( e^{s_ap / T} / sum_{x in positives and negatives} e^{s_ax / T} )

    With labels [B, C] the mean over p is weighted by the grade, how alike the labels are, so that a pair that shares
    half of its classes pulls half as much as an equal one of the same anchor.

    Differs from the paper: its factor T / T_base is left out, as it is in the equation (the authors' code has it; it
    only scales the step). An anchor without negatives counts 0, where the equation would push its positives apart.

    Args:
        temperature: T, above 0; 0.1 in the paper.
        distance: see `metric_learning.distances`; the similarity is cos, the dot product, or minus the distance.
        miner: which pairs, each once; None for all, as in the paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: temperature not above 0, unknown distance.

    Example:
        >>> # rows 0 and 1: -log(e / (e + 1)), with one positive at cosine 1 and one negative at cosine 0
        >>> round(float(SupCon(temperature=1.0)([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)
        0.3133

    References:
        Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2 (L_out), https://arxiv.org/abs/2004.11362.
    """

    takes_grades = True

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.temperature = temperature

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs, grades: tf.Tensor | None) -> tf.Tensor:
        pairs = distinct(pairs)
        logits = to_similarities(distances, self.distance) / self.temperature
        # Each difference is at least 0; a difference of means could round to less.
        costs = log_sum_exp(logits, pairs.positive_weights + pairs.negative_weights)[:, None] - logits
        weights = contrasted(pairs) if grades is None else contrasted(pairs) * grades
        return mean_of_anchors(masked_mean(costs, weights, axis=1), tf.reduce_any(weights > 0.0, axis=1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature}

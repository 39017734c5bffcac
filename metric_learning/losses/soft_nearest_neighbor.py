"""Soft nearest neighbor loss: a random neighbor should be of the same class, at a temperature that may be learned."""

import math
from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.losses.nca import log_odds_of_error
from metric_learning.tuples import AnyMiner, Pairs, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class SoftNearestNeighbor(TupleLoss):
    """Minus the log of the chance that a neighbor, drawn with odds e^{-d / T}, is of the anchor's class.

    Mean over the anchors that have a positive and a negative, of

        -log( sum_p e^{-d_ap / T} / (sum_p e^{-d_ap / T} + sum_n e^{-d_an / T}) )

    One near positive is enough, so classes may lie in several clusters. It is NCA's second objective with a
    temperature, which the paper learns too.

    Differs from the paper: it takes the best temperature for each batch by gradient steps on 1/T; with `learnable`
    log T is trained along with the encoder, and begins at `temperature`. Anchors alone in their class are left out,
    which there would cost infinity.

    Args:
        temperature: T, above 0, in units of the distance; where it begins if `learnable`.
        learnable: learn log T, or keep T fixed.
        distance: see `metric_learning.distances`; "squared_euclidean" in the paper.
        miner: which pairs, each once; None for all, as in the paper.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: temperature not above 0, unknown distance.

    Example:
        >>> # rows 0 and 1 have positives at 0 and negatives at log 3: each log(1 + 1/3)
        >>> loss = SoftNearestNeighbor(temperature=1.0, distance="euclidean")
        >>> round(float(loss([0, 0, 1], [[0.0], [0.0], [1.098612]])), 4)
        0.2877

    References:
        Frosst, Papernot, Hinton, "Analyzing and Improving Representations with the Soft Nearest Neighbor Loss",
        ICML 2019, https://arxiv.org/abs/1902.01889;
        Salakhutdinov, Hinton, "Learning a Nonlinear Embedding by Preserving Class Neighborhood Structure",
        AISTATS 2007.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        learnable: bool = False,
        distance: str = "squared_euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.temperature = temperature
        self.learnable = learnable
        if learnable:
            self.layers = [LearnedNumber(math.log(temperature), name="log_temperature")]

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        temperature = self.temperature
        if self.learnable:
            temperature = tf.exp(tf.convert_to_tensor(self.layers[0].number))
        odds, valid = log_odds_of_error(-distances / temperature, pairs)
        return mean_of_anchors(tf.nn.softplus(odds), valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature, "learnable": self.learnable}

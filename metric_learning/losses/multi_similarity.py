"""Multi-similarity loss: the hardest positives and negatives weigh most, on both sides of a threshold."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import check_similarity, to_similarities
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, distinct, log_sum_exp


@keras.saving.register_keras_serializable(package="metric_learning")
class MultiSimilarity(TupleLoss):
    """Pulls positives above a similarity and pushes negatives below it, each weighted against the anchor's others.

    Mean over the anchors of

        1/positive_scale log(1 + sum_p e^{-positive_scale (s_ap - base)})
        + 1/negative_scale log(1 + sum_n e^{negative_scale (s_an - base)})

    Differs from the paper: its mining of pairs is a miner of its own, that of the same name. The paper states base 1;
    the authors' code uses 0.5, which pulls less at positives that are near, and negative_scale 40.

    Args:
        positive_scale: alpha, above 0; 2 in the paper.
        negative_scale: beta, above 0; 50 in the paper. The larger, the more only the nearest negative counts.
        base: lambda, a similarity: with cosine a cosine, with dot a product, with the other distances minus a distance
            and so below 0. Between unit rows a cosine of 0.5 is -1 for all of these.
        distance: see `metric_learning.distances`; the similarity is cos, the dot product, or minus the distance.
        miner: which pairs, each once; None for all.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without pairs.

    Raises:
        ValueError: a scale not above 0, unknown distance, a base that no similarity of it reaches.

    Example:
        >>> loss = MultiSimilarity(positive_scale=1.0, negative_scale=2.0, base=0.0)
        >>> # rows 0 and 1: log(1 + e^-1) + log(1 + 1) / 2; row 2: log(1 + 2) / 2
        >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)
        0.623

    Reference: Wang, Han, Huang, Dong, Scott, "Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning", CVPR 2019, https://arxiv.org/abs/1904.06627.
    """

    can_be_packed_in_pairs = True

    def __init__(
        self,
        *,
        positive_scale: float = 2.0,
        negative_scale: float = 50.0,
        base: float = 1.0,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(positive_scale=positive_scale, negative_scale=negative_scale)
        check_similarity(distance, "base=-1", base=base)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.positive_scale = positive_scale
        self.negative_scale = negative_scale
        self.base = base

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        pairs = distinct(pairs)
        above = to_similarities(distances, self.distance) - self.base
        pull = log_sum_exp(-self.positive_scale * above, pairs.positive_weights, plus_one=True)
        push = log_sum_exp(self.negative_scale * above, pairs.negative_weights, plus_one=True)
        return pull / self.positive_scale + push / self.negative_scale

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "positive_scale": self.positive_scale,
            "negative_scale": self.negative_scale,
            "base": self.base,
        }

"""NT-Xent loss: a positive must be picked out among the negatives."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.distances import to_similarities
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import AnyMiner, Pairs, log_sum_exp, mean_per_anchor


@keras.saving.register_keras_serializable(package="metric_learning")
class NTXent(TupleLoss):
    """Picks each positive out among the anchor's negatives, by a softmax over similarities s (also called InfoNCE).

    Mean over the positive pairs (a, p) of anchors that have a negative, of

        -log( e^{s_ap / T} / (e^{s_ap / T} + sum_n e^{s_an / T}) )

    computed as softplus, so it does not saturate however wrong a pair is. For unlabeled items give two augmented views
    of each, with the item's number as the label: this is SimCLR's loss then.

    Differs from the paper: nothing for two views. With more positives the paper says nothing; by default the other ones
    are left out of the denominator, as they should not be pushed away. Sum over 2N anchors there, mean here.

    Args:
        temperature: T, above 0; the smaller, the more the nearest negatives count.
        other_positives: put the anchor's other positives into the denominator too, so that it has every row but the
            anchor.
        distance: see `metric_learning.distances`; the similarity is cos, the dot product, or minus the distance.
        miner: which pairs; None for all. A pair in several selected triplets counts several times (but a positive
            once in the denominator).
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without a positive or without a negative.

    Raises:
        ValueError: temperature not above 0, unknown distance.

    Example:
        >>> # rows 0 and 1 each have a positive at cosine 1 and a negative at cosine 0: log(1 + e^-1)
        >>> round(float(NTXent(temperature=1.0)([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])), 4)
        0.3133

    References:
        Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
        ICML 2020, eq. 1, https://arxiv.org/abs/2002.05709;
        van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018,
        https://arxiv.org/abs/1807.03748.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        other_positives: bool = False,
        distance: str = "cosine",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.temperature = temperature
        self.other_positives = other_positives

    def cost_of_pairs(self, distances: tf.Tensor, pairs: Pairs) -> tf.Tensor:
        logits = to_similarities(distances, self.distance) / self.temperature
        if not self.other_positives:
            return against_negatives(logits, logits, pairs)
        candidates = tf.cast(pairs.positive_weights > 0.0, tf.float32) + pairs.negative_weights
        costs = log_sum_exp(logits, candidates)[:, None] - logits
        return mean_per_anchor(costs, contrasted(pairs))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature, "other_positives": self.other_positives}


def against_negatives(positive_logits: tf.Tensor, negative_logits: tf.Tensor, pairs: Pairs) -> tf.Tensor:
    """Shares the mean over the positives of log(1 + sum_n e^{negative - positive}) among the anchors.

    Args:
        positive_logits: [B, M] float32, what stands for each pair as a positive.
        negative_logits: [B, M] float32, and as a negative.
        pairs: how often each pair counts.

    Returns:
        [B] float32.
    """
    rivals = log_sum_exp(negative_logits, pairs.negative_weights)
    return mean_per_anchor(tf.nn.softplus(rivals[:, None] - positive_logits), contrasted(pairs))


def contrasted(pairs: Pairs) -> tf.Tensor:
    """The weights of the positive pairs, [B, M] float32, 0 where the anchor has no negative to hold them against."""
    exists = tf.reduce_any(pairs.negative_weights > 0.0, axis=1, keepdims=True)
    return pairs.positive_weights * tf.cast(exists, tf.float32)

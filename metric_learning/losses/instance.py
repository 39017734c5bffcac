"""Instance loss: every row is recognized among all rows of the batch."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_positive
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.tuples import log_sum_exp, masked_mean, mean_of_anchors


@keras.saving.register_keras_serializable(package="metric_learning")
class Instance(DistanceLoss):
    """Classifies each row by its cosines s to all rows of the batch, every instance being a class of its own.

    Mean over the anchors of the cross-entropy between softmax(scale * s_a.) over all rows, the anchor's own one among
    them, and the target of equal shares for the rows of the anchor's instance:

        mean_{x of the instance} -log( e^{scale * s_ax} / sum_{all y} e^{scale * s_ay} )

    What an instance is, the labels say. All different: only its own row is the target, and items spread out over the
    sphere. Items seen in several views, or classes: rows of one label share the target, and are pulled together. Rows
    of another view as `ref_embeddings` are the paper's image against text.

    Differs from the paper: it learns one weight vector for every instance of the training set, and shares them between
    images and texts; here the rows of the batch (or the references) take their place, so nothing is learned and unseen
    instances are no problem. Differs from pytorch-metric-learning: with different labels the two are one; there,
    repeated labels aim at rows that have nothing to do with the anchor.

    The least cost of an anchor is the log of the rows of its instance, not 0.

    Args:
        scale: gamma, above 0. The own row has cosine 1, so with a large scale only rows nearer than about
            1 - log(B) / scale are pushed away.
        distance: "cosine", and no other; it is there so that a run can check that all its parts agree.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`; 0 for an anchor whose instance is missing from the references.

    Raises:
        ValueError: scale not above 0, another distance.

    Example:
        >>> # each row is at cosine 1 to itself and 0 to the other: log(1 + e^-1)
        >>> round(float(Instance(scale=1.0)([0, 1], [[1.0, 0.0], [0.0, 2.0]])), 4)
        0.3133

    Reference: Zheng, Zheng, Garrett, Yang, Xu, Shen, "Dual-Path Convolutional Image-Text Embeddings with Instance
    Loss", TOMM 2020, https://arxiv.org/abs/1711.05535.
    """

    def __init__(
        self,
        *,
        scale: float = 64.0,
        distance: str = "cosine",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(scale=scale)
        check_choice(("cosine",), distance=distance)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.scale = scale

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        # Distances instead of cosines, which a softmax takes the same, as the own row's 0 keeps small costs exact.
        logits = -self.scale * distances
        # Neither positive nor negative is the own row alone.
        is_target = ~negative_mask
        costs = log_sum_exp(logits, tf.ones_like(logits))[:, None] - logits
        return mean_of_anchors(masked_mean(costs, is_target, axis=1), tf.reduce_any(is_target, axis=1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale}

"""Normalized softmax: classification by the cosine with a vector per class."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy


@keras.saving.register_keras_serializable(package="metric_learning")
class NormalizedSoftmax(ClassLoss):
    """Makes an embedding more alike its class vector than the vectors of the other classes.

    With x and the class vectors p_c of unit length, and y the class of x,

        -log( exp(x.p_y / temperature) / sum_c exp(x.p_c / temperature) )

    A row of several classes costs the mean over them; a row without class costs nothing.

    Args:
        temperature: above 0, sigma; the paper's is 0.05. The smaller, the more the nearest wrong class counts.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: temperature not above 0.

    Example:
        >>> loss = NormalizedSoftmax(temperature=0.5, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[3.0, 0.0]])), 4)  # -log(e^2 / (e^2 + 1))
        0.1269

    Reference: Zhai, Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019,
    https://arxiv.org/abs/1811.12649.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.temperature = temperature

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        return cross_entropy(targets, class_cosines(embeddings, class_vectors) / self.temperature)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature}

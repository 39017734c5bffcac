"""P2SGrad: the cosine with the own class vector to 1, with all others to 0."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines


@keras.saving.register_keras_serializable(package="metric_learning")
class P2SGrad(ClassLoss):
    """Brings the cosine with the own class vector to 1 and with the others to 0.

    With cos_c the cosine of the embedding and the vector of class c, and y the class of the embedding,

        1/2 (1 - cos_y)^2 + others_weight / 2 sum_{c != y} cos_c^2

    The paper gives no loss but a gradient, sum_c (cos_c - [c = y]) grad cos_c, for the embedding as for the class
    vectors: that of a softmax loss with the cosine in the place of the probability. It is exactly the gradient of this
    half squared error with others_weight 1. Differs from the paper: `others_weight`. With hundreds of classes the many
    others outweigh the one own class, and all vectors may flee to where every cosine is 0 and the loss 1/2.
    pytorch-metric-learning divides the squares by C instead of by 2, and so has the paper's balance.

    A row of several classes asks each of them for a cosine of 1, and a graded label is the cosine that it asks for.

    Args:
        others_weight: above 0; 1 in the paper. About 10 over the number of classes, when these are hundreds.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: others_weight not above 0.

    Example:
        >>> loss = P2SGrad(num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[3.0, 4.0]])), 4)  # ((.6 - 1)^2 + .8^2) / 2
        0.4

    Reference: Zhang et al., "P2SGrad: Refined Gradients for Optimizing Deep Face Models", CVPR 2019, eq. 11,
    https://arxiv.org/abs/1905.02479.
    """

    def __init__(
        self,
        *,
        others_weight: float = 1.0,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_positive(others_weight=others_weight)
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.others_weight = others_weight

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        squares = tf.square(class_cosines(embeddings, class_vectors) - targets)
        return 0.5 * tf.reduce_sum(tf.where(targets > 0.0, squares, self.others_weight * squares), axis=1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"others_weight": self.others_weight}

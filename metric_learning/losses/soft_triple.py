"""SoftTriple: softmax classification with several centers per class."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.losses.class_loss import ClassLoss, class_cosines, cross_entropy
from metric_learning.penalties import SparseCenters


@keras.saving.register_keras_serializable(package="metric_learning")
class SoftTriple(ClassLoss):
    """Makes an embedding more alike the centers of its class than those of the others, by a margin.

    With s_ck the cosine of the embedding and center k of class c, and y the class of the embedding,

        -log( exp(scale (S_y - margin)) / (exp(scale (S_y - margin)) + sum_{c != y} exp(scale S_c)) )
        S_c = sum_k s_ck exp(s_ck / temperature) / sum_k exp(s_ck / temperature)

    plus a penalty that merges centers which a class does not need: `penalty` times the mean over the classes of
    sum_{k < l} |w_ck - w_cl| / (K (K - 1)), with centers w of unit length. Every row carries the whole penalty, so that
    the mean over the rows is the objective of the paper.

    For a row of several classes, each of them has the margin, and the cross-entropy is the mean over them; a row
    without class costs the penalty only.

    Args:
        margin: at least 0, delta; the paper's is 0.01.
        scale: above 0, lambda; 20 in the authors' code.
        temperature: above 0, gamma; the paper's is 0.1. The smaller, the more the nearest center stands for its class.
        penalty: at least 0, tau; 0.2 in the authors' code.
        vectors_per_class: at least 1, K; the paper's is 10, for classes of many items. Small classes need fewer.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin or penalty below 0, scale or temperature not above 0, vectors_per_class below 1.

    Example:
        >>> loss = SoftTriple(margin=0.5, scale=2.0, vectors_per_class=2, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0], [0.0, -5.0]])
        >>> round(float(loss([0], [[3.0, 0.0]])), 4)  # S = 1, 0: -log(e / (e + 1)) + .2 (0 + 2) / (2 classes 2 1)
        0.4133

    Reference: Qian, Shang, Sun, Hu, Li, Jin, "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling",
    ICCV 2019, https://arxiv.org/abs/1909.05235.
    """

    def __init__(
        self,
        *,
        margin: float = 0.01,
        scale: float = 20.0,
        temperature: float = 0.1,
        penalty: float = 0.2,
        vectors_per_class: int = 10,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin, penalty=penalty)
        check_positive(scale=scale, temperature=temperature)
        super().__init__(
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            vectors_per_class=vectors_per_class,
            reduction=reduction,
            name=name,
        )
        self.margin = margin
        self.scale = scale
        self.temperature = temperature
        self.penalty = penalty

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        cosines = class_cosines(embeddings, class_vectors)
        cosines = tf.reshape(cosines, [-1, self.num_classes, self.vectors_per_class])
        similarities = tf.reduce_sum(tf.nn.softmax(cosines / self.temperature) * cosines, axis=2)
        logits = self.scale * tf.where(targets > 0.0, similarities - self.margin, similarities)
        costs = cross_entropy(targets, logits)
        if self.vectors_per_class > 1:
            costs += SparseCenters(self.penalty, self.vectors_per_class)(class_vectors)
        return costs

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "scale": self.scale,
            "temperature": self.temperature,
            "penalty": self.penalty,
            "vectors_per_class": self.vectors_per_class,
        }

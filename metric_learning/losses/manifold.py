"""Manifold similarity: proxies compared along random walks through the batch instead of along straight lines."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from metric_learning.checks import check_not_negative, check_positive
from metric_learning.distances import normalize
from metric_learning.losses.class_loss import ClassLoss, ClassVectors, class_cosines
from metric_learning.tuples import log_sum_exp, masked_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class Manifold(ClassLoss):
    """Makes a random walk from an embedding reach its own proxy rather than the others.

    The embeddings and proxies are the nodes of a graph, with edges W_ij = exp([cos(i, j)]+ / temperature), W_ii = 0. A
    walk that goes on with probability `walk` at each node ends, in the long run, where the rows of F say:

        F = (1 - walk) (I - walk S)^-1,   S_ij = W_ij / sqrt(degree_i degree_j)

    For an embedding i with proxy y, and s(i, k) one of two similarities to proxy k,

        log(1 + sum_{k != y, s(i, k) - s(i, y) + margin >= 0} exp(s(i, k) - s(i, y) + margin))

    is summed over s(i, k) = F_ik (intrinsic) and s(i, k) = cos(F_i, F_k), the cosine of rows (context), the second
    times `context_weight`.

    When `num_proxies` is below the number of classes, one proxy stands for several classes drawn at random. Differs
    from the paper: it joins several encoders into an ensemble, each with other proxies, and estimates hard proxies that
    lie close to one another; here they are learned like any weight. Differs from pytorch-metric-learning, which takes
    no labels and draws new proxies for the rows at every call.

    For a row of several proxies, their mean similarity stands for s(i, y); a row without class costs nothing.

    Args:
        num_proxies: K, at most the number of classes; None for one per class. 50 is usual.
        context_weight: at least 0, lambda_C; 1 is usual, 0 is the intrinsic part alone.
        walk: in [0, 1), alpha; 0.8 is usual. From scratch on the emoji 0.1 reached a validation MAP@R of .44 in 400
            steps, 0.3 one of .43 and 0.8 one of .28.
        temperature: above 0; 0.5 is usual.
        margin: at least 0; 0.0005 is usual, as the entries of F are about 1 / (B + K).
        seed: of the draw of classes.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`. Memory is O((B + K)^2) and time O((B + K)^3), of a matrix inverse.

    Raises:
        ValueError: num_proxies below 2 or above the number of classes, walk outside [0, 1), temperature not above 0,
            another number below 0.

    Example:
        >>> loss = Manifold(context_weight=0.0, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 0.0], [0.0, 5.0]])
        >>> round(float(loss([0], [[1.0, 1.0]])), 4)  # both proxies are as near: log(1 + e^.0005)
        0.6934

    Reference: Aziere, Todorovic, "Ensemble Deep Manifold Similarity Learning using Hard Proxies", CVPR 2019,
    https://openaccess.thecvf.com/content_CVPR_2019/papers/Aziere_Ensemble_Deep_Manifold_Similarity_Learning_Using_Hard_Proxies_CVPR_2019_paper.pdf.
    """

    def __init__(
        self,
        *,
        num_proxies: int | None = None,
        context_weight: float = 1.0,
        walk: float = 0.8,
        temperature: float = 0.5,
        margin: float = 0.0005,
        seed: int = 0,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if num_proxies is not None and num_proxies < 2:
            raise ValueError(f"num_proxies must be at least 2; got {num_proxies}")
        check_not_negative(context_weight=context_weight, margin=margin)
        check_positive(temperature=temperature)
        if not 0.0 <= walk < 1.0:
            raise ValueError(f"walk must be in [0, 1); got {walk}")
        self.num_proxies = num_proxies
        self.context_weight = context_weight
        self.walk = walk
        self.temperature = temperature
        self.margin = margin
        self.seed = seed
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)

    def make_layers(self) -> list[keras.layers.Layer]:
        if self.num_proxies is not None and self.num_proxies > self.num_classes:
            raise ValueError(f"num_proxies must be at most num_classes={self.num_classes}; got {self.num_proxies}")
        return [ClassVectors(self.num_proxies or self.num_classes, self.embedding_dim)]

    def proxies_of_classes(self) -> np.ndarray:
        """[C, K] float32, 1 where a proxy stands for a class; each stands for about as many."""
        if self.num_proxies is None:
            return np.eye(self.num_classes, dtype=np.float32)
        shuffled = np.random.default_rng(self.seed).permutation(self.num_classes)
        return np.eye(self.num_proxies, dtype=np.float32)[shuffled % self.num_proxies]

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        own = tf.matmul(targets, self.proxies_of_classes()) > 0.0
        count = own.shape[1]
        reached = self.walks(tf.concat([embeddings, class_vectors], axis=0))
        values = self.rank(reached[:-count, -count:], own)
        if self.context_weight > 0.0:
            values += self.context_weight * self.rank(class_cosines(reached[:-count], reached[-count:]), own)
        # Comparisons with NaN are false, so that broken rows would look solved.
        return tf.where(tf.reduce_all(tf.math.is_finite(reached)), values, float("nan"))

    def walks(self, nodes: tf.Tensor) -> tf.Tensor:
        """F: [nodes, nodes], symmetric."""
        rows = normalize(nodes)
        cosines = tf.nn.relu(tf.matmul(rows, rows, transpose_b=True))
        itself = tf.eye(tf.shape(rows)[0])
        edges = tf.exp(cosines / self.temperature) * (1.0 - itself)
        roots = tf.math.rsqrt(tf.reduce_sum(edges, axis=1))
        system = itself - self.walk * roots[:, None] * edges * roots[None, :]
        # The inverse of NaN is an error of its own, which would not say that the encoder is broken.
        is_finite = tf.reduce_all(tf.math.is_finite(system))
        reached = (1.0 - self.walk) * tf.linalg.inv(tf.where(is_finite, system, itself))
        return tf.where(is_finite, reached, float("nan"))

    def rank(self, similarities: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        """[B, K] similarities to the proxies to one value per row."""
        violations = similarities - masked_mean(similarities, own, axis=1)[:, None] + self.margin
        ahead = ~own & (violations >= 0.0) & tf.reduce_any(own, axis=1, keepdims=True)
        return log_sum_exp(violations, tf.cast(ahead, tf.float32), plus_one=True)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_proxies": self.num_proxies,
            "context_weight": self.context_weight,
            "walk": self.walk,
            "temperature": self.temperature,
            "margin": self.margin,
            "seed": self.seed,
        }

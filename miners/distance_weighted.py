"""Negatives drawn evenly over distance, not over the sphere, where nearly all lie at the same distance."""

import dataclasses
import math

import keras
import tensorflow as tf

from metric_learning.tuples import Triplets, at, count_up_to_where
from miners.draws import uniform_like
from miners.miner import Miner

TO_EUCLIDEAN = {
    "euclidean": lambda distances: distances,
    "squared_euclidean": tf.sqrt,
    "cosine": lambda distances: tf.sqrt(2.0 * tf.nn.relu(distances)),
}


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class DistanceWeighted(Miner):
    """One triplet a positive pair, its negative drawn with probability proportional to 1 / q(d_an).

    On the unit sphere in n dimensions the distances of random points have the density
    q(d) ~ d^(n-2) (1 - d^2/4)^((n-3)/2), so a negative drawn at random is almost always near sqrt(2). Dividing by q
    draws from all distances alike.

    Args:
        embedding_dim: n, at least 2. The embeddings must be of unit length.
        distance: of the matrix that the miner is given, one of euclidean, squared_euclidean, cosine.
        cutoff: smaller distances count as this one (authors' code: 0.5), since 1/q explodes there.
        nonzero_loss_cutoff: negatives farther than this are not drawn (authors' code: 1.4), as their loss is 0.

    Returns:
        Triplets of M slots; slot j is the pair of the anchor with column j. The draw is a function of the distances
        alone (they are the seed): the same batch and encoder give the same triplets, so a resumed run repeats them.

    Reference: Wu, Manmatha, Smola, Krahenbuhl, "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4,
    https://arxiv.org/abs/1706.07567
    """

    embedding_dim: int
    distance: str = "euclidean"
    cutoff: float = 0.5
    nonzero_loss_cutoff: float = 1.4

    def __post_init__(self):
        if self.embedding_dim < 2:
            raise ValueError(f"embedding_dim must be at least 2; got {self.embedding_dim}")
        if self.distance not in TO_EUCLIDEAN:
            raise ValueError(
                f"distance must be one of {', '.join(TO_EUCLIDEAN)} for miner distance_weighted, which knows how these "
                f"spread on the sphere; got {self.distance!r}"
            )
        if not 0.0 < self.cutoff < self.nonzero_loss_cutoff <= 2.0:
            raise ValueError(
                "expected 0 < cutoff < nonzero_loss_cutoff <= 2; "
                f"got cutoff={self.cutoff}, nonzero_loss_cutoff={self.nonzero_loss_cutoff}"
            )

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Triplets:
        distances = tf.stop_gradient(distances)
        probabilities = self.probabilities(distances, negative_mask)

        # Inverse transform: the first column whose cumulated probability exceeds a uniform number.
        cumulated = tf.cumsum(probabilities, axis=1)
        uniform = uniform_like(distances) * cumulated[:, -1:]
        negative = count_up_to_where(positive_mask, cumulated, uniform)
        # Rounding can carry a draw past the end, or onto a column without probability: such a draw is dropped.
        negative = tf.minimum(negative, tf.shape(distances)[1] - 1)
        drawn = at(probabilities, negative) > 0.0
        columns = tf.broadcast_to(tf.range(tf.shape(distances)[1])[None, :], tf.shape(distances))
        return Triplets(columns, negative, tf.cast(positive_mask & drawn, tf.float32))

    def probabilities(self, distances: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        """The chance of each column to be an anchor's negative: [B, M] float32; rows sum to 1, or 0 without any."""
        n = float(self.embedding_dim)
        euclidean = tf.maximum(TO_EUCLIDEAN[self.distance](distances), self.cutoff)
        candidates = negative_mask & (euclidean < self.nonzero_loss_cutoff)
        within = tf.minimum(euclidean, math.sqrt(3.99))  # 2 would be log(0); beyond the cutoff nothing is drawn
        log_density = (n - 2.0) * tf.math.log(within) + (n - 3.0) / 2.0 * tf.math.log(1.0 - tf.square(within) / 4.0)
        log_weights = tf.where(candidates, -log_density, float("-inf"))
        largest = tf.reduce_max(log_weights, axis=1, keepdims=True)
        weights = tf.where(candidates, tf.exp(log_weights - tf.where(candidates, largest, 0.0)), 0.0)
        return tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=1, keepdims=True))

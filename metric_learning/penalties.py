"""Penalties on rows, embeddings or class vectors, that are added to a loss.

Each is a Keras regularizer: a function of a matrix [N, D] to a scalar, the mean over its rows. As such it goes wherever
Keras takes one (`ClassVectors(regularizer=...)`, `kernel_regularizer=`), and as a layer, `Penalty(...)`, onto the
output of any other.
"""

from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative
from metric_learning.distances import normalize, rowwise
from metric_learning.types import TensorLike

REGISTER = keras.saving.register_keras_serializable(package="metric_learning")


class RowPenalty(keras.regularizers.Regularizer):
    """A weight times the mean over the rows of a matrix; subclasses say what a row costs, in `per_row`.

    Args:
        weight: at least 0.
    """

    def __init__(self, weight: float = 1.0) -> None:
        check_not_negative(weight=weight)
        self.weight = weight

    def __call__(self, rows: TensorLike) -> tf.Tensor:
        """The penalty of rows [N, D], a float32 scalar; 0 for no rows."""
        costs = self.per_row(tf.cast(tf.convert_to_tensor(rows), tf.float32))
        count = tf.cast(tf.maximum(tf.size(costs), 1), tf.float32)
        return self.weight * tf.reduce_sum(costs) / count

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        """Rows [N, D] float32 to costs [N], or fewer."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"weight": self.weight}


@REGISTER
class Lp(RowPenalty):
    """Keeps rows short, and with p=1 sparse: |x|_p ^ power.

    Args:
        weight: at least 0.
        p: of the norm, at least 1.
        power: of the norm, at least 1; power=2 with p=2 is the squared length.

    Example:
        >>> float(Lp(0.5, p=1)([[3.0, -4.0], [0.0, 1.0]]))  # .5 (7 + 1) / 2
        2.0
    """

    def __init__(self, weight: float = 1.0, p: float = 2, power: float = 1) -> None:
        for name, value in {"p": p, "power": power}.items():
            if not value >= 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        super().__init__(weight)
        self.p = p
        self.power = power

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        # Divided by the largest entry, so that powers stay in range. A norm grows with its row, so the gradient is
        # right although the divisor counts as constant.
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(rows), axis=1))
        is_zero = tf.equal(largest, 0.0)
        scaled = tf.abs(rows) / tf.where(is_zero, 1.0, largest)[:, None]
        sums = tf.reduce_sum(scaled if self.p == 1 else tf.pow(scaled, self.p), axis=1)
        norms = tf.where(is_zero, 0.0, largest * tf.pow(tf.where(is_zero, 1.0, sums), 1.0 / self.p))
        return norms if self.power == 1 else tf.pow(norms, self.power)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"p": self.p, "power": self.power}


@REGISTER
class ZeroMean(RowPenalty):
    """Keeps the entries of each row around 0: |sum_d x_d|."""

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.abs(tf.reduce_sum(rows, axis=1))


@REGISTER
class CenterInvariant(RowPenalty):
    """Keeps class vectors of one length, so that no class has a head start: (|w|^2 - mean of |w|^2)^2 / 4.

    For losses that do not normalize their class vectors; the others do not see their lengths.

    Reference: Wu, Liu, Li, Fu, "Deep Face Recognition with Center Invariant Loss", ACM Multimedia Workshops 2017.
    """

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        squares = tf.reduce_sum(tf.square(rows), axis=1)
        return 0.25 * tf.square(squares - tf.reduce_mean(squares))


@REGISTER
class RegularFace(RowPenalty):
    """Pushes each class vector away from its nearest neighbor: max_{j != i} cos(w_i, w_j).

    For one vector per class: with several, those of one class would be pushed apart too.

    Returns:
        A scalar in [-weight, weight]; 0 for a single row. Memory is O(N^2).

    Reference: Zhao, Xu, Cheng, "RegularFace: Deep Face Recognition via Exclusive Regularization", CVPR 2019.
    """

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        unit = normalize(rows)
        cosines = tf.matmul(unit, unit, transpose_b=True)
        others = tf.fill(tf.shape(rows)[:1], float("-inf"))
        nearest = tf.reduce_max(tf.linalg.set_diag(cosines, others), axis=1)
        return tf.where(tf.shape(rows)[0] > 1, nearest, 0.0)


@REGISTER
class SparseCenters(RowPenalty):
    """Draws the vectors of a class together, so that those it does not need merge: |w_s - w_t| of unit vectors.

    1 / (C K (K - 1)) sum over classes and pairs s < t of sqrt(2 - 2 cos(w_s, w_t)); the paper's tau is the weight. It
    is half the mean over the pairs.

    Args:
        weight: at least 0; 0.2 in the authors' code.
        vectors_per_class: K, at least 2; the rows of a class lie side by side, as in `ClassVectors`.

    Raises:
        ValueError: vectors_per_class below 2, rows that are no multiple of it.

    Reference: Qian, Shang, Sun, Hu, Li, Jin, "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling",
    ICCV 2019, https://arxiv.org/abs/1909.05235
    """

    def __init__(self, weight: float = 0.2, vectors_per_class: int = 2) -> None:
        if vectors_per_class < 2:
            raise ValueError(f"vectors_per_class must be at least 2; got {vectors_per_class}")
        super().__init__(weight)
        self.vectors_per_class = vectors_per_class

    def per_row(self, rows: tf.Tensor) -> tf.Tensor:
        if rows.shape[0] is not None and rows.shape[0] % self.vectors_per_class:
            raise ValueError(
                f"rows must be a multiple of vectors_per_class={self.vectors_per_class}; got {rows.shape[0]}"
            )
        unit = normalize(rows)
        classes = tf.reshape(unit, [-1, self.vectors_per_class, rows.shape[1]])
        # Each vector meets the other K - 1 of its class, by turning the class: no [C, K, K, D] tensor, and differences
        # instead of products, which cancel where vectors are about to merge.
        distances = [
            rowwise(classes, tf.roll(classes, turn, axis=1), distance="euclidean")
            for turn in range(1, self.vectors_per_class)
        ]
        return 0.5 * tf.reshape(tf.stack(distances), [-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vectors_per_class": self.vectors_per_class}


@REGISTER
class Penalty(keras.layers.Layer):
    """Passes its input on, and adds a penalty on it to the loss of the model that it is part of.

    Keras' own `activity_regularizer` divides by the batch size, and so halves the penalty of a doubled batch when the
    regularizer is a mean.

    Args:
        regularizer: of this module, or any Keras regularizer.

    Example:
        >>> layer = Penalty(ZeroMean(0.5))
        >>> _ = layer(tf.constant([[1.0, 2.0], [-1.0, 0.0]]))
        >>> float(layer.losses[0])  # .5 (3 + 1) / 2
        1.0
    """

    def __init__(self, regularizer: keras.regularizers.Regularizer, **options: Any) -> None:
        # Inputs keep their type, whatever the precision policy.
        super().__init__(autocast=False, **options)
        self.regularizer = regularizer
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        self.add_loss(self.regularizer(inputs))
        return inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"regularizer": keras.saving.serialize_keras_object(self.regularizer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(keras.saving.deserialize_keras_object(config.pop("regularizer")), **config)


@REGISTER
class L1Penalty(Penalty):
    """Draws entries of the embeddings to 0: weight times the mean over the batch of sum_d |x_d|.

    Args:
        weight: at least 0.
    """

    def __init__(self, weight: float = 0.01, **options: Any) -> None:
        super().__init__(Lp(weight, p=1), **options)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["regularizer"]
        return config | {"weight": self.regularizer.weight}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def penalized(encoder: keras.Model, regularizer: keras.regularizers.Regularizer | None) -> keras.Model:
    """The same encoder, with a penalty on its embeddings; unchanged with None.

    Args:
        encoder: a functional keras.Model to [B, D]. The weights are shared.
        regularizer: see `Penalty`.
    """
    if regularizer is None:
        return encoder
    embeddings = Penalty(regularizer, dtype="float32", name="penalty")(encoder.output)
    return keras.Model(encoder.input, embeddings, name=encoder.name)


def penalize_weights(layers: list[keras.layers.Layer], regularizer: keras.regularizers.Regularizer | None) -> None:
    """Adds a penalty on the class vectors that a loss learns, `loss.layers` once it is built; None adds nothing.

    Raises:
        ValueError: the layers hold no trained vectors, but numbers at most.
    """
    if regularizer is None:
        return
    weights = [weight for layer in layers for weight in layer.trainable_weights]
    tables = [weight for weight in weights if len(weight.shape) == 2 and weight.shape[1] > 1]
    if not tables:
        raise ValueError("a penalty on class vectors needs a loss that learns some; this one has none")
    for table in tables:
        table.regularizer = regularizer

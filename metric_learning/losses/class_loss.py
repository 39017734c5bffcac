"""What the losses with weights per class share: a learned table of vectors, and targets from labels."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning import xla
from metric_learning.distances import clip, normalize
from metric_learning.labels import as_labels
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.types import TensorLike


class ClassLoss(EmbeddingLoss):
    """A loss that compares embeddings with learned vectors of the classes; subclasses say how, in `cost_of_classes`.

    Args:
        num_classes: C, at least 2; labels are 0 to C - 1. None when it is not known yet: `build` says it then, as
            train.py does with the classes of the training data.
        embedding_dim: D, likewise.
        vectors_per_class: how many vectors each class has.
        reduction: as in Keras.
        name: as in Keras.
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        vectors_per_class: int = 1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if (num_classes is None) != (embedding_dim is None):
            raise ValueError(
                "num_classes and embedding_dim must be given together, or both left to build(); "
                f"got num_classes={num_classes}, embedding_dim={embedding_dim}"
            )
        if vectors_per_class < 1:
            raise ValueError(f"vectors_per_class must be at least 1; got {vectors_per_class}")
        super().__init__(reduction=reduction, name=name)
        self.num_classes: Any = None  # an int once it is built, as the next
        self.embedding_dim: Any = None
        self.vectors_per_class = vectors_per_class
        if num_classes is not None and embedding_dim is not None:
            self.build(num_classes, embedding_dim)

    def build(self, num_classes: int, embedding_dim: int, class_names: Sequence[str] | None = None) -> None:
        """Makes the learned vectors; see `EmbeddingLoss.build`.

        Raises:
            ValueError: fewer than 2 classes, or other numbers than the loss has been built with.
        """
        if num_classes < 2 or embedding_dim < 1:
            raise ValueError(
                "num_classes must be at least 2 and embedding_dim at least 1; "
                f"got num_classes={num_classes}, embedding_dim={embedding_dim}"
            )
        if self.layers:
            if (self.num_classes, self.embedding_dim) != (num_classes, embedding_dim):
                raise ValueError(
                    f"the loss has been built with num_classes={self.num_classes}, embedding_dim={self.embedding_dim}; "
                    f"got num_classes={num_classes}, embedding_dim={embedding_dim}"
                )
            return
        self.num_classes, self.embedding_dim = num_classes, embedding_dim
        self.layers = self.make_layers()

    def make_layers(self) -> list[keras.layers.Layer]:
        """The layers that hold what the loss learns; the first is the table of class vectors."""
        return [ClassVectors(self.num_classes * self.vectors_per_class, self.embedding_dim)]

    @property
    def class_vectors(self) -> tf.Tensor:
        """[C * vectors_per_class, D] float32, the vectors of a class side by side."""
        if not self.layers:
            raise ValueError(
                "num_classes and embedding_dim must be known before the loss is used; give them to the constructor "
                "or to build()"
            )
        return self.layers[0].vectors

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: [B] integers from 0 to C - 1, or [B, C] multi-hot or graded.
            embeddings: [B, D] floating.

        Raises:
            ValueError: embeddings that are no matrix of width D, labels of another width than C.
            tf.errors.InvalidArgumentError: a label outside 0 to C - 1; under XLA, which cannot raise, its value is NaN.
        """
        vectors = tf.convert_to_tensor(self.class_vectors)
        embeddings = as_embeddings(embeddings)
        if embeddings.shape[1] != self.embedding_dim:
            raise ValueError(f"embeddings must be [batch, {self.embedding_dim}]; got shape {embeddings.shape}")
        targets = self.targets(labels)
        if not targets.shape[:1].is_compatible_with(embeddings.shape[:1]):
            raise ValueError(f"labels must be one for each of {embeddings.shape[0]} rows; got {targets.shape[0]}")
        return nan_outside(self.cost_of_classes(targets, embeddings, vectors), labels, self.num_classes)

    def targets(self, labels: TensorLike) -> tf.Tensor:
        """[B, C] float32: one-hot rows of integer labels, or the multi-hot or graded labels as they are."""
        labels = as_classes(labels, self.num_classes)
        return labels if labels.shape.rank == 2 else tf.one_hot(labels, self.num_classes)

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        """[B, C] targets, [B, D] embeddings and [C * vectors_per_class, D] vectors to one value per anchor [B]."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_classes": self.num_classes, "embedding_dim": self.embedding_dim}


def as_classes(labels: TensorLike, num_classes: int) -> tf.Tensor:
    """Labels that number classes: [B] int64 from 0 to num_classes - 1, or [B, num_classes] float32.

    Raises:
        ValueError: labels that are neither integers nor of num_classes columns.
        tf.errors.InvalidArgumentError: a label outside 0 to num_classes - 1; not under XLA, which cannot raise: what is
            made of the labels must go through `nan_outside`.
    """
    labels = as_labels(labels)
    if labels.shape.rank == 2:
        if labels.shape[1] != num_classes:
            raise ValueError(f"multi-hot labels must be [batch, {num_classes}]; got shape {labels.shape}")
        return tf.cast(labels, tf.float32)
    if not labels.dtype.is_integer:
        raise ValueError(
            f"labels must be integers from 0 to {num_classes - 1}; got {labels.dtype.name}s. Number them, all at once, "
            "by numpy.unique(labels, return_inverse=True)[1]; train.py does it by itself"
        )
    labels = tf.cast(labels, tf.int64)  # which holds num_classes too, as uint8 may not
    within = [
        tf.debugging.assert_non_negative(labels, "labels must be at least 0"),
        tf.debugging.assert_less(
            labels, tf.constant(num_classes, tf.int64), f"labels must be below num_classes={num_classes}"
        ),
    ]
    with tf.control_dependencies([check for check in within if check is not None]):
        return tf.identity(labels)


def nan_outside(values: tf.Tensor, labels: TensorLike, num_classes: int) -> tf.Tensor:
    """The values [B] or [B, T] of anchors, NaN where the label is outside 0 to num_classes - 1.

    XLA drops the error of `as_classes`, and numbers classes 1 to C silently as if they were 0 to C - 1. Elsewhere there
    is that error, and the values stay as they are.
    """
    labels = as_labels(labels)
    return values if labels.shape.rank == 2 or not xla.compiling() else xla.nan_outside(values, labels, num_classes)


def class_cosines(embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
    """[B, C * vectors_per_class] float32: the cosine of every embedding with every vector; 0 for a zero row."""
    cosines = tf.matmul(normalize(embeddings), normalize(class_vectors), transpose_b=True)
    return clip(cosines, -1.0, 1.0)  # as rounding takes equal rows to 1 + 1e-7


def cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The softmax cross-entropy of each row; a row of several classes is shared among them.

    Args:
        targets: [B, C] float32, at least 0; scaled to rows of sum 1.
        logits: [B, C] float32.

    Returns:
        [B] float32; 0, with gradient 0, for a row without class.
    """
    total = tf.reduce_sum(targets, axis=1)
    has_class = total > 0.0
    shares = targets / tf.where(has_class, total, 1.0)[:, None]
    return tf.where(has_class, tf.nn.softmax_cross_entropy_with_logits(shares, logits), 0.0)


@keras.saving.register_keras_serializable(package="metric_learning")
class ClassVectors(keras.layers.Layer):
    """A learned table of vectors, in float32 whatever the precision policy.

    Args:
        num_vectors: rows.
        embedding_dim: D.
        initializer: a Keras initializer; by default rows of about unit length. Where a loss normalizes the rows, their
            length sets how far a step of Adam turns them: the shorter, the farther.
        regularizer: a Keras regularizer of the table, or None.
    """

    def __init__(
        self,
        num_vectors: int,
        embedding_dim: int,
        initializer: keras.initializers.Initializer | None = None,
        regularizer: keras.regularizers.Regularizer | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dtype="float32", **options)
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=embedding_dim**-0.5)
        self.vectors = self.add_weight(
            shape=(num_vectors, embedding_dim), initializer=initializer, regularizer=regularizer, name="vectors"
        )
        self.built = True

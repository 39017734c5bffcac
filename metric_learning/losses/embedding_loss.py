"""What all losses are: a Keras loss on integer labels and embeddings, with one value per anchor."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from metric_learning.types import TensorLike

# The name scope in which Keras calls the losses of `compile`, also those inside functions and of several outputs.
IN_COMPILE = "compile_loss"


class EmbeddingLoss(keras.losses.Loss):
    """A Keras loss on labels and embeddings; subclasses say what each anchor costs, in `call`.

    `loss(labels, embeddings, sample_weight=None)` works alone, in `model.compile(loss=...)` and in the `Learner`.

    Args:
        reduction: as in Keras; "sum_over_batch_size" is the mean over the anchors and so the loss of the paper.
        name: as in Keras.

    Attributes:
        layers: Keras layers that hold what the loss learns. The learner trains, saves and restores them.
        distance: what the loss measures by, a name of `metric_learning.distances.DISTANCES`; None where it compares
            the embeddings with something else than each other.
        takes_references: whether `call` takes `ref_labels`, `ref_embeddings`, `ids` and `ref_ids`.
    """

    distance: str | None = None
    takes_references = False

    def __init__(self, *, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(name=name, reduction=reduction)
        self.layers: list[keras.layers.Layer] = []
        # Keras' own reduction, which knows masks, weights and replicas, for values that are there already.
        self._reduce = _Reduction(name="reduction", reduction=reduction)

    def build(self, num_classes: int, embedding_dim: int, class_names: Sequence[str] | None = None) -> None:
        """Tells the loss what it is going to meet; one that learns makes its variables now, in the current scope.

        Args:
            num_classes: of the training data, whose labels are then 0 to num_classes - 1.
            embedding_dim: D.
            class_names: of these classes, in the order of the labels, for losses that can read them.
        """
        if tf.distribute.has_strategy():  # which wants variables of its own scope, not those of the constructor
            self.layers = [type(layer).from_config(layer.get_config()) for layer in self.layers]

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and it warns of what it cannot read
    def __call__(
        self, labels: TensorLike, embeddings: TensorLike, sample_weight: TensorLike | None = None, **references: Any
    ) -> tf.Tensor:
        """The reduced loss.

        Args:
            labels: [B] integers, or [B, C] multi-hot or graded; see `metric_learning.relations.relate`.
            embeddings: [B, D] floating.
            sample_weight: [B], the weight of each anchor's value, or None.
            **references: what else `call` takes.

        Returns:
            A scalar, or [B] with reduction None; float32.

        Raises:
            ValueError: called by the `fit` or `evaluate` of a plain Keras model, which would not train what this loss
                learns.
        """
        if self.learns() and IN_COMPILE in tf.get_current_name_scope():
            raise ValueError(
                f"{type(self).__name__} learns weights of its own, which model.compile(loss=...) would not train; "
                "use metric_learning.training.Learner(encoder, loss), which does"
            )
        return self.reduce(self.call(labels, embeddings, **references), sample_weight)

    def learns(self) -> bool:
        """Whether there is something to train in it."""
        return any(layer.trainable_variables for layer in self.layers)

    def reduce(self, values: tf.Tensor, sample_weight: TensorLike | None = None) -> tf.Tensor:
        """The values of `call`, [B], weighted and reduced as Keras does."""
        return self._reduce(values, values, sample_weight)

    def call(self, labels: TensorLike, embeddings: TensorLike) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss."""
        raise NotImplementedError


class _Reduction(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred


def as_embeddings(embeddings: TensorLike) -> tf.Tensor:
    """The embeddings as a float32 matrix, whatever the precision policy.

    Raises:
        ValueError: they are no matrix.
    """
    embeddings = tf.convert_to_tensor(embeddings)
    if embeddings.shape.rank != 2:
        raise ValueError(f"embeddings must be [batch, dim]; got shape {embeddings.shape}")
    return tf.cast(embeddings, tf.float32)

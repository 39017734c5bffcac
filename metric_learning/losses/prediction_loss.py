"""What the losses of Keras share here: predictions of classes or of pairs, and the plain use on predictions."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops

from metric_learning.checks import check_choice, check_positive
from metric_learning.distances import to_similarities
from metric_learning.losses.class_loss import ClassLoss, ClassVectors, class_cosines
from metric_learning.losses.distance_loss import compare
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.tuples import masked_mean
from metric_learning.types import TensorLike

ACTIVATIONS: dict[str | None, Callable[[tf.Tensor], tf.Tensor]] = {
    "none": lambda logits: logits,
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
    "tanh": tf.tanh,
}


class PredictionLoss(ClassLoss):
    """A loss of predictions y_pred against targets y_true, as a loss on embeddings.

    The logits of an anchor, one a column, are

        scale * similarity + bias

    with over="classes": the similarity to a learned vector of each class; the target is 1 for the own class, else 0;
    with over="pairs":   the similarity to each other row; the target is 1 for a row of the same class, else 0.

    Labels [B, C] are the targets of the classes themselves; of pairs, the target is then how alike the two labels are,
    see `metric_learning.relations.relate`. Subclasses say what a row of logits costs, in `cost_of_rows`, or what each
    column costs, in `cost_of_columns`.

    Args:
        over: "classes" or "pairs". Pairs learn nothing besides the encoder, and take references.
        similarity: "cosine", in [-1, 1], or "dot".
        scale: above 0, what the similarity is multiplied by.
        activation: what makes predictions of logits, for losses that leave it open: "sigmoid", whose predictions are in
            (0, 1) as the targets; "none", which with scale=1 makes the similarity itself the prediction; "tanh"; or
            "softmax", over classes only, which has no bias. None is "sigmoid" for all but hinges.
        bias: for losses with activations, where the learned bias starts, or what it is over pairs: a threshold of
            similarity. None is `usual_bias`.
        positive_share: for losses of columns, in (0, 1), how much of an anchor's value is the mean over its positive
            columns; the mean over the others is the rest. So the one class that is right is not drowned by the many
            that are not. A graded target counts on both sides, in its parts. None is the mean over all columns, as in
            Keras.
        num_classes: see `ClassLoss`; not needed over pairs.
        embedding_dim: likewise.
        reduction: as in Keras.
        name: as in Keras.

    Attributes:
        activations: what `activation` may be. A loss without any has no bias either.
        columnwise: whether every column costs something by itself, so that `positive_share` can weigh them.
        only_classes: whether one column of a row is right, so that pairs make no sense.

    Raises:
        TypeError: a setting that the loss does not have.
        ValueError: unknown over, similarity or activation, scale not above 0, positive_share outside (0, 1), pairs
            where only classes make sense.
    """

    activations: tuple[str, ...] = ()
    columnwise = False
    only_classes = False

    def __init__(
        self,
        *,
        over: str = "classes",
        similarity: str = "cosine",
        scale: float = 16.0,
        activation: str | None = None,
        bias: float | None = None,
        positive_share: float | None = None,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_choice(("classes", "pairs"), over=over)
        check_choice(("cosine", "dot"), similarity=similarity)
        check_positive(scale=scale)
        if self.only_classes and over == "pairs":
            raise ValueError(
                f"over must be classes for {type(self).__name__}, which takes one column of a row for right, "
                "where several pairs may be; got 'pairs'"
            )
        if self.activations:
            usual = "sigmoid" if "sigmoid" in self.activations else self.activations[0]
            activation = usual if activation is None else activation
            check_choice(self.activations, activation=activation)
        if activation == "softmax" and over == "pairs":
            raise ValueError("activation must not be softmax over pairs, where several are right; got 'softmax'")
        if positive_share is not None and not 0.0 < positive_share < 1.0:
            raise ValueError(f"positive_share must be between 0 and 1, or None; got {positive_share}")
        has = {"activation": self.activations, "bias": self.activations, "positive_share": self.columnwise}
        for key, value in {"activation": activation, "bias": bias, "positive_share": positive_share}.items():
            if value is not None and not has[key]:
                raise TypeError(f"{type(self).__name__} has no {key}; got {key}={value}")
        # The parent may build, which asks for these.
        self.over, self.similarity, self.scale = over, similarity, scale
        self.activation, self.bias, self.positive_share = activation, bias, positive_share
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.distance = similarity if over == "pairs" else None
        self.takes_references = over == "pairs"

    def make_layers(self) -> list[keras.layers.Layer]:
        if self.over == "pairs":
            return []
        layers = [ClassVectors(self.num_classes, self.embedding_dim)]
        if self.activations and self.activation != "softmax":
            layers.append(LearnedNumber(self.usual_bias() if self.bias is None else self.bias))
        return layers

    @property
    def bias_layer(self) -> LearnedNumber | None:
        """The layer that holds the learned bias; None where there is none."""
        return next((layer for layer in self.layers if isinstance(layer, LearnedNumber)), None)

    def usual_bias(self) -> float:
        """With a sigmoid, over classes -ln(C - 1), so that predictions are 1/C before training; over pairs -scale / 2,
        a threshold half way between unlike and equal. 0 for other predictions.
        """
        if self.activation != "sigmoid":
            return 0.0
        return -math.log(self.num_classes - 1) if self.over == "classes" else -self.scale / 2.0

    def bias_now(self) -> float | tf.Tensor:
        """What is added to the scaled similarities: the learned bias or the fixed one; 0 for a loss without."""
        if self.bias_layer is not None:
            return tf.convert_to_tensor(self.bias_layer.number)
        if self.activation in (None, "softmax"):
            return 0.0
        return self.usual_bias() if self.bias is None else self.bias

    def call(self, labels: TensorLike, embeddings: TensorLike, **references: Any) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: over classes [B] integers from 0 to C - 1, or [B, C]; over pairs as `DistanceLoss.call` says.
            embeddings: [B, D] floating.
            **references: over pairs only, see `DistanceLoss.call`.
        """
        if self.over == "pairs":
            return self._call_on_pairs(compare(labels, embeddings, distance=self.similarity, **references))
        given = [name for name, value in references.items() if value is not None]
        if given:
            raise ValueError(f"over='classes' compares with learned vectors and takes no references; got {given[0]}")
        return super().call(labels, embeddings)

    def _call_on_pairs(self, comparison):
        is_positive, grades = comparison.positive_mask, comparison.grades
        targets = tf.cast(is_positive, tf.float32) if grades is None else grades
        counts = tf.cast(is_positive | comparison.negative_mask, tf.float32)
        return self._of_similarities(targets, to_similarities(comparison.distances, self.similarity), counts)

    def cost_of_classes(self, targets: tf.Tensor, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        if self.similarity == "cosine":
            similarities = class_cosines(embeddings, class_vectors)
        else:
            similarities = tf.matmul(embeddings, class_vectors, transpose_b=True)
        return self._of_similarities(targets, similarities, tf.ones_like(targets))

    def _of_similarities(self, targets, similarities, counts):
        return self.cost_of_rows(targets, self.scale * similarities + self.bias_now(), counts)

    def cost_of_rows(self, targets: tf.Tensor, logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """One value per row, [B], of [B, M] tensors; `counts` is 1, or 0 for the anchor's own column."""
        if self.positive_share is None:
            return masked_mean(self.cost_of_columns(targets, logits), counts, axis=1)
        # One sum over columns whose weights hold both means, so that costs are computed once.
        positives, negatives = counts * targets, counts * (1.0 - targets)
        weights = self.positive_share * shares(positives) + (1.0 - self.positive_share) * shares(negatives)
        return tf.reduce_sum(weights * self.cost_of_columns(targets, logits), axis=1)

    def cost_of_columns(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """What each column costs, [B, M]: Keras' mean over an axis of one."""
        return self.elementwise(targets[..., None], self.activate(logits)[..., None])

    def activate(self, logits: tf.Tensor) -> tf.Tensor:
        """Predictions of logits."""
        return ACTIVATIONS[self.activation](logits)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of Keras itself: targets and predictions [B, ..., C] to values [B, ...]."""
        raise NotImplementedError

    @classmethod
    def on_predictions(
        cls,
        *,
        from_logits: bool | None = None,
        axis: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **arguments: Any,
    ) -> "OnPredictions":
        """The plain Keras loss on (y_true, y_pred): `model.compile(loss=Huber.on_predictions(delta=2.0))`.

        Args:
            from_logits: as in Keras, for the losses that have it.
            axis: as in Keras, for the losses that have it.
            reduction: as in Keras.
            name: as in Keras.
            **arguments: what the loss itself takes, such as `delta`.

        Returns:
            A keras.losses.Loss, which Keras saves and loads with all its settings.
        """
        return OnPredictions(cls(**arguments), from_logits=from_logits, axis=axis, reduction=reduction, name=name)

    def get_config(self) -> dict[str, Any]:
        config = {"over": self.over, "similarity": self.similarity, "scale": self.scale}
        if len(self.activations) > 1:
            config["activation"] = self.activation
        if self.activations:
            config["bias"] = self.bias
        if self.columnwise:
            config["positive_share"] = self.positive_share
        return super().get_config() | config


def shares(weights: tf.Tensor) -> tf.Tensor:
    """Rows that sum to 1; rows of zeros stay."""
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return weights / tf.where(total > 0.0, total, 1.0)


@keras.saving.register_keras_serializable(package="metric_learning")
class OnPredictions(keras.losses.Loss):
    """A loss of this library as the Keras loss on (y_true, y_pred) that it is made of.

    Args:
        loss: a `PredictionLoss`.
        from_logits: for losses that have it; None is False.
        axis: for losses that have it; None is -1.
        reduction: as in Keras.
        name: as in Keras; by default the one of the loss.

    Raises:
        ValueError: from_logits or axis for a loss that has none.

    Example:
        >>> from metric_learning.losses import Huber
        >>> huber = Huber.on_predictions(delta=1.0)
        >>> round(float(huber([[0.0, 1.0], [0.0, 0.0]], [[0.6, 0.4], [0.4, 0.6]])), 4)  # (.18 + .18 + .08 + .18) / 4
        0.155
    """

    def __init__(
        self,
        loss: PredictionLoss,
        *,
        from_logits: bool | None = None,
        axis: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or loss.name, reduction=reduction)
        self.loss, self.from_logits, self.axis = loss, from_logits, axis
        how = {"from_logits": from_logits, "axis": axis}
        self._how = {key: value for key, value in how.items() if value is not None}
        for key in self._how:
            if key not in inspect.signature(loss.elementwise).parameters:
                raise ValueError(f"{type(loss).__name__} has no {key}; got {key}={how[key]}")

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
        # Keras leaves lists as they are, of which each number is a tensor.
        y_true, y_pred = _of_one_rank(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
        return self.loss.elementwise(y_true, y_pred, **self._how)

    def get_config(self) -> dict[str, Any]:
        loss = keras.saving.serialize_keras_object(self.loss)
        return super().get_config() | {"loss": loss, "from_logits": self.from_logits, "axis": self.axis}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config | {"loss": keras.saving.deserialize_keras_object(config["loss"])})


def _of_one_rank(y_true, y_pred):
    """[B] meets [B, 1] and [B, T] meets [B, T, 1] as in Keras."""
    ranks = len(y_true.shape), len(y_pred.shape)
    if ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
        return (y_true, ops.expand_dims(y_pred, -1)) if ranks[1] == 1 else (ops.squeeze(y_true, -1), y_pred)
    if ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
        return (ops.expand_dims(y_true, -1), y_pred) if ranks[0] == 1 else (y_true, ops.squeeze(y_pred, -1))
    return y_true, y_pred

"""What the losses of Keras share here: predictions of classes or of pairs, and the plain use on predictions."""

import inspect
import math

import keras
import tensorflow as tf
from keras import ops

from metric_learning.checks import check_choice, check_positive
from metric_learning.distances import to_similarities
from metric_learning.losses.class_loss import ClassLoss, ClassVectors, class_cosines
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.learned_number import LearnedNumber
from metric_learning.tuples import masked_mean

ACTIVATIONS = {"none": lambda logits: logits, "sigmoid": tf.sigmoid, "softmax": tf.nn.softmax, "tanh": tf.tanh}


class PredictionLoss(ClassLoss):
    """A loss of predictions y_pred against targets y_true, as a loss on embeddings; subclasses say it in `per_row`.

    The logits of an anchor, one a column, are

        scale * similarity + bias

    with over="classes": the similarity to a learned vector of each class; the target is 1 for the own class, else 0;
    with over="pairs":   the similarity to each other row; the target is 1 for a row of the same class, else 0.

    Labels [B, C] are the targets of the classes themselves; of pairs, the target is then how alike the two labels are,
    see `metric_learning.relations.relate`.

    Args:
        over: "classes" or "pairs". Pairs learn nothing besides the encoder, and take references.
        similarity: "cosine", in [-1, 1], or "dot".
        scale: above 0, what the similarity is multiplied by.
        num_classes: see `ClassLoss`; not needed over pairs.
        embedding_dim: likewise.
        reduction: as in Keras.
        name: as in Keras.

    Raises:
        ValueError: unknown over or similarity, scale not above 0, pairs where only classes make sense.
    """

    only_classes = False

    def __init__(
        self,
        *,
        over="classes",
        similarity="cosine",
        scale=16.0,
        num_classes=None,
        embedding_dim=None,
        reduction="sum_over_batch_size",
        name=None,
    ):
        check_choice(("classes", "pairs"), over=over)
        check_choice(("cosine", "dot"), similarity=similarity)
        check_positive(scale=scale)
        if self.only_classes and over == "pairs":
            raise ValueError(
                f"over must be classes for {type(self).__name__}, which takes one column of a row for right, "
                "where several pairs may be; got 'pairs'"
            )
        # The parent may build, which asks for these.
        self.over, self.similarity, self.scale = over, similarity, scale
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim, reduction=reduction, name=name)
        self.distance = similarity if over == "pairs" else None
        self.takes_references = over == "pairs"
        self._pairs = _Pairs(distance=similarity, per_row=self.per_pairs)

    def make_layers(self):
        return [ClassVectors(self.num_classes, self.embedding_dim)] if self.over == "classes" else []

    def call(self, labels, embeddings, **references):
        """One value per anchor, [B] float32, whose mean is the loss.

        Args:
            labels: over classes [B] integers from 0 to C - 1, or [B, C]; over pairs as `DistanceLoss.call` says.
            embeddings: [B, D] floating.
            **references: over pairs only, see `DistanceLoss.call`.
        """
        if self.over == "pairs":
            return self._pairs.call(labels, embeddings, **references)
        given = [name for name, value in references.items() if value is not None]
        if given:
            raise ValueError(f"over='classes' compares with learned vectors and takes no references; got {given[0]}")
        return super().call(labels, embeddings)

    def per_anchor(self, targets, embeddings, class_vectors):
        if self.similarity == "cosine":
            similarities = class_cosines(embeddings, class_vectors)
        else:
            similarities = tf.matmul(embeddings, class_vectors, transpose_b=True)
        return self.per_row(targets, self.scale * similarities + self.bias_now(), tf.ones_like(targets))

    def per_pairs(self, targets, similarities, counts):
        """What the pairs of each anchor cost, [B], of tensors [B, M]."""
        return self.per_row(targets, self.scale * similarities + self.bias_now(), counts)

    def bias_now(self):
        """What is added to the scaled similarities; 0 unless a subclass has a bias."""
        return 0.0

    def per_row(self, targets, logits, counts):
        """One value per row, [B], of [B, M] tensors; `counts` is 1, or 0 for the anchor's own column."""
        raise NotImplementedError

    def elementwise(self, y_true, y_pred):
        """The loss of Keras itself: targets and predictions [B, ..., C] to values [B, ...]."""
        raise NotImplementedError

    @classmethod
    def on_predictions(cls, *, from_logits=None, axis=None, reduction="sum_over_batch_size", name=None, **arguments):
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

    def get_config(self):
        return super().get_config() | {"over": self.over, "similarity": self.similarity, "scale": self.scale}


class BiasedLoss(PredictionLoss):
    """A prediction loss with a bias, and so a threshold of similarity; over classes the bias is learned.

    Args:
        activation: what makes predictions of logits: "none", "sigmoid", "tanh" or "softmax", which has no bias.
        bias: where the learned bias starts, or what it is over pairs. None is `usual_bias`.
        **shared: see `PredictionLoss`.
    """

    activations = ("none", "sigmoid", "tanh", "softmax")

    def __init__(self, *, activation, bias=None, **shared):
        check_choice(self.activations, activation=activation)
        self.activation, self.bias = activation, bias
        super().__init__(**shared)
        if activation == "softmax" and self.over == "pairs":
            raise ValueError("activation must not be softmax over pairs, where several are right; got 'softmax'")

    def make_layers(self):
        layers = super().make_layers()
        if layers and self.activation != "softmax":
            layers.append(LearnedNumber(self.usual_bias() if self.bias is None else self.bias))
        return layers

    def usual_bias(self):
        """With a sigmoid, over classes -ln(C - 1), so that predictions are 1/C before training; over pairs -scale / 2,
        a threshold half way between unlike and equal. 0 for other predictions.
        """
        if self.activation != "sigmoid":
            return 0.0
        return -math.log(self.num_classes - 1) if self.over == "classes" else -self.scale / 2.0

    def bias_now(self):
        if len(self.layers) > 1:
            return tf.convert_to_tensor(self.layers[1].number)
        if self.activation == "softmax":
            return 0.0
        return self.usual_bias() if self.bias is None else self.bias

    def activate(self, logits):
        """Predictions of logits."""
        return ACTIVATIONS[self.activation](logits)

    def get_config(self):
        config = {} if len(self.activations) == 1 else {"activation": self.activation}
        return super().get_config() | config | {"bias": self.bias}


class ColumnwiseLoss(BiasedLoss):
    """A loss in which every column costs something by itself; subclasses say what, in `elementwise`.

    Args:
        positive_share: in (0, 1), how much of an anchor's value is the mean over its positive columns; the mean over
            the others is the rest. So the one class that is right is not drowned by the many that are not. A graded
            target counts on both sides, in its parts. None is the mean over all columns, as in Keras.
        **shared: see `BiasedLoss`.
    """

    def __init__(self, *, positive_share=None, **shared):
        if positive_share is not None and not 0.0 < positive_share < 1.0:
            raise ValueError(f"positive_share must be between 0 and 1, or None; got {positive_share}")
        self.positive_share = positive_share
        super().__init__(**shared)

    def per_row(self, targets, logits, counts):
        if self.positive_share is None:
            return masked_mean(self.columns(targets, logits), counts, axis=1)
        # One sum over columns whose weights hold both means, so that costs are computed once.
        positives, negatives = counts * targets, counts * (1.0 - targets)
        weights = self.positive_share * shares(positives) + (1.0 - self.positive_share) * shares(negatives)
        return tf.reduce_sum(weights * self.columns(targets, logits), axis=1)

    def columns(self, targets, logits):
        """What each column costs, [B, M]: Keras' mean over an axis of one."""
        return self.elementwise(targets[..., None], self.activate(logits)[..., None])

    def get_config(self):
        return super().get_config() | {"positive_share": self.positive_share}


def shares(weights):
    """Rows that sum to 1; rows of zeros stay."""
    total = tf.reduce_sum(weights, axis=1, keepdims=True)
    return weights / tf.where(total > 0.0, total, 1.0)


class _Pairs(DistanceLoss):
    """Targets and similarities of the pairs, for a function that knows what they cost."""

    takes_grades = True

    def __init__(self, *, distance, per_row):
        super().__init__(distance=distance)
        self._per_row = per_row

    def per_anchor(self, distances, positive_mask, negative_mask, grades=None):
        targets = tf.cast(positive_mask, tf.float32) if grades is None else grades
        counts = tf.cast(positive_mask | negative_mask, tf.float32)
        return self._per_row(targets, to_similarities(distances, self.distance), counts)


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

    def __init__(self, loss, *, from_logits=None, axis=None, reduction="sum_over_batch_size", name=None):
        super().__init__(name=name or loss.name, reduction=reduction)
        self.loss, self.from_logits, self.axis = loss, from_logits, axis
        how = {"from_logits": from_logits, "axis": axis}
        self._how = {key: value for key, value in how.items() if value is not None}
        for key in self._how:
            if key not in inspect.signature(loss.elementwise).parameters:
                raise ValueError(f"{type(loss).__name__} has no {key}; got {key}={how[key]}")

    def call(self, y_true, y_pred):
        # Keras leaves lists as they are, of which each number is a tensor.
        y_true, y_pred = _of_one_rank(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
        return self.loss.elementwise(y_true, y_pred, **self._how)

    def get_config(self):
        loss = keras.saving.serialize_keras_object(self.loss)
        return super().get_config() | {"loss": loss, "from_logits": self.from_logits, "axis": self.axis}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"loss": keras.saving.deserialize_keras_object(config["loss"])})


def _of_one_rank(y_true, y_pred):
    """[B] meets [B, 1] and [B, T] meets [B, T, 1] as in Keras."""
    ranks = len(y_true.shape), len(y_pred.shape)
    if ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
        return (y_true, ops.expand_dims(y_pred, -1)) if ranks[1] == 1 else (ops.squeeze(y_true, -1), y_pred)
    if ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
        return (ops.expand_dims(y_true, -1), y_pred) if ranks[0] == 1 else (y_true, ops.squeeze(y_pred, -1))
    return y_true, y_pred

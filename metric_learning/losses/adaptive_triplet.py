"""Adaptive triplet loss: a margin that is the larger, the less the classes mean the same."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from metric_learning.checks import check_average, check_not_negative, check_positive
from metric_learning.distances import squared_euclidean
from metric_learning.losses.class_loss import ClassVectors, nan_outside
from metric_learning.losses.distance_loss import Comparison, TupleLoss
from metric_learning.losses.margin import rows_of_labels
from metric_learning.losses.name_vectors import vectors_of_names
from metric_learning.losses.triplet import count_triplets, sum_over_all_triplets
from metric_learning.tuples import AnyMiner, Pairs, Selection, at, mean_per_anchor, share_mean


@keras.saving.register_keras_serializable(package="metric_learning")
class AdaptiveTriplet(TupleLoss):
    """Pulls the positive nearer to the anchor than the negative, by a margin that depends on what their classes mean.

    Mean over the triplets (a, p, n) of

        [d(a, p) - d(a, n) + margin + |g_a - g_n|^2 / normalizer]+

    g being the unit vector of a row's class. So a red ant is kept apart from a deer more than from a black ant.

    Differs from the paper: it knows the classes from product descriptions and their word vectors, and each item has its
    own text; here a class has one vector, given or made of its name.

    Args:
        margin: at least 0 (beta), in units of the distance; what classes of equal vectors are kept apart by.
        normalizer: above 0, in units of the squared distance of unit vectors, at most 4, per unit of the distance. None
            for 4 - margin, which an implementation ascribes to the paper.
        class_vectors: [C, T] numbers, what each class means; rows are normalized. None to make them of class_names.
        class_names: C strings in the order of the labels; None when they are not known yet: `build` says them then, as
            train.py does with the classes of the training data. Not used with class_vectors.
        name_dim: T of the vectors that are made of names; see `name_vectors.vectors_of_names`.
        num_classes: C; None to count them.
        average: "selected" divides by all triplets, "active" by those of a loss above 0.
        distance: see `metric_learning.distances`; "squared_euclidean" of unit rows in the paper.
        miner: which triplets; None for all. Pairs stand for every positive with every negative of the same anchor.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without triplet. Labels are 0 to C - 1; the vector of a row of several classes
        is the mean of theirs. With all triplets, memory is O(B x M).

    Raises:
        ValueError: margin below 0, normalizer or name_dim not above 0, class_vectors that are no matrix, another number
            of classes than of vectors or names, unknown average or distance; when called, no vectors and no names.
        tf.errors.InvalidArgumentError: a label outside 0 to C - 1; under XLA the value is NaN.

    Example:
        >>> loss = AdaptiveTriplet(margin=0.5, normalizer=4.0, class_vectors=[[1.0, 0.0], [0.0, 2.0]])
        >>> float(loss([0, 0, 1], [[0.0], [1.0], [2.0]]))  # (1 - 4 + .5 + 2 / 4 and 1 - 1 + .5 + 2 / 4) / 2
        0.5

    Reference: Zhao, Qi, Luo, Davis, "A Weakly Supervised Adaptive Triplet Loss for Deep Metric Learning", ICCV
    Workshops 2019, https://arxiv.org/abs/1909.12939.
    """

    can_be_packed = False

    def __init__(
        self,
        *,
        margin: float = 0.2,
        normalizer: float | None = None,
        class_vectors: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        name_dim: int = 256,
        num_classes: int | None = None,
        average: str = "selected",
        distance: str = "squared_euclidean",
        miner: AnyMiner | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_not_negative(margin=margin)
        if normalizer is None and margin >= 4.0:
            raise ValueError(f"normalizer must be given with a margin of 4 or more; got margin={margin}")
        check_positive(normalizer=4.0 - margin if normalizer is None else normalizer, name_dim=name_dim)
        check_average(average)
        super().__init__(distance=distance, miner=miner, reduction=reduction, name=name)
        self.margin = margin
        self.normalizer = normalizer
        self.class_vectors = None
        self.class_names: list[str] | None = None
        self.name_dim = name_dim
        self.num_classes: Any = None  # an int once it is built
        self.average = average
        if class_vectors is not None:
            self.class_vectors = np.asarray(class_vectors, np.float32).tolist()
            if np.ndim(self.class_vectors) != 2:
                raise ValueError(f"class_vectors must be [classes, dim]; got shape {np.shape(class_vectors)}")
        known = class_names if self.class_vectors is None else self.class_vectors
        if known is not None:
            self.build(len(known) if num_classes is None else num_classes, None, class_names)

    def build(self, num_classes: int, embedding_dim: int | None, class_names: Sequence[str] | None = None) -> None:
        """Makes the table of class vectors; see `EmbeddingLoss.build`.

        Raises:
            ValueError: neither class_vectors nor class_names, or another number of them than num_classes.
        """
        known, what = (
            (class_names, "class_names") if self.class_vectors is None else (self.class_vectors, "class_vectors")
        )
        if known is None:
            raise ValueError("class_names must be given, or class_vectors to the constructor; got neither")
        if len(known) != num_classes:
            raise ValueError(f"{what} must be one for each of {num_classes} classes; got {len(known)}")
        if self.num_classes not in (None, num_classes):
            raise ValueError(f"the loss has been built with num_classes={self.num_classes}; got {num_classes}")
        if self.class_vectors is None:
            names = [str(name) for name in known]
            if self.class_names not in (None, names):
                raise ValueError("the loss has been built with other class_names")
            self.class_names = names
            table = vectors_of_names(names, self.name_dim)
        else:
            table = np.asarray(self.class_vectors, np.float32)
            lengths = np.linalg.norm(table, axis=1, keepdims=True)
            table = table / np.where(lengths > 0.0, lengths, 1.0)
        self.num_classes = num_classes
        # A weight, so that a checkpoint holds what the model was trained with, but nothing learns it. Made anew at each
        # call, since a strategy wants variables of its own scope.
        num_vectors, dim = table.shape
        self.layers = [ClassVectors(num_vectors, dim, keras.initializers.Constant(table))]
        self.layers[0].trainable = False

    def context(self, comparison: Comparison) -> dict[str, Any]:
        """The margin of each anchor to each reference as a negative, [B, M]."""
        if not self.layers:
            raise ValueError(
                "class_names or class_vectors must be known before the loss is used; give them to the constructor or "
                "to build()"
            )
        table = tf.convert_to_tensor(self.layers[0].vectors)
        vectors = rows_of_labels(table, comparison.labels)
        ref_vectors = vectors if comparison.ref_labels is None else rows_of_labels(table, comparison.ref_labels)
        normalizer = 4.0 - self.margin if self.normalizer is None else self.normalizer
        return {"margins": self.margin + squared_euclidean(vectors, ref_vectors) / normalizer}

    def values(self, comparison: Comparison) -> tf.Tensor:
        # Comparisons with NaN are false, so a row whose class nobody knows could look solved.
        values = nan_outside(super().values(comparison), comparison.labels, self.num_classes)
        if comparison.ref_labels is None:
            return values
        ref_distances = nan_outside(tf.transpose(comparison.distances), comparison.ref_labels, self.num_classes)
        return tf.where(tf.reduce_any(tf.math.is_nan(ref_distances), axis=0), float("nan"), values)

    def cost_of_tuples(self, distances: tf.Tensor, selection: Selection, margins: tf.Tensor) -> tf.Tensor:
        if isinstance(selection, Pairs):
            # A negative that must be farther by a margin is one that stands nearer by it.
            shifted = tf.where(selection.positive_weights > 0.0, distances, distances - margins)
            sums, active = sum_over_all_triplets(shifted, *selection, tf.nn.relu, margin=0.0)
            if self.average == "active":
                return share_mean(sums, tf.reduce_sum(active))
            return share_mean(sums, tf.reduce_sum(count_triplets(selection)))

        differences = at(distances, selection.positive) - at(distances, selection.negative)
        costs = tf.nn.relu(differences + at(margins, selection.negative))
        return mean_per_anchor(costs, selection.weights, self.average)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "margin": self.margin,
            "normalizer": self.normalizer,
            "class_vectors": self.class_vectors,
            "class_names": self.class_names,
            "name_dim": self.name_dim,
            "num_classes": self.num_classes,
            "average": self.average,
        }

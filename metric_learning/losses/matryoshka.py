"""Matryoshka loss: any loss on several prefixes of the embeddings at once."""

import math
from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class Matryoshka(EmbeddingLoss):
    """Asks of the first numbers of an embedding what a loss asks of all, so that it can be stored cut short.

        sum_m weight_m loss(labels, embeddings[:, :m] / |embeddings[:, :m]|)

    `evaluation.prefixes` says what the prefixes are worth. Kusupati et al., "Matryoshka Representation Learning",
    NeurIPS 2022, https://arxiv.org/abs/2205.13147.

    Args:
        loss: any loss of `metric_learning.losses`. Each prefix has a copy, with what it learns. Its own reduction is
            not used.
        prefixes: numbers of dimensions, from 1; or shares of all, above 0 and at most 1.0, rounded up.
        weights: of the prefixes, at least 0; None for 1 each, as in the paper.
        normalize: bring each prefix to length 1, as the whole embedding is; false for embeddings of any length.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`. References (`ref_embeddings=` and so on) are cut and normalized likewise.

    Raises:
        ValueError: another kind of loss, no prefixes or such that are neither whole nor a share, another number of
            weights or one below 0; in `call`, a prefix longer than the embeddings.

    Example:
        >>> from metric_learning.losses import Contrastive
        >>> contrastive = Contrastive(negative_margin=0.5, squared=False, distance="euclidean")
        >>> loss = Matryoshka(contrastive, prefixes=[1, 2], normalize=False)  # the positive pair is 3 and 5 apart
        >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [9.0, 0.0]]))  # of two anchors
        8.0
    """

    def __init__(
        self,
        loss: EmbeddingLoss,
        *,
        prefixes: Sequence[int | float] = (0.125, 0.25, 0.5, 1.0),
        weights: Sequence[float] | None = None,
        normalize: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if not isinstance(loss, EmbeddingLoss):
            raise ValueError(f"loss must be one of metric_learning.losses; got {loss!r}")
        if not prefixes:
            raise ValueError("prefixes must name at least one; got none")
        for prefix in prefixes:
            whole = isinstance(prefix, int) and not isinstance(prefix, bool) and prefix >= 1
            if not whole and not (isinstance(prefix, float) and 0 < prefix <= 1):
                raise ValueError(
                    f"prefixes must be numbers of dimensions, from 1, or shares in (0, 1.0]; got {prefix!r}"
                )
        if weights is not None and len(weights) != len(prefixes):
            raise ValueError(f"weights must be one for each of {len(prefixes)} prefixes; got {len(weights)}")
        for weight in weights or ():
            check_not_negative(weights=weight)
        super().__init__(reduction=reduction, name=name)
        self.loss, self.normalize = loss, normalize
        self.prefixes, self.weights = list(prefixes), None if weights is None else list(weights)
        self.takes_references, self.distance = loss.takes_references, loss.distance
        self._losses = [loss, *(_copy(loss) for _ in self.prefixes[1:])]
        self._collect_layers()

    def build(self, num_classes: int, embedding_dim: int, class_names: Sequence[str] | None = None) -> None:
        """Builds the loss of each prefix; see `EmbeddingLoss.build`."""
        for loss, prefix in zip(self._losses, self.prefixes, strict=True):
            loss.build(num_classes, self._width(prefix, embedding_dim), class_names)
        self._collect_layers()

    def _collect_layers(self):
        self.layers = [layer for loss in self._losses for layer in loss.layers]

    def _width(self, prefix, dim):
        width = math.ceil(prefix * dim) if isinstance(prefix, float) else prefix
        if width > dim:
            raise ValueError(f"prefixes must be at most the {dim} dimensions of the embeddings; got {prefix}")
        return width

    def call(self, labels: TensorLike, embeddings: TensorLike, **references: Any) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss; arguments as the loss takes them."""
        embeddings = as_embeddings(embeddings)
        refs = references.get("ref_embeddings")
        refs = None if refs is None else as_embeddings(refs)
        values = []
        for loss, prefix, weight in zip(
            self._losses, self.prefixes, self.weights or [1.0] * len(self.prefixes), strict=True
        ):
            width = self._width(prefix, embeddings.shape[1])
            cut = references if refs is None else references | {"ref_embeddings": self._cut(refs, width)}
            values.append(weight * loss.call(labels, self._cut(embeddings, width), **cut))
        return tf.add_n(values)

    def _cut(self, rows, width):
        return tf.math.l2_normalize(rows[:, :width], axis=1) if self.normalize else rows[:, :width]

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("loss", "prefixes", "weights", "normalize")}
        return super().get_config() | config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if isinstance(config["loss"], dict):
            config = config | {"loss": keras.saving.deserialize_keras_object(config["loss"])}
        return cls(**config)


def _copy(loss):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))

"""Hybrid loss: several losses at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.checks import check_not_negative
from metric_learning.distances import shared_distances
from metric_learning.losses.embedding_loss import EmbeddingLoss, as_embeddings
from metric_learning.steps import current_step
from metric_learning.types import TensorLike


@keras.saving.register_keras_serializable(package="metric_learning")
class Hybrid(EmbeddingLoss):
    """Asks for all that its parts ask for: the weighted sum of any losses, each with its own miner and distance.

        sum_i weight_i loss_i(labels, embeddings)

    Parts that measure by the same distance share one matrix, so a second loss costs little.

    Args:
        parts: a list of {"loss": loss, "weight": weight}. The weight, 1 if left out, is a number of at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule`, which is asked at every step; the learner says the step.
            The reductions of the parts are not used.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`. References (`ref_embeddings=` and so on) go to the parts that take them: not to those that
        compare with learned vectors, nor to those of views.

    Raises:
        ValueError: no parts, a part of other keys, a loss or weight of another kind, a weight below 0.

    Example:
        >>> from metric_learning.losses import Contrastive, Triplet
        >>> contrastive = {"loss": Contrastive(squared=False), "weight": 0.5}  # .5 * .625
        >>> triplet = {"loss": Triplet(margin=0.25, distance="euclidean")}  # (0 + 0) / 2
        >>> float(Hybrid([contrastive, triplet])([0, 0, 1], [[0.0], [0.5], [1.25]]))
        0.3125
    """

    def __init__(
        self,
        parts: Sequence[Mapping[str, Any]],
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.parts = [_checked(part) for part in parts]
        if not self.parts:
            raise ValueError("parts must name at least one loss; got none")
        self.takes_references = any(part["loss"].takes_references for part in self.parts)
        distances = {part["loss"].distance for part in self.parts} - {None}
        self.distance = distances.pop() if len(distances) == 1 else None
        self._collect_layers()

    def build(self, num_classes: int, embedding_dim: int, class_names: Sequence[str] | None = None) -> None:
        """Builds all parts; see `EmbeddingLoss.build`."""
        for part in self.parts:
            part["loss"].build(num_classes, embedding_dim, class_names)
        self._collect_layers()

    def _collect_layers(self):
        layers = [layer for part in self.parts for layer in part["loss"].layers]
        self.layers = list({id(layer): layer for layer in layers}.values())

    def call(self, labels: TensorLike, embeddings: TensorLike, **references: Any) -> tf.Tensor:
        """One value per anchor, [B] float32, whose mean is the loss; arguments as the parts take them."""
        embeddings = as_embeddings(embeddings)
        if references.get("ref_embeddings") is not None:
            references = references | {"ref_embeddings": as_embeddings(references["ref_embeddings"])}
        with shared_distances():
            values = [
                self._weight(part) * self._values(part["loss"], labels, embeddings, references) for part in self.parts
            ]
        return tf.add_n(values)

    def _values(self, loss, labels, embeddings, references):
        return loss.call(labels, embeddings, **(references if loss.takes_references else {}))

    def _weight(self, part):
        weight = part["weight"]
        return tf.cast(weight(current_step()), tf.float32) if callable(weight) else weight

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"parts": [dict(part) for part in self.parts]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Keras rebuilds the hybrid, but leaves what it holds in its saved form.
        parts = [
            {
                key: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
                for key, value in part.items()
            }
            for part in config["parts"]
        ]
        return cls(**config | {"parts": parts})


def _checked(part):
    """A part with its weight; raises ValueError for what is none."""
    if not isinstance(part, dict) or "loss" not in part or not set(part) <= {"loss", "weight"}:
        raise ValueError(f"a part must be a mapping of loss and weight; got {part!r}")
    loss, weight = part["loss"], part.get("weight", 1.0)
    if not isinstance(loss, EmbeddingLoss):
        raise ValueError(f"the loss of a part must be one of metric_learning.losses; got {loss!r}")
    if isinstance(weight, keras.optimizers.schedules.LearningRateSchedule):
        return {"loss": loss, "weight": weight}
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ValueError(f"weight must be a number or a Keras LearningRateSchedule; got {weight!r}")
    check_not_negative(weight=weight)
    return {"loss": loss, "weight": weight}

"""One miner early in training and another one later."""

import dataclasses
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.steps import current_step
from metric_learning.tuples import AnyMiner, Pairs, Quadruplets, Selection, all_pairs, to_pairs, to_quadruplets
from miners.draws import uniform
from miners.miner import Miner


@keras.saving.register_keras_serializable(package="miners")
@dataclasses.dataclass(frozen=True)
class Schedule(Miner):
    """`first` until step `begin`, `then` from step `end` on; in between, more and more anchors go over to `then`.

    At step t an anchor takes its tuples from `then` with the probability (t - begin) / (end - begin), drawn for each
    anchor and step, and else from `first`: one tuple never mixes the two. The same step draws the same. So a run may
    start with semi-hard triplets, which cannot collapse, and end with the hardest ones.

    Args:
        first: a miner, or None for all pairs. May be a Schedule.
        then: the same.
        begin: the last step, from 0, that belongs to `first` alone.
        end: the first step that belongs to `then` alone, at least `begin`; if they are equal, that step switches.

    Returns:
        What the two miners return, if that is of one kind; Triplets of one slot are padded to M where the others have
        M. Triplets beside Quadruplets are completed with a semi-hard second negative. Beside Pairs, tuples become
        pairs that count as often as the tuples have them. Both miners work at each step.

    Raises:
        ValueError: begin below 0, or end before it.
        RuntimeError: the training step is not known; see `metric_learning.steps`.
    """

    first: AnyMiner | None
    then: AnyMiner | None
    begin: int
    end: int

    def __post_init__(self):
        for name in ("first", "then"):
            miner = getattr(self, name)
            if isinstance(miner, type) or (miner is not None and not callable(miner)):
                raise ValueError(f"{name} must be a miner, such as BatchHard(), or None for all pairs; got {miner!r}")
        if not 0 <= self.begin <= self.end:
            raise ValueError(f"expected 0 <= begin <= end; got begin={self.begin}, end={self.end}")

    def __call__(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> Selection:
        problem = tf.stop_gradient(distances), positive_mask, negative_mask
        first, then = (
            all_pairs(*problem[1:]) if miner is None else miner(*problem) for miner in (self.first, self.then)
        )
        first, then = _as_one_kind(first, then, *problem[::2])
        goes_over = self.goes_over(tf.shape(distances)[0])[:, None]
        return type(first)(*(tf.where(goes_over, late, early) for early, late in zip(first, then, strict=True)))

    def share(self) -> tf.Tensor:
        """The probability that an anchor takes its tuples from `then` at the current step: a float32 scalar."""
        step = current_step()
        if self.begin == self.end:
            return tf.cast(step >= self.end, tf.float32)
        done = tf.cast(step - self.begin, tf.float32) / float(self.end - self.begin)
        return tf.clip_by_value(done, 0.0, 1.0)

    def goes_over(self, num_anchors: int | tf.Tensor) -> tf.Tensor:
        """Which anchors take their tuples from `then` at the current step: [B] boolean."""
        return uniform([num_anchors], current_step()) < self.share()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Keras rebuilds the schedule, but leaves the miners that it holds in their saved form.
        miners = {name: config[name] for name in ("first", "then") if isinstance(config[name], dict)}
        return cls(**config | {name: keras.saving.deserialize_keras_object(miner) for name, miner in miners.items()})


def _as_one_kind(first, then, distances, negative_mask):
    """Both selections as Pairs, Triplets or Quadruplets of the same number of slots."""
    if Pairs in (type(first), type(then)):
        return tuple(to_pairs(selection, tf.shape(distances)[1]) for selection in (first, then))
    if Quadruplets in (type(first), type(then)):
        first, then = (to_quadruplets(selection, distances, negative_mask, "semi_hard") for selection in (first, then))
    if first.weights.shape[1] != then.weights.shape[1]:
        first, then = (_padded(selection, distances) for selection in (first, then))
    return first, then


def _padded(selection, distances):
    """A selection of one slot with M - 1 slots of weight 0 behind it."""
    if selection.weights.shape[1] == 1:
        behind = tf.zeros_like(distances[:, 1:])
        return type(selection)(*(tf.concat([field, tf.cast(behind, field.dtype)], axis=1) for field in selection))
    return selection

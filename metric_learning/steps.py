"""The training step, for settings that follow a schedule: the learner says it, schedules ask for it."""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from metric_learning.types import TensorLike

_STEP: contextvars.ContextVar[TensorLike | None] = contextvars.ContextVar("step", default=None)


@contextlib.contextmanager
def at_step(step: TensorLike) -> Iterator[None]:
    """Says that what happens inside belongs to this step.

    Args:
        step: a whole number from 0, or an integer variable such as `optimizer.iterations`, which a graph reads anew
            each time it runs.
    """
    token = _STEP.set(step)
    try:
        yield
    finally:
        _STEP.reset(token)


def current_step() -> tf.Tensor:
    """The step as an int64 scalar.

    Raises:
        RuntimeError: nobody has said it, so that a schedule would stand still unnoticed.
    """
    step = _STEP.get()
    if step is None:
        raise RuntimeError(
            "a scheduled setting needs to know the training step: train with the Learner, which says it, "
            "or call the loss inside `with metric_learning.steps.at_step(step)`"
        )
    return tf.cast(tf.convert_to_tensor(step), tf.int64)

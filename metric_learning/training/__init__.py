"""Training: the learner, the loop that drives it, and the checkpoints it can be killed between."""

from metric_learning.training.devices import is_chief, mirrored, multi_worker, start_afresh
from metric_learning.training.learner import Learner
from metric_learning.training.loop import Loop, NonFiniteLossError, restore_best
from metric_learning.training.schedule import warmup_cosine

__all__ = [
    "Learner",
    "Loop",
    "NonFiniteLossError",
    "is_chief",
    "mirrored",
    "multi_worker",
    "restore_best",
    "start_afresh",
    "warmup_cosine",
]

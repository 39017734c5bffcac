"""The training loop: blocks of steps inside `tf.function`, for one device, several, or several machines."""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from metric_learning.data.batches import BatchPlan
from metric_learning.data.split import Split
from metric_learning.run_folder import LAST
from metric_learning.training import checkpoints
from metric_learning.training.blocks import compile_block
from metric_learning.training.history import write_history
from metric_learning.training.learner import Learner
from metric_learning.training.thaw import freeze_backbone
from metric_learning.types import Augmentation

BEST = pathlib.PurePath("checkpoints", "best.npz")


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; the message names the step."""


@dataclasses.dataclass
class Progress:
    """Where a run stands; all of it is in the checkpoint.

    Attributes:
        step: optimizer steps done.
        best_step: step of the best validation score, which `best_score` is.
        history: one row per block of steps: step, the means train/*, and after a validation its scores.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = float("-inf")
    history: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Loop:
    """Trains a learner and keeps the best of it.

    Args:
        steps: optimizer steps in all.
        validate_every: steps between validations, each followed by a checkpoint.
        objective: the validation score that decides which checkpoint is the best; the higher the better.
        patience: stop after so many validations in a row without a new best; None trains to the end.
        thaw_at: the step from which the backbone of the encoder trains, as far as it is to; before, the rest does.
            None: from the start.
        steps_per_block: steps between two looks at the loss; the Python side works once per block.

    Raises:
        ValueError: a number below 1.
    """

    steps: int
    validate_every: int = 100
    objective: str = "validation/map@r"
    patience: int | None = None
    thaw_at: int | None = None
    steps_per_block: int = 20

    def __post_init__(self):
        for name in ("steps", "validate_every", "steps_per_block", "patience", "thaw_at"):
            value = getattr(self, name)
            if name in ("patience", "thaw_at") and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")

    def run(
        self,
        learner: Learner,
        split: Split,
        plan: BatchPlan,
        *,
        folder: str | pathlib.Path,
        validate: Callable[[], dict[str, float]],
        augment: Augmentation | None = None,
        jit_compile: bool = False,
        resume: bool = False,
        save: bool = True,
        on_row: Callable[[dict[str, Any]], None] | None = None,
    ) -> Progress:
        """Trains to the end; the best weights are then in `folder`, see `restore_best`.

        Where nothing of the learner trains it takes no step.

        Args:
            learner: compiled `Learner`, built in the scope of its strategy, under which it trains.
            split: training data with `inputs` [n, ...] and `labels`, [n] or [n, C] as losses take them. Inputs that are
                not in memory are read while the steps before are computed.
            plan: `BatchPlan` over the same items.
            folder: of the run; gets history.csv and checkpoints/.
            validate: called without arguments, returns a dict of scores, the objective among them.
            augment: `augment(inputs, randoms)`, with `augment.num_randoms` uniform numbers an item; None for none.
            jit_compile: compile the step with XLA. On a CPU it pays for embedding tables, not for convolutions. Under
                a `tf.distribute` strategy it is left out: replicas meet in the middle of a step.
            resume: go on from the last checkpoint in `folder`, with the batches the run would have had.
            save: write checkpoints and history; of several workers one does.
            on_row: called with each new row of the history.

        Returns:
            Progress.

        Raises:
            NonFiniteLossError: the loss of a step, or a weight, is not finite. The last checkpoint is of a step before.
            ValueError: resuming without a fitting checkpoint; an objective that `validate` does not give; replicas
                that cannot share the batch evenly; a step that XLA is to compile and cannot.
        """
        folder = pathlib.Path(folder)
        with learner.distribute_strategy.scope():
            learner.optimizer.build(learner.trainable_variables)
        state = [*learner.variables, *learner.optimizer.variables]
        last, best = folder / LAST, folder / BEST
        thaw = None if self.thaw_at is None else freeze_backbone(learner)
        if resume:
            checkpoints.read(best)  # at once, and not when all is trained
            progress = Progress(**checkpoints.restore(last, state)["progress"])
        else:
            progress = Progress()
        if thaw is not None and self.thaw_at is not None and progress.step >= self.thaw_at:
            thaw = thaw()
        block = compile_block(learner, split, plan, augment, jit_compile)
        if save and not resume:
            # From here on there is something to resume, and something to restore if no step is ever the best.
            checkpoints.save(best, learner.variables, {"step": 0})
            checkpoints.save(last, state, {"progress": dataclasses.asdict(progress)})

        # An encoder may be there to be judged alone.
        steps = self.steps if learner.trainable_variables else 0
        if not steps:
            print("nothing trains: the encoder is judged as it is", file=sys.stderr)
        bar = tqdm(
            disable=not steps,
            total=self.steps,
            initial=progress.step,
            unit="step",
            desc="train",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 10.0,
        )
        with bar:
            while progress.step < steps and not self._out_of_patience(progress):
                if thaw is not None and progress.step == self.thaw_at:
                    thaw = thaw()
                    block = compile_block(learner, split, plan, augment, jit_compile)
                row = self._train_block(block, plan, progress)
                bar.set_postfix_str(
                    f"loss {row['train/loss']:.4f}, active {row['train/active_fraction']:.2f}, "
                    f"{row['train/items_per_second']:,.0f} items/s",
                    refresh=False,
                )
                bar.update(progress.step - bar.n)
                row["learning_rate"] = float(tf.convert_to_tensor(learner.optimizer.learning_rate))
                progress.history.append(row)
                if progress.step == self.steps or progress.step % self.validate_every == 0:
                    _check_weights(learner, progress.step)
                    with learner.averaged():
                        row |= self._validate(validate, progress)
                        if save and progress.best_step == progress.step:
                            # Before the other checkpoint: killed in between, the resumed run writes this one again.
                            checkpoints.save(best, learner.variables, {"step": progress.step})
                    if save:
                        checkpoints.save(last, state, {"progress": dataclasses.asdict(progress)})
                        write_history(folder / "history.csv", progress.history)
                    bar.write(_describe(row, self.objective, progress), file=sys.stderr)
                if on_row is not None:
                    on_row(row)
        return progress

    def _train_block(self, block, plan, progress):
        """Some steps, up to the next validation at most; returns their row of the history."""
        until_validation = self.validate_every - progress.step % self.validate_every
        num_steps = min(self.steps_per_block, until_validation, self.steps - progress.step)
        if self.thaw_at is not None and progress.step < self.thaw_at:
            num_steps = min(num_steps, self.thaw_at - progress.step)
        start = time.perf_counter()
        losses, active_fractions = block(plan.block(progress.step, num_steps), progress.step)
        seconds = time.perf_counter() - start
        finite = np.isfinite(losses)
        if not finite.all():
            broken = int(np.argmin(finite))
            raise NonFiniteLossError(
                f"the loss of step {progress.step + broken + 1} is {losses[broken]}; "
                "try a lower learning rate, or optimizer.clipnorm=1"
            )
        progress.step += num_steps
        return {
            "step": progress.step,
            "train/loss": float(losses.mean()),
            "train/active_fraction": float(active_fractions.mean()),
            "train/items_per_second": num_steps * plan.batch_size / seconds,
        }

    def _validate(self, validate, progress):
        """The scores, after noting in `progress` whether they are the best."""
        scores = validate()
        if self.objective not in scores:
            raise ValueError(f"objective must be one of {', '.join(scores)}; got {self.objective!r}")
        if scores[self.objective] > progress.best_score:
            progress.best_step, progress.best_score = progress.step, scores[self.objective]
        return scores

    def _out_of_patience(self, progress):
        validated = [row["step"] for row in progress.history if self.objective in row]
        since_best = sum(step > progress.best_step for step in validated)
        return self.patience is not None and since_best >= self.patience


def _check_weights(learner, step):
    """Raises NonFiniteLossError if the last update broke a weight, which the loss would show a step later only."""
    for variable in learner.trainable_variables:
        if not np.isfinite(variable.numpy()).all():
            raise NonFiniteLossError(f"{variable.path} is not finite after step {step}; try a lower learning rate")


def restore_best(folder: str | pathlib.Path, learner: Learner) -> int:
    """Assigns the weights of the best validation of the run in `folder`, and returns their step.

    Raises:
        ValueError: no such checkpoint, or another model.
    """
    return checkpoints.restore(pathlib.Path(folder) / BEST, learner.variables)["step"]


def _describe(row, objective, progress):
    best = ", the best so far" if progress.best_step == row["step"] else ""
    return f"step {row['step']:>5}  loss {row['train/loss']:.4f}  {objective} {row[objective]:.4f}{best}"

"""The training loop: blocks of steps inside `tf.function`, for one device, several, or several machines."""

import csv
import dataclasses
import pathlib
import sys
import time

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from metric_learning import xla
from metric_learning.training import checkpoints

LAST = pathlib.PurePath("checkpoints", "last.npz")
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
        steps_per_block: steps between two looks at the loss; the Python side works once per block.

    Raises:
        ValueError: a number below 1.
    """

    steps: int
    validate_every: int = 100
    objective: str = "validation/map@r"
    patience: int | None = None
    steps_per_block: int = 20

    def __post_init__(self):
        for name in ("steps", "validate_every", "steps_per_block", "patience"):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")

    def run(
        self,
        learner,
        split,
        plan,
        *,
        folder,
        validate,
        augment=None,
        jit_compile=False,
        resume=False,
        save=True,
        on_row=None,
    ):
        """Trains to the end; the best weights are then in `folder`, see `restore_best`.

        Where nothing of the learner trains it takes no step.

        Args:
            learner: compiled `Learner`, built in the scope of its strategy, under which it trains.
            split: training data with arrays `inputs` [n, ...] and `labels` [n].
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
        block = compile_block(learner, split, plan, augment, jit_compile)
        if resume:
            checkpoints.read(best)  # at once, and not when all is trained
            progress = Progress(**checkpoints.restore(last, state)["progress"])
        else:
            progress = Progress()
        if save and not resume:
            # From here on there is something to resume, and something to restore if no step is ever the best.
            checkpoints.save(best, learner.variables, {"step": 0})
            checkpoints.save(last, state, {"progress": dataclasses.asdict(progress)})

        bar = tqdm(
            total=self.steps,
            initial=progress.step,
            unit="step",
            desc="train",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 10.0,
        )
        # An encoder may be there to be judged alone.
        steps = self.steps if learner.trainable_variables else 0
        with bar:
            while progress.step < steps and not self._out_of_patience(progress):
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


def restore_best(folder, learner):
    """Assigns the weights of the best validation of the run in `folder`, and returns their step.

    Raises:
        ValueError: no such checkpoint, or another model.
    """
    return checkpoints.restore(pathlib.Path(folder) / BEST, learner.variables)["step"]


def write_history(path, rows):
    """Writes the rows as CSV, blank where one has no such key; in one move, so that nobody reads half a file."""
    path = pathlib.Path(path)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def _describe(row, objective, progress):
    best = ", the best so far" if progress.best_step == row["step"] else ""
    return f"step {row['step']:>5}  loss {row['train/loss']:.4f}  {objective} {row[objective]:.4f}{best}"


def compile_block(learner, split, plan, augment=None, jit_compile=False):
    """Compiles `block(indices [S, B], first_step) -> losses [S], active fractions [S]`, NumPy in and out.

    Args:
        learner, split, plan, augment, jit_compile: as in `Loop.run`.

    Raises:
        ValueError: replicas that cannot share the batch evenly; with jit_compile, a step that XLA cannot compile.
    """
    strategy = learner.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    if plan.batch_size % replicas:
        raise ValueError(
            f"batch.classes x batch.samples must be a multiple of the {replicas} replicas; got {plan.batch_size}"
        )
    # In host memory, however large: only a batch at a time goes to an accelerator.
    with tf.device("CPU:0"):
        # Classes are numbered from 0 without gaps, as losses that learn a vector per class need them.
        all_inputs, all_labels = tf.constant(split.inputs), tf.constant(np.unique(split.labels, return_inverse=True)[1])

    def update(inputs, labels, randoms):
        if augment is not None:
            inputs = augment(inputs, randoms)
        return learner.update(inputs, labels)

    with strategy.scope():
        replicas_meet = tf.distribute.has_strategy()
    if jit_compile and not replicas_meet:
        update = tf.function(update, jit_compile=True, autograph=False)
        xla.check_compiles(
            update,
            tf.TensorSpec([plan.batch_size, *all_inputs.shape[1:]], all_inputs.dtype),
            tf.TensorSpec([plan.batch_size, *all_labels.shape[1:]], all_labels.dtype),
            tf.TensorSpec([plan.batch_size, 0 if augment is None else augment.num_randoms], tf.float32),
        )

    @tf.autograph.experimental.do_not_convert
    def replica_step(indices, step):
        # Drawn for the whole batch, so that an item gets the same numbers however many replicas there are.
        num_randoms = 0 if augment is None else augment.num_randoms
        randoms = tf.random.stateless_uniform([plan.batch_size, num_randoms], [plan.seed, step], alg="philox")
        own = plan.batch_size // replicas
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * own
        with tf.device("CPU:0"):
            rows = indices[first : first + own]
            inputs, labels = tf.gather(all_inputs, rows), tf.gather(all_labels, rows)
        return update(inputs, labels, randoms[first : first + own])

    @tf.function(
        input_signature=[tf.TensorSpec([None, plan.batch_size], tf.int64), tf.TensorSpec([], tf.int32)],
    )
    def block(indices, first_step):
        num_steps = tf.shape(indices)[0]
        losses = tf.TensorArray(tf.float32, num_steps, element_shape=[])
        active_fractions = tf.TensorArray(tf.float32, num_steps, element_shape=[])
        for i in tf.range(num_steps):
            results = strategy.run(replica_step, args=(indices[i], first_step + i))
            # Every replica has the loss of the whole batch, so one of them tells it all.
            loss, active_fraction = (strategy.experimental_local_results(result)[0] for result in results)
            losses = losses.write(i, loss)
            active_fractions = active_fractions.write(i, active_fraction)
        return losses.stack(), active_fractions.stack()

    return lambda indices, first_step: [
        result.numpy() for result in block(tf.constant(indices, tf.int64), tf.constant(first_step, tf.int32))
    ]

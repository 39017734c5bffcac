"""The loop learns, keeps the best, stops on a loss that is no number, and resumes as if never stopped."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning import encoders, losses
from metric_learning.data import BatchPlan, Split
from metric_learning.training import Learner, Loop, NonFiniteLossError, restore_best, warmup_cosine
from metric_learning.training.loop import compile_block

CLASSES = 6


@pytest.fixture
def split():
    """Six easy classes of ten images each: a class is a color."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(CLASSES) + 2**24, 10))
    colors = rng.integers(0, 256, (CLASSES, 1, 1, 3))
    images = colors[labels - 2**24] + rng.integers(-20, 20, (60, 8, 8, 3))
    return Split(images.clip(0, 255).astype(np.uint8), labels, ("",) * 60)


def new_learner(loss=None, optimizer=None, dropout=0.3, seed=0):
    keras.utils.set_random_seed(seed)
    encoder = encoders.cnn((8, 8, 3), widths=(4,), embedding_dim=4, dropout=dropout)
    learner = Learner(encoder, loss or losses.Triplet(distance="cosine", miner=miners.SemiHard()))
    learner.compile(optimizer or keras.optimizers.Adam(warmup_cosine(0.01, 12, 2)))
    return learner


def plan_of(split):
    return BatchPlan(split.labels, classes=4, samples=3, seed=0)


class Jitter:
    """The least augmentation: as many gray levels darker as the random number says."""

    num_randoms = 1

    def __call__(self, images, randoms):
        return tf.cast(images, tf.float32) - 20.0 * randoms[:, :, None, None]


def run(split, folder, learner, *, steps=12, scores=None, **options):
    """Trains; the scores of the validations are given, so that the best is known."""
    scores = iter(np.linspace(0.1, 0.9, 99) if scores is None else scores)
    loop = Loop(steps, validate_every=4, steps_per_block=3, patience=options.pop("patience", None))
    return loop.run(
        learner,
        split,
        plan_of(split),
        folder=folder,
        validate=lambda: {"validation/map@r": float(next(scores))},
        augment=Jitter(),
        **options,
    )


def test_loop_learns_an_easy_set(split, tmp_path):
    learner = new_learner(optimizer=keras.optimizers.Adam(0.01))
    rows = []
    run(split, tmp_path, learner, steps=40, on_row=rows.append)
    assert rows[-1]["train/loss"] < 0.5 * rows[0]["train/loss"]
    assert rows[-1]["train/active_fraction"] < rows[0]["train/active_fraction"]


def test_history_is_a_table_of_one_row_a_block(split, tmp_path):
    progress = run(split, tmp_path, new_learner())
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [3, 4, 7, 8, 11, 12]
    assert [row["validation/map@r"] != "" for row in rows] == [False, True] * 3
    assert float(rows[1]["train/loss"]) == progress.history[1]["train/loss"]
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("stopped_at", [4, 8])
def test_resumed_run_equals_the_one_never_stopped_bit_for_bit(split, tmp_path, stopped_at):
    whole, scores = new_learner(), [0.7, 0.2, 0.3]
    progress = run(split, tmp_path / "whole", whole, scores=scores)

    class KilledError(Exception):
        pass

    def kill(row):
        if row["step"] == stopped_at:
            raise KilledError

    with pytest.raises(KilledError):
        run(split, tmp_path / "parts", new_learner(), on_row=kill, scores=scores)
    resumed = new_learner(seed=1)  # whatever it starts from
    resumed_progress = run(split, tmp_path / "parts", resumed, resume=True, scores=scores[stopped_at // 4 :])

    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    for one, other in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    for one, other in zip(progress.history, resumed_progress.history, strict=True):
        assert {**one, "train/items_per_second": 0} == {**other, "train/items_per_second": 0}
    for learner, name in ((whole, "whole"), (resumed, "parts")):
        assert restore_best(tmp_path / name, learner) == 4  # of before it was stopped
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_block_size_changes_nothing(split, tmp_path):
    learners = [new_learner(), new_learner()]
    for learner, steps_per_block in zip(learners, (1, 4), strict=True):
        Loop(8, validate_every=4, steps_per_block=steps_per_block).run(
            learner,
            split,
            plan_of(split),
            folder=tmp_path / str(steps_per_block),
            validate=lambda: {"validation/map@r": 0.0},
            augment=Jitter(),
        )
    for one, other in zip(*(learner.variables for learner in learners), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_step_draws_its_own_augmentation_and_the_same_again(split):
    learner = new_learner(losses.Contrastive(average="selected"), keras.optimizers.SGD(0.0), dropout=0.0)
    block = compile_block(learner, split, plan_of(split), Jitter())
    same_batch = np.repeat(plan_of(split).block(0, 1), 3, axis=0)
    values = np.concatenate([block(same_batch, first_step)[0] for first_step in (0, 3, 0)])
    assert len(np.unique(values[:6])) == 6
    np.testing.assert_array_equal(values[6:], values[:3])


def test_best_checkpoint_is_restored_not_the_last(split, tmp_path):
    learner = new_learner()
    seen = {}

    def keep(row):
        seen[row["step"]] = [variable.numpy() for variable in learner.encoder.variables]

    progress = run(split, tmp_path, learner, scores=[0.2, 0.7, 0.3], on_row=keep)
    assert (progress.best_step, progress.best_score) == (8, 0.7)
    assert restore_best(tmp_path, learner) == 8
    for variable, best in zip(learner.encoder.variables, seen[8], strict=True):
        np.testing.assert_array_equal(variable, best)
    assert any((best != last).any() for best, last in zip(seen[8], seen[12], strict=True))


def test_patience_stops_early(split, tmp_path):
    progress = run(split, tmp_path, new_learner(), steps=40, scores=[0.5, 0.6, 0.6, 0.5, 0.9], patience=2)
    assert (progress.step, progress.best_step) == (16, 8)


def test_loss_that_is_no_number_stops_the_run_and_names_the_step(split, tmp_path):
    class Breaks(losses.Triplet):
        """Not a number once the encoder has been updated five times."""

        def per_anchor(self, distances, *masks):
            bad = tf.where(tf.equal(learner.optimizer.iterations, 5), float("nan"), 0.0)
            return super().per_anchor(distances, *masks) + bad

    learner = new_learner(Breaks(distance="cosine"))
    with pytest.raises(NonFiniteLossError, match="the loss of step 6 is nan"):
        run(split, tmp_path, learner)
    with np.load(tmp_path / "checkpoints" / "last.npz") as file:
        assert json.loads(file["meta"].item())["progress"]["step"] == 4


def test_weights_that_the_last_step_broke_are_named_and_not_kept(split, tmp_path):
    learner = new_learner(optimizer=keras.optimizers.SGD(float("inf")))
    with pytest.raises(NonFiniteLossError, match="is not finite after step 1; try a lower learning rate"):
        run(split, tmp_path, learner, steps=1)
    with np.load(tmp_path / "checkpoints" / "last.npz") as file:
        assert json.loads(file["meta"].item())["progress"]["step"] == 0


def test_unknown_objective_is_named(split, tmp_path):
    loop = Loop(4, validate_every=4, objective="validation/recal@1")
    with pytest.raises(ValueError, match="objective must be one of validation/map@r; got 'validation/recal@1'"):
        loop.run(new_learner(), split, plan_of(split), folder=tmp_path, validate=lambda: {"validation/map@r": 0.0})


@pytest.mark.parametrize("name", ["steps", "validate_every", "steps_per_block", "patience"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1; got 0"):
        Loop(**{"steps": 1} | {name: 0})


def test_step_is_traced_once_whatever_the_length_of_the_blocks(split, tmp_path):
    traces = []

    class Counts(losses.Triplet):
        def per_anchor(self, *arguments):
            traces.append(1)
            return super().per_anchor(*arguments)

    run(split, tmp_path, new_learner(Counts(distance="cosine")), steps=11)
    assert len(traces) == 1

"""A backbone that thaws at a step, and averages of the weights: what is trained, judged, saved, and resumed."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from metric_learning import encoders, losses, optimizers
from metric_learning.data import BatchPlan, Split
from metric_learning.encoders import backbone_of
from metric_learning.training import Learner, Loop, restore_best, warmup_cosine

pytestmark = pytest.mark.slow  # together they take a minute or so

CLASSES = 6


@pytest.fixture
def split():
    """Six easy classes of ten images each: a class is a color."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), 10))
    colors = rng.integers(0, 256, (CLASSES, 1, 1, 3))
    images = colors[labels] + rng.integers(-20, 20, (60, 8, 8, 3))
    return Split(images.clip(0, 255).astype(np.uint8), labels, ("",) * 60)


@pytest.fixture
def new_learner(tmp_path):
    """`new_learner(**options)`: a backbone with a norm and a dropout, a head, and proxies."""

    def make(ema=None, seed=0, loss=None, **options):
        keras.utils.set_random_seed(0)
        images = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, strides=2)(images)
        x = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization(momentum=0.8)(x))
        keras.Model(images, keras.layers.Conv2D(4, 3)(x)).save(tmp_path / "backbone.keras")
        keras.utils.set_random_seed(seed)
        options = {"train": "all", "train_norms": True, "dropout": 0.2, "embedding_dim": 4} | options
        encoder = encoders.pretrained((8, 8, 3), backbone=tmp_path / "backbone.keras", **options)
        learner = Learner(encoder, loss or losses.NormalizedSoftmax(num_classes=6, embedding_dim=4), ema=ema)
        learner.compile(optimizers.AdamW(warmup_cosine(0.01, 12, 2), weight_decay=0.1, rates={"backbone": 0.5}))
        return learner

    return make


def run(split, folder, learner, *, thaw_at=None, scores=None, validate=None, steps_per_block=3, **options):
    scores = iter(np.linspace(0.1, 0.9, 9) if scores is None else scores)
    loop = Loop(12, validate_every=4, steps_per_block=steps_per_block, thaw_at=thaw_at)
    plan = BatchPlan(split.labels, classes=4, samples=3, seed=0)
    validate = validate or (lambda: {"validation/map@r": float(next(scores))})
    return loop.run(learner, split, plan, folder=folder, validate=validate, **options)


def values(variables):
    return [np.array(variable) for variable in variables]


def test_backbone_stands_still_until_its_step_and_moves_from_there(split, tmp_path, new_learner):
    learner, seen = new_learner(), {}
    backbone = backbone_of(learner.encoder)
    start = values(backbone.variables), values(learner.encoder.get_layer("embedding").variables)

    def look(row):
        seen[row["step"]] = values(backbone.variables), values(learner.encoder.get_layer("embedding").variables)

    run(split, tmp_path / "run", learner, thaw_at=6, on_row=look)
    # Blocks of three end at the validations and at the thaw.
    assert list(seen) == [3, 4, 6, 8, 11, 12]
    for step, (of_backbone, of_head) in seen.items():
        moved = [(one != other).any() for one, other in zip(of_backbone, start[0], strict=True)]
        floats = [np.issubdtype(one.dtype, np.floating) for one in of_backbone]
        assert [move for move, is_float in zip(moved, floats, strict=True) if is_float] == [step > 6] * sum(floats)
        assert all((one != other).any() for one, other in zip(of_head, start[1], strict=True))


@pytest.mark.parametrize("stopped_at", [4, 8])
def test_resumed_run_equals_the_one_never_stopped_bit_for_bit(split, tmp_path, new_learner, stopped_at):
    whole = new_learner(ema=0.9)
    run(split, tmp_path / "whole", whole, thaw_at=6)

    class KilledError(Exception):
        pass

    def kill(row):
        if row["step"] == stopped_at:
            raise KilledError

    with pytest.raises(KilledError):
        run(split, tmp_path / "parts", new_learner(ema=0.9), thaw_at=6, on_row=kill)
    resumed = new_learner(ema=0.9, seed=1)
    scores = np.linspace(0.1, 0.9, 9)[stopped_at // 4 :]
    run(split, tmp_path / "parts", resumed, thaw_at=6, resume=True, scores=scores)
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    for one, other in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    for learner, name in ((whole, "whole"), (resumed, "parts")):
        assert restore_best(tmp_path / name, learner) == 12
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def floats(variables):
    return [value for value in values(variables) if np.issubdtype(value.dtype, np.floating)]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_average_is_judged_and_saved_and_training_goes_on_from_the_weights(split, tmp_path, new_learner, jit_compile):
    plain, steps = new_learner(), []
    run(
        split,
        tmp_path / "plain",
        plain,
        steps_per_block=1,
        jit_compile=jit_compile,
        on_row=lambda row: steps.append(floats(plain.encoder.variables)),
    )
    expected, averages = floats(new_learner().encoder.variables), {}
    for step, weights in enumerate(steps, start=1):
        momentum = min(0.5, (1 + step) / (10 + step))
        expected = [
            momentum * average.astype(np.float64) + (1 - momentum) * weight
            for average, weight in zip(expected, weights, strict=True)
        ]
        averages[step] = expected

    learner, judged = new_learner(ema=0.5), []

    def validate():
        judged.append(floats(learner.encoder.variables))
        return {"validation/map@r": [0.1, 0.7, 0.2][len(judged) - 1]}

    run(split, tmp_path / "run", learner, validate=validate, jit_compile=jit_compile)
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    for step, found in zip((4, 8, 12), judged, strict=True):
        for one, other in zip(found, averages[step], strict=True):
            np.testing.assert_allclose(one, other, **tolerance)
    for one, other in zip(floats(learner.encoder.variables), steps[-1], strict=True):
        np.testing.assert_allclose(one, other, **tolerance)
    assert restore_best(tmp_path / "run", learner) == 8
    for one, other in zip(floats(learner.encoder.variables), judged[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_saved_learner_keeps_its_average(tmp_path, new_learner, split):
    learner = new_learner(ema=0.5)
    learner.fit(split.inputs, split.labels, batch_size=20, verbose=0)
    learner.save(tmp_path / "learner.keras")
    again = keras.models.load_model(tmp_path / "learner.keras")
    for one, other in zip(learner.average.averages, again.average.averages, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.average.momentum == 0.5
    assert any(
        (np.array(one) != other).any()
        for one, other in zip(again.average.averages, floats(learner.encoder.variables), strict=True)
    )


@pytest.mark.parametrize("ema", [0.0, 1.0, -0.5])
def test_momentum_out_of_range_is_refused(new_learner, ema):
    with pytest.raises(ValueError, match="ema must be above 0 and below 1"):
        new_learner(ema=ema)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "head"}, "thaw_at needs an encoder with a backbone of which something trains"),
        ({"embedding_dim": None, "loss": losses.Triplet(distance="cosine")}, "thaw_at needs a head that trains before"),
    ],
)
def test_thaw_without_anything_to_thaw_or_to_train_before_is_refused(split, tmp_path, new_learner, options, message):
    learner = new_learner(**options)
    learner.compile(keras.optimizers.Adam(0.01))
    with pytest.raises(ValueError, match=message):
        run(split, tmp_path / "run", learner, thaw_at=6)


REPLICAS = """
    import sys
    import keras, numpy as np, tensorflow as tf
    from metric_learning import encoders, losses, optimizers
    from metric_learning.data import BatchPlan, Split
    from metric_learning.training import Learner, Loop

    folder, count = sys.argv[1], int(sys.argv[2])
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if count == 2 else tf.distribute.get_strategy()
    keras.utils.set_random_seed(0)
    labels = np.repeat(np.arange(8), 6)
    images = (20 * labels[:, None, None, None] + np.random.randint(0, 60, (48, 8, 8, 3))).astype(np.uint8)
    with strategy.scope():
        encoder = encoders.pretrained((8, 8, 3), backbone=folder + "/small.keras", train="all", embedding_dim=4)
        learner = Learner(encoder, losses.NormalizedSoftmax(num_classes=8, embedding_dim=4), ema=0.5)
        learner.compile(optimizers.SGD(0.01, momentum=0.9, weight_decay=0.1, rates={"backbone": 0.5, "proxies": 2}))
    Loop(6, validate_every=3, thaw_at=2).run(
        learner, Split(images, labels, ("",) * 48), BatchPlan(labels, classes=4, samples=3), folder=folder,
        validate=lambda: {"validation/map@r": 0.0},
    )
    values = [np.asarray(variable) for variable in learner.variables if "float" in variable.dtype]
    np.savez(folder + f"/{count}.npz", *values)
"""


@pytest.mark.slow
def test_replicas_thaw_average_and_move_parts_as_one_device(tmp_path):
    images = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(images))
    keras.Model(images, keras.layers.Conv2D(4, 3)(x)).save(tmp_path / "small.keras")
    for count in ("1", "2"):
        command = [sys.executable, "-c", textwrap.dedent(REPLICAS), str(tmp_path), count]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = (np.load(tmp_path / f"{count}.npz") for count in (1, 2))
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-6, err_msg=name)

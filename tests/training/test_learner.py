"""The learner works with Keras' own fit, trains and saves what the loss learns, and is one learner on many replicas."""

import contextlib
import os
import socket
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning import encoders, losses
from metric_learning.training import Learner, warmup_cosine

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
LABELS = np.repeat(np.arange(8) + 2**24, 3)  # float32 would merge neighbors


class ScaledTriplet(losses.Triplet):
    """A triplet loss that learns a factor of its distances: the least that a loss can learn."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor = Factor()
        self.layers.append(self.factor)

    def per_anchor(self, distances, *masks):
        return super().per_anchor(self.factor(distances), *masks)


class Factor(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, distances):
        return distances * self.factor


@pytest.fixture
def new_learner():
    def new(loss=None, **options):
        keras.utils.set_random_seed(0)
        learner = Learner(
            encoders.cnn((8, 8, 3), widths=(4,), embedding_dim=4), loss or losses.Triplet(miner=miners.SemiHard())
        )
        learner.compile(keras.optimizers.SGD(0.05), **options)
        return learner

    return new


def test_fit_lowers_the_loss_and_reports_the_active_fraction(new_learner):
    history = new_learner().fit(IMAGES, LABELS, batch_size=24, epochs=30, shuffle=False, verbose=0).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert 0 < history["active_fraction"][0] <= 1


def test_fit_gives_the_loss_of_the_labels_not_of_their_float32(new_learner):
    learner = new_learner()
    expected = float(learner.embedding_loss(LABELS, learner.encoder(IMAGES, training=True)))
    merged = LABELS.astype(np.float32).astype(np.int64)
    merged = float(learner.embedding_loss(merged, learner.encoder(IMAGES, training=True)))
    loss = learner.fit(IMAGES, LABELS, batch_size=24, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected, rel=1e-5) and abs(merged - expected) > 1e-3


def test_fit_and_evaluate_weigh_the_anchors(new_learner):
    weights = np.linspace(0.0, 3.0, 24).astype(np.float32)
    learner = new_learner(losses.Contrastive(average="selected"))
    for training, found in (
        (False, learner.evaluate(IMAGES, LABELS, batch_size=24, sample_weight=weights, verbose=0)[0]),
        (True, learner.fit(IMAGES, LABELS, sample_weight=weights, batch_size=24, verbose=0).history["loss"][0]),
    ):
        embeddings = new_learner().encoder(IMAGES, training=training)
        expected, unweighted = (
            learner.embedding_loss(LABELS, embeddings, weights),
            learner.embedding_loss(LABELS, embeddings),
        )
        assert found == pytest.approx(float(expected), rel=1e-5) and abs(expected - unweighted) > 1e-2


def test_evaluate_and_callbacks_work(new_learner):
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    learner = new_learner()
    history = learner.fit(IMAGES, LABELS, batch_size=24, epochs=9, verbose=0, callbacks=[stop]).history
    assert len(history["loss"]) == 2
    assert set(learner.evaluate(IMAGES, LABELS, batch_size=24, verbose=0, return_dict=True)) == {
        "loss",
        "active_fraction",
    }


def test_what_the_loss_learns_is_trained(new_learner):
    learner = new_learner(ScaledTriplet())
    learner.fit(IMAGES, LABELS, batch_size=24, epochs=2, verbose=0)
    assert float(learner.embedding_loss.factor.factor) != 1.0
    assert any(variable is learner.embedding_loss.factor.factor for variable in learner.variables)


def test_a_loss_that_is_built_too_late_is_not_left_untrained(new_learner):
    learner = new_learner(losses.ArcFace())
    learner.embedding_loss.build(12, 4)
    with pytest.raises(ValueError, match="the loss was built after the Learner was made"):
        learner.fit(IMAGES, LABELS, batch_size=24, epochs=1, verbose=0)


def test_penalties_are_added(new_learner):
    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(tf.constant(3.0))
            return x

    encoder = keras.Sequential([keras.layers.Flatten(), Penalty(), keras.layers.Dense(4)])
    learner = Learner(encoder, losses.Contrastive())
    learner.compile("sgd")
    loss = learner.fit(IMAGES / 255, LABELS, batch_size=24, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    assert loss > 3.0


def test_loss_belongs_to_the_learner_not_to_compile(new_learner):
    with pytest.raises(ValueError, match="the Learner has its loss already"):
        new_learner(loss=None).compile("sgd", loss="mse")


def test_saved_learner_comes_back_with_encoder_and_loss(new_learner, tmp_path):
    learner = new_learner(losses.Triplet(margin=0.7, miner=miners.HardPairs(fraction=0.25)))
    learner.fit(IMAGES, LABELS, batch_size=24, epochs=1, verbose=0)
    learner.save(tmp_path / "learner.keras")
    restored = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(restored(IMAGES), learner(IMAGES))
    assert restored.embedding_loss.margin == 0.7 and restored.embedding_loss.miner == miners.HardPairs(fraction=0.25)


def test_loss_of_a_learner_must_be_a_scalar(new_learner):
    with pytest.raises(ValueError, match="must be reduced to a scalar; got reduction=None"):
        new_learner(losses.Triplet(reduction=None))


def test_learning_rate_warms_up_and_falls_to_zero():
    rate = warmup_cosine(0.1, 100, 10)
    values = [float(rate(step)) for step in (0, 5, 10, 55, 100)]
    np.testing.assert_allclose(values, [0.0, 0.05, 0.1, 0.05, 0.0], atol=1e-6)
    assert float(warmup_cosine(0.1, 4, 100)(2)) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="learning_rate.peak > 0"):
        warmup_cosine(0.0, 10)


TWO_REPLICAS = """
    import json, os, sys
    import keras, numpy as np, tensorflow as tf
    import miners
    from metric_learning import encoders, losses
    from metric_learning.data import BatchPlan, Split
    from metric_learning.data.random_access import RandomAccess
    from metric_learning.penalties import Lp, penalized
    from metric_learning.training import Learner, Loop

    kind, folder = sys.argv[1:]
    if kind == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        devices = ["CPU:0", "CPU:1"]
        strategy = tf.distribute.MirroredStrategy(devices) if kind == "mirrored" else tf.distribute.get_strategy()

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 6)
    images = (20 * labels[:, None, None, None] + rng.integers(0, 60, (48, 8, 8, 3))).astype(np.uint8)
    scores = {}

    class Darker:
        num_randoms = 1

        def __call__(self, images, randoms):
            return tf.cast(images, tf.float32) * (1.0 - 0.7 * randoms[:, :, None, None])

    for name, loss in {
        "mined": losses.Triplet(distance="cosine", miner=miners.BatchHard()),
        "all": losses.Contrastive(average="active"),
        "summed": losses.Cosine(reduction="sum"),
        "penalized": losses.Contrastive(),
        "read": losses.Contrastive(),
    }.items():
        asked = []
        inputs = images
        if name == "read":
            inputs = RandomAccess(lambda rows: asked.append(rows.tolist()) or images[rows], 48, (8, 8, 3), np.uint8)
        keras.utils.set_random_seed(0)
        with strategy.scope():
            encoder = encoders.cnn((8, 8, 3), widths=(4,), embedding_dim=4)
            learner = Learner(penalized(encoder, Lp(0.5, p=1) if name == "penalized" else None), loss)
            # A sum over the 12 anchors has 12 times the gradient of a mean.
            learner.compile(keras.optimizers.SGD(0.05 / (12 if loss.reduction == "sum" else 1), momentum=0.9))
        progress = Loop(6, validate_every=3).run(
            learner,
            Split(inputs, labels, ("",) * 48),
            BatchPlan(labels, classes=4, samples=3),
            folder=os.path.join(folder, name),
            validate=lambda: {"validation/map@r": 0.0},
            augment=Darker() if name == "all" else None,
            jit_compile=name == "summed",
        )
        scores[name] = {
            "losses": [row["train/loss"] for row in progress.history],
            "asked": asked,
            "weights": [np.asarray(variable).tolist() for variable in learner.encoder.variables],
        }
    with open(os.path.join(folder, "scores.json"), "w") as file:
        json.dump(scores, file)
"""


def free_ports(count):
    """Ports of this machine that nobody holds, all different, as the system hands them out."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def train_on(tmp_path_factory):
    """Trains on one device, two, or two processes, each in a process of its own; returns losses and weights."""
    import json

    def train(kind):
        folder = tmp_path_factory.mktemp(kind)
        program = [sys.executable, "-c", textwrap.dedent(TWO_REPLICAS), kind]
        processes = []
        workers = 2 if kind == "multi_worker" else 1
        ports = free_ports(workers)
        for worker in range(workers):
            own = folder / str(worker)
            own.mkdir()
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            if kind == "multi_worker":
                addresses = [f"localhost:{port}" for port in ports]
                environment["TF_CONFIG"] = json.dumps(
                    {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": worker}}
                )
            processes.append(
                subprocess.Popen(
                    [*program, str(own)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        outputs = [process.communicate(timeout=240)[0] for process in processes]
        assert all(process.returncode == 0 for process in processes), outputs
        return json.loads((folder / "0" / "scores.json").read_text())

    return train


@pytest.mark.slow
def test_replicas_and_workers_make_the_update_of_one_device(train_on):
    expected = train_on("single")
    for kind in ("mirrored", "multi_worker"):
        found = train_on(kind)
        for name in expected:
            if name != "penalized":  # whose value has the penalty of every replica
                np.testing.assert_allclose(found[name]["losses"], expected[name]["losses"], rtol=1e-4, err_msg=name)
            for one, other in zip(found[name]["weights"], expected[name]["weights"], strict=True):
                np.testing.assert_allclose(one, other, atol=2e-5, err_msg=f"{kind} {name}")
        batches = [batch if kind == "mirrored" else batch[:6] for batch in expected["read"]["asked"]]
        assert found["read"]["asked"] and all(rows in batches for rows in found["read"]["asked"]), kind

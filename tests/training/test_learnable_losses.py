"""What a loss learns is trained with the encoder, saved with it, and there again in a new process."""

import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from metric_learning.training import Learner

ROOT = pathlib.Path(__file__).parent.parent.parent
LOSSES = sorted(path.stem for path in (ROOT / "conf/loss").glob("*.yaml"))
INPUTS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
LABELS = np.arange(12) % 6


@pytest.fixture
def learners(build):
    """The learners of all losses that hold variables, each after a few steps: name -> (learner, weights before)."""
    trained = {}
    for name in LOSSES:
        kept = build("loss", f"loss={name}", "miner=none")
        if not kept.layers:
            continue
        loss = type(kept).from_config(kept.get_config())
        loss.build(6, 3, ["ant", "bee", "red ant", "red deer", "deer", "emu"])
        keras.utils.set_random_seed(0)
        learner = Learner(keras.Sequential([keras.layers.Input([5]), keras.layers.Dense(3)]), loss)
        learner.compile(keras.optimizers.Adam(0.05))
        before = [variable.numpy() for layer in loss.layers for variable in layer.trainable_variables]
        learner.fit(INPUTS, LABELS, batch_size=12, epochs=3, verbose=0)
        trained[name] = learner, before
    return trained


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saving a variable
def test_all_that_losses_learn_is_trained_and_survives_a_new_process(learners, tmp_path):
    assert {"arc_face", "margin", "proxy_anchor", "soft_triple", "categorical_crossentropy"} <= set(learners)
    expected = {}
    for name, (learner, before) in learners.items():
        learned = [v for layer in learner.embedding_loss.layers for v in layer.trainable_variables]
        assert {id(v) for v in learned} <= {id(v) for v in learner.trainable_variables}
        for variable, old in zip(learned, before, strict=True):
            assert np.abs(variable.numpy() - old).max() > 1e-4, f"{variable.path} of {name} was not trained"
        learner.save(tmp_path / f"{name}.keras")
        expected[name] = learner.embedding_loss.call(LABELS, learner(INPUTS)).numpy()
    np.savez(tmp_path / "expected.npz", inputs=INPUTS, labels=LABELS, **expected)

    program = """
        import sys, pathlib, keras, numpy as np
        import metric_learning.losses, metric_learning.training, miners
        from metric_learning.steps import at_step
        folder = pathlib.Path(sys.argv[1])
        expected = dict(np.load(folder / "expected.npz"))
        inputs, labels = expected.pop("inputs"), expected.pop("labels")
        with at_step(0):
            for name, values in expected.items():
                learner = keras.saving.load_model(folder / f"{name}.keras")
                again = learner.embedding_loss.call(labels, learner(inputs)).numpy()
                np.testing.assert_allclose(again, values, rtol=1e-5, atol=1e-6, err_msg=name)
                print(name)
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout.split() == list(expected)


@pytest.mark.slow
def test_two_replicas_learn_what_one_device_learns(build, tmp_path):
    program = """
        import pathlib, sys
        import hydra, keras, numpy as np, tensorflow as tf
        from metric_learning.training import Learner

        devices = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
        data = np.load(sys.argv[1])
        inputs, labels = data["inputs"], data["labels"]


        def train(loss, strategy):
            keras.utils.set_random_seed(0)
            with strategy.scope():
                loss = hydra.utils.instantiate(loss, _convert_="all")
                loss.build(6, 3, ["ant", "bee", "red ant", "red deer", "deer", "emu"])
                learner = Learner(keras.Sequential([keras.layers.Input([5]), keras.layers.Dense(3)]), loss)
                learner.compile(keras.optimizers.SGD(0.05))
                learner.optimizer.build(learner.trainable_variables)
            per_replica = len(labels) // strategy.num_replicas_in_sync

            def part(rows):
                def of(context):
                    first = per_replica * context.replica_id_in_sync_group
                    return tf.constant(rows[first : first + per_replica])

                return strategy.experimental_distribute_values_from_function(of)

            step = tf.function(lambda inputs, labels: strategy.run(learner.update, (inputs, labels)))
            for _ in range(2):
                step(part(inputs), part(labels))
            return [variable.numpy() for variable in learner.variables if variable.dtype == "float32"]


        replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with hydra.initialize_config_dir(version_base="1.3", config_dir=sys.argv[2]):
            for name in sys.argv[3:]:
                loss = hydra.compose("config", ["encoder.embedding_dim=3", f"loss={name}", "miner=none"]).loss
                one = train(loss, tf.distribute.get_strategy())
                two = train(loss, replicas)
                assert len(one) == len(two) > 2, name
                for first, second in zip(one, two):
                    np.testing.assert_allclose(second, first, rtol=1e-4, atol=2e-5, err_msg=name)
                print(name)
    """
    names = [name for name in LOSSES if build("loss", f"loss={name}", "miner=none").layers]
    np.savez(tmp_path / "data.npz", inputs=INPUTS, labels=LABELS)
    arguments = [str(tmp_path / "data.npz"), str(ROOT / "conf"), *names]
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout.split() == names

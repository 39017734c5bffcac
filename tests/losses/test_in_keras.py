"""Losses as Keras uses them: reductions, weights, saving, `compile` and `fit`."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning import losses
from metric_learning.training import Learner

pytestmark = pytest.mark.slow  # together they take a minute or so

CONF = pathlib.Path(__file__).parent.parent.parent / "conf"
LOSSES = sorted(file.stem for file in (CONF / "loss").glob("*.yaml"))
MINERS = sorted(file.stem for file in (CONF / "miner").glob("*.yaml"))
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def loss(build, name):
    # One that remembers batches knows the last one only with this, and so is a function of its arguments.
    forgetful = ["loss.momentum=1.0"] if name == "dynamic_soft_margin" else []
    return build("loss", f"loss={name}", "miner=none", *forgetful)


def rebuilt(loss, **changes):
    """The loss with some settings changed, and with what it has learned."""
    made = type(loss).from_config(loss.get_config() | changes)
    return with_the_weights_of(loss, made)


def saved_and_rebuilt(loss):
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    return with_the_weights_of(loss, keras.saving.deserialize_keras_object(saved))


def with_the_weights_of(loss, made):
    if loss.layers and not made.layers:
        made.build(6, 3, ["ant", "bee", "red ant", "red deer", "deer", "emu"])
    for layer, other in zip(made.layers, loss.layers, strict=True):
        if [weight.shape for weight in layer.weights] == [weight.shape for weight in other.weights]:
            layer.set_weights(other.get_weights())
    return made


@every_loss
def test_reductions_and_sample_weights_are_those_of_keras(batch, loss, labels_for):
    labels, rows = labels_for(loss, batch.labels), batch.embeddings
    values, weights = loss.call(labels, rows).numpy(), np.linspace(0.0, 3.0, 10, dtype=np.float32)
    expected = {
        None: values * weights,
        "sum": np.sum(values * weights),
        "sum_over_batch_size": np.sum(values * weights) / 10,
        "mean_with_sample_weight": np.sum(values * weights) / np.sum(weights),
    }
    for reduction, value in expected.items():
        reduced = rebuilt(loss, reduction=reduction)
        np.testing.assert_allclose(reduced(labels, rows, sample_weight=weights), value, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(reduced(labels, rows, weights), value, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss(labels, rows), values.mean(), rtol=1e-5)


@every_loss
def test_a_saved_loss_is_rebuilt_with_its_values(batch, loss, labels_for):
    labels = labels_for(loss, batch.labels)
    again = saved_and_rebuilt(loss)
    assert type(again) is type(loss)
    assert again.get_config().keys() == loss.get_config().keys()
    np.testing.assert_allclose(again.call(labels, batch.embeddings), loss.call(labels, batch.embeddings), rtol=1e-6)


@pytest.mark.parametrize("miner", MINERS)
def test_a_saved_loss_keeps_its_miner(build, miner):
    loss = build("loss", "loss=triplet", f"miner={miner}")
    again = saved_and_rebuilt(loss)
    assert again.miner == loss.miner and type(again.miner) is type(loss.miner)


def another(value):
    """A setting near the given one; None for what has no neighbor."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return 0.9 * value + 0.01 if isinstance(value, float) else None


@every_loss
def test_a_saved_loss_keeps_every_number_that_can_be_set(batch, loss, labels_for):
    labels = labels_for(loss, batch.labels)
    for key, value in loss.get_config().items():
        if another(value) is None or key in ("num_classes", "embedding_dim"):
            continue
        try:
            changed = rebuilt(loss, **{key: another(value)})
        except ValueError:
            continue  # not every neighbor is a choice
        again = saved_and_rebuilt(changed)
        assert again.get_config()[key] == changed.get_config()[key] == another(value)
        np.testing.assert_allclose(
            again.call(labels, batch.embeddings), changed.call(labels, batch.embeddings), rtol=1e-6, err_msg=key
        )


def test_a_saved_loss_keeps_words_and_lists_too(build):
    settings = {
        "average": "selected",
        "reduction": "sum",
        "name": "mine",
        "miner": miners.EasyPositive(negative="hard"),
    }
    settings |= {"adaptive_weights": (1.0, 0.5), "distance": "euclidean", "second_negative": "hard"}
    config = saved_and_rebuilt(rebuilt(build("loss", "loss=quadruplet"), **settings)).get_config()
    assert {key: tuple(config[key]) if isinstance(config[key], list) else config[key] for key in settings} == settings


@every_loss
def test_a_keras_model_learns_with_it_and_keeps_labels_integers(batch, loss, labels_for):
    keras.utils.set_random_seed(0)
    labels, inputs = labels_for(loss, batch.labels), batch.embeddings.astype(np.float32)
    if "average" in loss.get_config():
        loss = rebuilt(loss, average="selected")  # a mean over fewer and fewer active tuples need not fall
    encoder = keras.Sequential([keras.layers.Dense(3)])
    # What learns itself is trained by the Learner alone.
    model, own_loss = (Learner(encoder, loss), {}) if loss.learns() else (encoder, {"loss": loss})
    model.compile(optimizer=keras.optimizers.Adam(0.04), run_eagerly=True, **own_loss)
    before = loss(labels, model(inputs))
    history = model.fit(inputs, labels, batch_size=10, epochs=15, verbose=0, shuffle=False).history["loss"]
    # Keras hands integer labels over as they are, since these losses take charge in `__call__`.
    np.testing.assert_allclose(history[0], before, rtol=1e-4)
    assert history[-1] < before - 0.02 * abs(before)


@pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "graph"])
@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("how", ["alone", "in a hybrid", "in a function", "of one output of two"])
def test_what_a_loss_learns_is_not_left_untrained_by_compile(batch, how, verb, run_eagerly):
    learning = losses.ArcFace(num_classes=6, embedding_dim=3)
    loss = {
        "alone": learning,
        "in a hybrid": losses.Hybrid([{"loss": losses.Triplet()}, {"loss": learning}]),
        "in a function": lambda labels, embeddings: learning(labels, embeddings),
        "of one output of two": [losses.Contrastive(), learning],
    }[how]
    inputs = keras.Input([3])
    outputs = [keras.layers.Dense(3)(inputs) for _ in range(2 if how == "of one output of two" else 1)]
    model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
    model.compile(loss=loss, optimizer="sgd", run_eagerly=run_eagerly)
    labels = np.arange(10) % 6
    with pytest.raises(
        ValueError, match=r"learns weights of its own, .* metric_learning.training.Learner\(encoder, loss"
    ):
        getattr(model, verb)(batch.embeddings, [labels] * 2 if len(outputs) > 1 else labels)


def test_a_loss_that_learns_works_alone_in_a_loop_of_the_user(batch):
    loss = losses.Margin()
    (boundary,) = loss.layers[0].trainable_variables
    optimizer = keras.optimizers.SGD(0.1)

    @tf.function
    def step(rows):
        with tf.GradientTape() as tape:
            value = loss(batch.labels, rows)
        optimizer.apply_gradients(zip(tape.gradient(value, [boundary]), [boundary], strict=True))

    optimizer.build([boundary])
    before = boundary.numpy()
    step(tf.constant(batch.embeddings, tf.float32))
    assert boundary.numpy() != before


def test_keras_float_labels_are_refused_instead_of_merged(batch, build):
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=build("loss", "loss=triplet"), optimizer="sgd")
    with pytest.raises(ValueError, match="labels must be integers or strings"):
        model.fit(batch.embeddings, batch.labels.astype(np.float64), verbose=0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saving a variable
def test_a_saved_keras_model_brings_its_loss_and_miner(batch, build, tmp_path):
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=build("loss", "loss=quadruplet", "miner=easy_positive"), optimizer="sgd")
    model.fit(batch.embeddings, batch.labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == model.loss.get_config()

"""Losses as Keras uses them: reductions, weights, saving, `compile` and `fit`."""

import json
import pathlib

import keras
import numpy as np
import pytest

import miners

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
    """A setting near the given one; None for what has no neighbour."""
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
            continue  # not every neighbour is a choice
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
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=loss, optimizer=keras.optimizers.Adam(0.04), run_eagerly=True)
    before = loss(labels, model(inputs))
    history = model.fit(inputs, labels, batch_size=10, epochs=15, verbose=0, shuffle=False).history["loss"]
    # Keras hands integer labels over as they are, since these losses take charge in `__call__`.
    np.testing.assert_allclose(history[0], before, rtol=1e-4)
    assert history[-1] < before - 0.02 * abs(before)


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

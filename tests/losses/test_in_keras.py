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


@pytest.mark.parametrize("name", LOSSES)
def test_reductions_and_sample_weights_are_those_of_keras(batch, build, name):
    loss = build("loss", f"loss={name}")
    values, weights = loss.call(*batch).numpy(), np.linspace(0.0, 3.0, 10, dtype=np.float32)
    assert np.std(values) > 0.01
    expected = {
        None: values * weights,
        "sum": np.sum(values * weights),
        "sum_over_batch_size": np.sum(values * weights) / 10,
        "mean_with_sample_weight": np.sum(values * weights) / np.sum(weights),
    }
    for reduction, value in expected.items():
        rebuilt = type(loss).from_config(loss.get_config() | {"reduction": reduction})
        np.testing.assert_allclose(rebuilt(*batch, sample_weight=weights), value, rtol=1e-5)
        np.testing.assert_allclose(rebuilt(*batch, weights), value, rtol=1e-5)
    np.testing.assert_allclose(loss(*batch), values.mean(), rtol=1e-5)


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_saved_loss_is_rebuilt_with_its_values(batch, build, name, miner):
    loss = build("loss", f"loss={name}", f"miner={miner}")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert type(rebuilt) is type(loss)
    assert rebuilt.get_config() == loss.get_config()
    assert rebuilt.miner == loss.miner and type(rebuilt.miner) is type(loss.miner)
    np.testing.assert_array_equal(rebuilt.call(*batch), loss.call(*batch))


SHARED = {"average": "selected", "reduction": "sum", "name": "mine"}
OTHERWISE = {
    "contrastive": {"positive_margin": 0.3, "negative_margin": 0.8, "squared": True, "distance": "snr"},
    "cosine": {"margin": -0.2, "distance": "cosine"},
    "quadruplet": {
        "margin": 0.7,
        "second_margin": 0.3,
        "adaptive_weights": [1.0, 0.5],
        "distance": "euclidean",
        "second_negative": "hard",
    },
    "triplet": {"margin": 0.7, "soft": True, "scale": 3.0, "swap": True, "distance": "dot"},
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_saved_loss_keeps_every_setting(batch, build, name):
    settings = SHARED | OTHERWISE[name] | {"miner": miners.EasyPositive(negative="hard")}
    usual = build("loss", f"loss={name}")
    loss = type(usual)(**settings)
    config = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss)).get_config()
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()} == settings
    unchanged = {key for key, value in usual.get_config().items() if settings[key] == value}
    assert unchanged <= {"distance"}


@pytest.mark.parametrize("name", LOSSES)
def test_a_keras_model_learns_with_it_and_keeps_labels_integers(batch, build, name):
    loss = build("loss", f"loss={name}", "miner=none", "loss.average=selected")
    keras.utils.set_random_seed(0)
    inputs = batch.embeddings.astype(np.float32)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=loss, optimizer=keras.optimizers.SGD(0.05))
    before = loss(batch.labels, model(inputs))
    merged = batch.labels.astype(np.float32).astype(np.int64)
    assert abs(loss(merged, model(inputs)) - before) > 1e-3
    history = model.fit(inputs, batch.labels, batch_size=10, epochs=20, verbose=0, shuffle=False)
    # Keras hands integer labels over as they are, since these losses take charge in `__call__`.
    np.testing.assert_allclose(history.history["loss"][0], before, rtol=1e-5)
    assert history.history["loss"][-1] < 0.95 * before


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

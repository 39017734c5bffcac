"""An encoder of the user's own gets what it asks for, and is told what it lacks."""

import importlib
import json
import os
import pathlib
import sys

import keras
import pytest

from metric_learning.encoders import custom
from metric_learning.encoders.custom import asked_for

ROOT = pathlib.Path(__file__).parents[2]

SOURCE = """
import keras

@keras.saving.register_keras_serializable(package="mynet")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x

def build(input_shape):
    images = keras.Input(input_shape)
    return keras.Model(images, Twice()(keras.layers.Dense(5)(keras.layers.Flatten()(images))))

def texts(input_shape, vocabulary_size, embedding_dim, *, width=3):
    ids = keras.Input(input_shape, dtype="int32")
    x = keras.layers.Flatten()(keras.layers.Embedding(vocabulary_size, width)(ids))
    return keras.Model(ids, keras.layers.Dense(embedding_dim)(x))

def anything(**options):
    model = build(options["input_shape"])
    model.options = options
    return model

def image(input_shape):
    images = keras.Input(input_shape)
    return keras.Model(images, images)

def nothing(input_shape):
    return None
"""


@pytest.fixture
def mynet(tmp_path, monkeypatch):
    (tmp_path / "mynet.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mynet", None)


def test_a_function_gets_what_its_signature_asks_for(mynet):
    assert custom((8, 8, 3), target="mynet.build", embedding_dim=None).output_shape == (None, 5)
    model = custom((4,), target="mynet.texts", vocabulary_size=9, embedding_dim=7, width=2)
    assert model.output_shape == (None, 7) and model.layers[1].input_dim == 9 and model.layers[1].output_dim == 2
    found = custom((8, 8, 3), target="mynet.anything", depth=4)
    assert found.options == {"input_shape": (8, 8, 3), "vocabulary_size": None, "depth": 4}


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("mynet.build", {"width": 3}, "mynet.build takes input_shape; got width"),
        ("mynet.texts", {}, "mynet.texts asks for embedding_dim; give it as encoder.embedding_dim=VALUE"),
        ("mynet.image", {}, "must return a keras.Model with one output, embeddings .batch, dim.; got Functional"),
        ("mynet.nothing", {}, "must return a keras.Model .*; got NoneType"),
        ("mynet.missing", {}, "encoder.target must be a function that Python finds, .*; got mynet.missing"),
        ("nowhere.build", {}, "encoder.target must be a function that Python finds, .*; got nowhere.build"),
        ("build", {}, "encoder.target must be a function that Python finds, .*; got build"),
    ],
)
def test_what_does_not_fit_is_named(mynet, target, settings, message):
    with pytest.raises(ValueError, match=message):
        custom((8, 8, 3), target=target, **settings)


@pytest.mark.slow
def test_one_line_trains_it_and_trust_evaluates_it(finish, start, script, small_run, mynet, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    overrides = [override for override in small_run if not override.startswith("encoder.")]
    finish(start(*overrides, "encoder=custom", "encoder.target=mynet.build", f"hydra.run.dir={tmp_path / 'run'}"))
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["best_step"] > 0
    importlib.import_module("mynet")  # for Keras to know its layer
    assert keras.models.load_model(tmp_path / "run" / "encoder.keras").output_shape == (None, 5)
    done = script("evaluate", f"run={tmp_path / 'run'}")
    assert done.returncode == 2 and "encoder.target is mynet.build" in done.stderr and "trusted=[mynet]" in done.stderr
    done = script("evaluate", f"run={tmp_path / 'run'}", "trusted=[mynet]")
    assert "the same, to the last digit" in done.stdout, done.stderr


def test_an_encoder_is_offered_all_and_gets_what_it_has_arguments_for(mynet):
    offered = {"input_shape": (4,), "vocabulary_size": 9, "word_ids": {"dove": 3}}
    assert asked_for("metric_learning.encoders.embedding", offered) == offered
    assert asked_for("metric_learning.encoders.cnn", offered) == {"input_shape": (4,), "vocabulary_size": 9}
    assert asked_for("mynet.build", offered) == {"input_shape": (4,)}
    model = custom(target="mynet.texts", embedding_dim=7, **offered)
    assert model.output_shape == (None, 7)
    assert custom(target="mynet.anything", **offered).options == offered

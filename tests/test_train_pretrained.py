"""Runs on pretrained backbones, as their user lives them."""

import json
import pathlib

import hydra
import keras
import numpy as np
import pytest

import train
from metric_learning.evaluation import Judge

CONF = pathlib.Path(__file__).parent.parent / "conf"


@pytest.fixture
def pretrained_run(small_run, without_report, tmp_path, monkeypatch):
    """`pretrained_run(name, *overrides)`: the scores of a small run on a small backbone, in the folder of that name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2, padding="same")(images))
    keras.Model(images, keras.layers.Conv2D(6, 3, strides=2, padding="same")(x)).save(tmp_path / "backbone.keras")

    def run(name, *overrides, resume=False):
        chosen = [override for override in small_run if not override.startswith("encoder.widths")]
        chosen += ["encoder=pretrained", f"encoder.backbone={tmp_path / 'backbone.keras'}", *overrides]
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose("config", chosen)
        train.experiment(cfg, tmp_path / name, resume)
        return json.loads((tmp_path / name / "metrics.json").read_text())

    return run


@pytest.mark.slow
def test_a_head_on_a_frozen_backbone_trains_on_features_and_is_saved_whole(pretrained_run, tmp_path):
    once = pretrained_run("once")
    assert len(list((tmp_path / "cache/metric_learning/features").iterdir())) == 3
    assert once == pretrained_run("again")
    pretrained_run("anew", "frozen_features=false")
    pretrained_run("short", "steps=1")
    noise = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    embeddings = {
        name: keras.models.load_model(tmp_path / name / "encoder.keras")(noise).numpy()
        for name in ("once", "again", "anew", "short")
    }
    np.testing.assert_array_equal(embeddings["once"], embeddings["again"])
    np.testing.assert_allclose(embeddings["once"], embeddings["anew"], atol=1e-5)
    assert np.abs(embeddings["once"] - embeddings["short"]).max() > 1e-3


def test_where_nothing_trains_the_backbone_is_judged_as_it_is_and_once(pretrained_run, monkeypatch, capsys):
    judged, judge = [], Judge.__call__
    monkeypatch.setattr(Judge, "__call__", lambda *given: judged.append(given[-1]) or judge(*given))
    scores = pretrained_run("bare", "encoder.embedding_dim=null")
    assert judged == ["validation", "test"]
    said = capsys.readouterr().err
    assert "nothing trains: the encoder is judged as it is\n" in said and "step/s" not in said
    assert scores["best_step"] == 0 and scores["test/map@r"] == scores["untrained/test/map@r"]


def test_a_batch_that_cannot_be_is_refused_before_features_are_computed(pretrained_run, tmp_path):
    with pytest.raises(ValueError, match="batch.classes must be at most"):
        pretrained_run("large", "batch.classes=2000")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_a_backbone_thaws_and_its_average_is_saved(pretrained_run, tmp_path):
    options = ["encoder.train=all", "optimizer.rates={backbone:0.1,head:1}", "ema=0.5"]
    pretrained_run("thawed", *options, "thaw_at=6")
    pretrained_run("never", *options, "thaw_at=100")
    start = keras.models.load_model(tmp_path / "backbone.keras")
    moved = {}
    for name in ("thawed", "never"):
        encoder = keras.models.load_model(tmp_path / name / "encoder.keras")
        backbone = encoder.get_layer("backbone").model
        moved[name] = any(
            (one != other).any() for one, other in zip(backbone.get_weights(), start.get_weights(), strict=True)
        )
    with np.load(tmp_path / "thawed" / "checkpoints" / "best.npz") as best:
        meta = json.loads(best["meta"].item())
    assert moved == {"thawed": meta["step"] > 6, "never": False}
    assert any("weight_average" in name for name in meta["names"])

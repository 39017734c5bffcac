"""A head on features that were computed once is the encoder, and the features are never those of something else."""

import keras
import numpy as np
import pytest

from metric_learning import encoders, frozen_features
from metric_learning.data.source import image_source
from metric_learning.penalties import ZeroMean, penalized

pytestmark = pytest.mark.slow  # together they take a minute or so


def backbone(folder, seed=0):
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, name="conv")(images)
    x = keras.layers.Dropout(0.5, name="drop")(keras.layers.BatchNormalization(name="norm")(x))
    path = folder / f"backbone{seed}.keras"
    keras.Model(images, x, name="small").save(path)
    return path


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 20)
    rows = {"train": np.arange(40), "validation": np.arange(40, 80), "test": np.arange(80, 120)}
    images = rng.integers(0, 256, (120, 8, 8, 3), np.uint8)
    return image_source("noise", list("abcdef"), images, labels, [str(row) for row in range(120)], rows)


@pytest.fixture
def build(tmp_path):
    """`build(**options)`: an encoder on a backbone in a file."""

    def pretrained(seed=0, **options):
        path = backbone(tmp_path, seed)
        keras.utils.clear_session()
        return encoders.pretrained((8, 8, 3), backbone=path, **{"embedding_dim": 5} | options)

    return pretrained


@pytest.fixture
def computed(monkeypatch):
    """How many rows each call of the frozen part has computed."""
    counts = []
    embed = frozen_features.embed

    def counting(model, inputs, batch_size):
        counts.append(len(inputs))
        return embed(model, inputs, batch_size)

    monkeypatch.setattr(frozen_features, "embed", counting)
    return counts


@pytest.mark.parametrize("options", [{}, {"pooling": "avg+max"}, {"embedding_dim": None}, {"batch_norm": True}])
def test_head_on_features_gives_the_embeddings_of_the_encoder(build, source, tmp_path, options):
    encoder = penalized(build(**options), ZeroMean())
    head, seen = frozen_features.frozen_features(encoder, source, tmp_path / "cache")
    assert head.input_shape == (None, 6) and seen.names_of(seen.train) == ["a", "b"]
    for name in ("train", "validation", "test"):
        split = getattr(seen, name)
        np.testing.assert_array_equal(split.labels, getattr(source, name).labels)
        expected = encoder(getattr(source, name).inputs)
        np.testing.assert_allclose(head(split.inputs), expected, rtol=1e-5, atol=1e-6)


def test_training_the_head_trains_the_encoder(build, source, tmp_path):
    encoder = build()
    head, seen = frozen_features.frozen_features(encoder, source, tmp_path / "cache")
    before = encoder(source.test.inputs).numpy()
    head.compile(keras.optimizers.SGD(0.1), loss="mse")
    head.fit(seen.train.inputs, np.ones((40, 5)), verbose=0)
    assert np.abs(encoder(source.test.inputs) - before).max() > 1e-3
    np.testing.assert_allclose(head(seen.test.inputs), encoder(source.test.inputs), rtol=1e-5, atol=1e-6)


def test_features_are_computed_once_whatever_the_head(build, source, tmp_path, computed):
    _, first = frozen_features.frozen_features(build(), source, tmp_path / "cache")
    assert sum(computed) >= 120
    computed.clear()
    _, again = frozen_features.frozen_features(build(embedding_dim=3, hidden=(4,)), source, tmp_path / "cache")
    assert not computed
    np.testing.assert_array_equal(first.test.inputs, again.test.inputs)


@pytest.mark.parametrize("change", ["weights", "inputs", "one statistic", "pooling", "precision"])
def test_what_the_features_depend_on_changes_their_name(build, source, tmp_path, computed, change):
    frozen_features.frozen_features(build(), source, tmp_path / "cache")
    computed.clear()
    try:
        if change == "precision":
            keras.config.set_dtype_policy("mixed_bfloat16")
        encoder = build(seed=int(change == "weights"), pooling="max" if change == "pooling" else "avg")
    finally:
        keras.config.set_dtype_policy("float32")
    if change == "inputs":
        source.train.inputs[39, 7, 7, 2] ^= 1
    if change == "one statistic":
        norm = encoders.backbone_of(encoder).model.get_layer("norm")
        norm.moving_mean.assign(norm.moving_mean + np.eye(6, dtype=np.float32)[5])
    _, seen = frozen_features.frozen_features(encoder, source, tmp_path / "cache")
    # The policy changes the pooling alone, as the layers of the file keep theirs.
    assert sum(computed) >= (40 if change == "inputs" else 120)
    expected = frozen_features.frozen_part(encoder)(source.train.inputs)
    np.testing.assert_allclose(seen.train.inputs, expected, rtol=1e-5, atol=1e-6)


def test_a_killed_run_leaves_what_it_had_and_the_next_one_goes_on(build, source, tmp_path, monkeypatch, computed):
    whole = frozen_features.frozen_features(build(), source, tmp_path / "whole")[1]
    counting = frozen_features.embed
    computed.clear()

    def killed(*arguments):
        if len(computed) == 1:
            raise KeyboardInterrupt
        return counting(*arguments)

    monkeypatch.setattr(frozen_features, "embed", killed)
    with pytest.raises(KeyboardInterrupt):
        frozen_features.frozen_features(build(), source, tmp_path / "cache")
    monkeypatch.setattr(frozen_features, "embed", counting)
    computed.clear()
    seen = frozen_features.frozen_features(build(), source, tmp_path / "cache")[1]
    assert len(computed) == 5  # of six batches of at most 32
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(seen, name).inputs, getattr(whole, name).inputs)


@pytest.mark.parametrize("options", [{"train": "all"}, {"train": "top:1"}, {"pooling": "gem"}])
def test_what_trains_below_the_head_is_left_as_it_is(build, source, tmp_path, options):
    encoder = build(**options)
    assert frozen_features.frozen_features(encoder, source, tmp_path / "cache") == (encoder, source)
    assert not (tmp_path / "cache").exists()


def test_an_encoder_without_a_backbone_is_left_as_it_is(source, tmp_path):
    encoder = encoders.cnn((8, 8, 3), widths=(4,), embedding_dim=5)
    assert frozen_features.frozen_features(encoder, source, tmp_path / "cache") == (encoder, source)


def test_folder_that_cannot_be_written_is_named(build, source, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ValueError, match="cache"):
        frozen_features.frozen_features(build(), source, tmp_path / "cache")

"""What lies beside a run's encoder, and when the encoder itself is written."""

import os
import types

import keras
import numpy as np

from metric_learning.encoder_files import save_encoder
from metric_learning.encoders import cnn


def test_the_same_encoder_is_not_written_again(tmp_path):
    """Or else the indexes of a run that is resumed would be of another encoder: files of Keras hold dates."""
    source = types.SimpleNamespace(kind="images", input_shape=(12, 12, 3), fit="stretch", name="twelve")
    model, file, written = cnn(source.input_shape, widths=[4], embedding_dim=5), tmp_path / "encoder.keras", []
    for change in ("nothing", "nothing", "weights", "nothing", "layers", "damage"):
        if change == "weights":
            model.weights[0].assign_add(model.weights[0])
        if change == "layers":
            model = keras.Sequential([keras.Input(source.input_shape), model])
        if change == "damage":
            file.write_bytes(file.read_bytes()[:-1])
        elif file.exists():
            os.utime(file, (0, 0))
        before = file.read_bytes() if file.exists() else b""
        save_encoder(tmp_path, model, source, "cosine")
        written.append(file.stat().st_mtime > 0 and file.read_bytes() != before)
    assert written == [True, False, True, False, True, True]
    images = np.random.default_rng(1).integers(256, size=(2, 12, 12, 3), dtype=np.uint8)
    np.testing.assert_allclose(keras.models.load_model(file)(images), model(images), atol=1e-6)

"""The package as it is imported: what Keras then knows, and how soon train.py answers."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

import metric_learning
from metric_learning import encoders
from metric_learning.penalties import Lp, penalized

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize("penalty", [None, pytest.param(Lp(weight=0.5), marks=pytest.mark.slow)])
def test_importing_the_package_is_enough_to_load_an_encoder(tmp_path, penalty):
    encoder = penalized(encoders.embedding((4,), vocabulary_size=9, embedding_dim=3), penalty)
    encoder.save(tmp_path / "encoder.keras")
    program = (
        "import metric_learning, keras, numpy\n"
        f"encoder = keras.models.load_model({str(tmp_path / 'encoder.keras')!r})\n"
        "print(repr(encoder(numpy.array([[1, 2, 0, 0]])).numpy().tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == repr(encoder(keras.ops.array([[1, 2, 0, 0]])).numpy().tolist())


@pytest.fixture
def environment(tmp_path):
    """In which TensorFlow cannot be imported."""
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def test_help_and_misspelled_settings_are_answered_without_tensorflow(start, environment, tmp_path):
    process = start("--help", env=environment)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "loss: adaptive_triplet" in output and errors == ""
    process = start("loss.marginn=1", env=environment, cwd=tmp_path)
    assert "loss.marginn is no setting" in process.communicate(timeout=300)[1] and process.returncode == 2


@pytest.mark.parametrize("name", ["calibrate", "check_labels", "embed", "export", "match", "search"])
def test_scripts_answer_without_tensorflow(environment, name):
    script = [sys.executable, ROOT / "scripts" / f"{name}.py"]
    done = subprocess.run([*script, "--help"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "run=" in done.stdout and done.stderr == ""
    done = subprocess.run([*script, "rum=x"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "got rum=x" in done.stderr


def test_packages_are_there_without_being_imported_by_name():
    program = (
        "import metric_learning as ml; print(ml.losses.Triplet.__name__, ml.evaluation.evaluate, 'load' in dir(ml))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Triplet <function") and done.stdout.endswith("True\n")
    with pytest.raises(AttributeError, match="no attribute 'lossess'"):
        metric_learning.lossess  # noqa: B018

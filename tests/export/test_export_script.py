"""scripts/export.py as a user types it."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import metric_learning
import train

ROOT = pathlib.Path(__file__).parents[2]


def run(*words):
    command = [sys.executable, str(ROOT / "scripts" / "export.py"), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
def test_a_run_is_exported_and_tried(configure, tmp_path):
    folder, out = tmp_path / "run", tmp_path / "out"
    train.experiment(configure("steps=2", "evaluation.every=2"), folder, resume=False)
    done = run(f"run={folder}", "to=saved_model", f"out={out}", "check=30")
    assert done.returncode == 0, done.stderr
    tried = (
        r"saved_model of \S+ in \S+: \d+\.\d\d MB; .*\nin a process of its own, 30 items .* differ by \d\.\de[-+]\d\d"
    )
    assert re.match(tried, done.stdout), done.stdout
    encoder = metric_learning.load(folder)
    assert encoder.fingerprint in (out / "README.md").read_text(encoding="utf-8")
    again = run(f"run={folder}", "to=keras", f"out={folder}", "check=0")
    assert again.returncode == 2
    assert re.fullmatch(
        r"export.py: error: out must be a new or empty folder.*holds something else \(.*\)\n", again.stderr
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"expected run=FOLDER to=keras\|saved_model\|onnx\|litert out=FOLDER"),
        (["run=a", "to=h5", "out=b"], "to must be one of keras, saved_model, onnx, litert; got 'h5'"),
        (["run=a", "to=keras", "out=b", "check=-1"], "check must be a number of items, at least 0; got -1"),
        (["run=nowhere", "to=keras", "out=b"], "load needs the folder of a run .* there is none in nowhere"),
    ],
)
@pytest.mark.slow
def test_wrong_words_are_answered_in_one_line(words, message):
    done = run(*words)
    assert done.returncode == 2 and re.fullmatch(f"export.py: error: {message}\n", done.stderr), done.stderr

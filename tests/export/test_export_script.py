"""scripts/export.py; test_first_hour starts it in a process of its own."""

import re

import pytest

import metric_learning


@pytest.mark.slow
def test_a_run_is_exported_and_tried(finished_run, script, tmp_path):
    folder, out = finished_run[0], tmp_path / "out"
    done = script("export", f"run={folder}", "to=saved_model", f"out={out}", "check=30")
    assert done.returncode == 0, done.stderr
    tried = (
        r"saved_model of \S+ in \S+: \d+\.\d\d MB; .*\nin a process of its own, 30 items .* differ by \d\.\de[-+]\d\d"
    )
    assert re.match(tried, done.stdout), done.stdout
    encoder = metric_learning.load(folder)
    assert encoder.fingerprint in (out / "README.md").read_text(encoding="utf-8")
    again = script("export", f"run={folder}", "to=keras", f"out={folder}", "check=0")
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
def test_wrong_words_are_answered_in_one_line(script, words, message):
    done = script("export", *words)
    assert done.returncode == 2 and re.fullmatch(f"export.py: error: {message}\n", done.stderr), done.stderr

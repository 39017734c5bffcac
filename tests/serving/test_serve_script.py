"""scripts/serve.py as a user types it: begins, answers, ends; and says in one line why it cannot begin."""

import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("fastapi")
SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/serve.py"


def start(*words):
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, str(SCRIPT), *words], env=environment, cwd="/", **pipes)


def ready(process):
    return int(re.match(r"serving on http://127.0.0.1:(\d+)/ ", process.stdout.readline())[1])


def ended(process, number):
    """(exit code, output, errors) of a server that is told to stop while somebody is connected and says nothing."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.mark.slow
def test_it_serves_until_it_is_told_to_stop_and_keeps_its_port(made, call):
    encoder, _, items, asked = made("texts")
    process = start(f"run={encoder.folder}", f"index={encoder.folder.parent / 'index'}", "port=0", "k=5")
    try:
        port = ready(process)
        found = call(port, "POST", "/search", {"items": asked[:1], "k": 1})[1]["found"]
        assert found[0][0]["id"] == items[0]
        assert call(port, "POST", "/search", {"items": asked[:1], "k": 6})[0] == 422
        second = start(f"run={encoder.folder}", f"port={port}")
        said = rf"serve.py: error: cannot serve on host=127.0.0.1 port={port}: Address already in use; .*\n"
        assert re.fullmatch(said, second.communicate(timeout=120)[1]) and second.returncode == 2
        with socket.create_connection(("127.0.0.1", port)):
            assert ended(process, signal.SIGINT) == (0, "", "")
    finally:
        process.kill()


@pytest.mark.slow
def test_without_an_index_it_begins_all_the_same(made, call):
    encoder, _, _, asked = made("texts")
    process = start(f"run={encoder.folder}", "port=0")
    try:
        port = ready(process)
        assert call(port, "POST", "/embed", {"items": asked[:1]})[0] == 200
        assert call(port, "POST", "/search", {"items": asked[:1]})[0] == 409
        assert ended(process, signal.SIGTERM) == (0, "", "")
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected run=FOLDER, and index=FOLDER to search in"),
        (["run=nowhere", "port=0"], "load needs the folder of a run .* there is none in nowhere"),
        (["run={texts}", "index={texts}", "port=0"], "there is no index in .*"),
        (["run={texts}", "index={features}/../index", "port=0"], "the index in .* is not of the encoder in .*"),
        (["run={texts}", "port=http"], "port must be a whole number; got 'http'"),
        (["run={texts}", "port=70000"], "port must be a number from 0 to 65535; got 70000"),
        (["run={texts}", "host=203.0.113.1", "port=0"], "cannot serve on host=203.0.113.1 port=0: .*"),
        (["run={texts}", "items=none"], "items must be a whole number; got 'none'"),
        (["run={texts}", "indx=a"], "expected words key=value, with keys run, index, .*; got indx=a"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_why_it_cannot_begin_is_said_in_one_line(made, words, message):
    spec = importlib.util.spec_from_file_location("serve", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folders = {kind: made(kind)[0].folder for kind in ("texts", "features")}
    with pytest.raises(ValueError, match=f"^{message}$"):
        script.main([word.format(**folders) for word in words])

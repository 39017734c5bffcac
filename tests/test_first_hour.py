"""docs/first_hour.md followed to the letter, with the fewer steps that it names: all commands, all blocks of Python."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGE = (ROOT / "docs/first_hour.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S)
FEWER_STEPS = re.search(r"To see only that everything works, add `([^`]+)`", PAGE)[1]
# What a clone has of use to the page.
CLONE = ("conf", "examples", "metric_learning", "miners", "scripts", "train.py")


def commands_in(block):
    """The commands of a block, but for those that install, which a test cannot run."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and "install" not in words:
            yield words


def form(line):
    """A line without what differs from one machine to another: numbers, and which files were found."""
    line = re.sub(r"hour/\S+|\([a-z][a-z0-9-]+\)|'[^']*'", "NAME", line)
    return " ".join(re.sub(r"\d[\d,.]*", "#", line).split())


def missing_from(printed, shown):
    """The first line that a page shows and that was not printed, after those before it; None if all were.

    A line "..." stands for any number of others; without one all that was printed must be shown.
    """
    shown, printed = [[form(line) for line in text.splitlines() if line.strip()] for text in (shown, printed)]
    lines = iter(printed)
    for line in shown:
        if line != "..." and line not in lines:
            return line
    if "..." not in shown and len(shown) != len(printed):
        return f"{len(shown)} lines, of {len(printed)}"
    return None


def test_lines_are_compared_by_their_form():
    printed = "a 12.5\nb hour/x/1.png (ant)\nc\n"
    assert missing_from(printed, "a  3\nb hour/y.png (bee)\nc") is None
    assert missing_from(printed, "a 3\n...\nc") is None
    assert missing_from(printed, "a 3\n...\nd") == "d"
    assert missing_from(printed, "...\nc\na 3") == "a #"
    assert missing_from(printed, "a 3\nc") == "2 lines, of 3"


def test_it_shows_what_is_printed_and_uses_what_there_is():
    assert [language for language, _ in BLOCKS if language not in ("bash", "python", "text")] == []
    used = {words[1] for language, block in BLOCKS if language == "bash" for words in commands_in(block)}
    assert {"train.py", "scripts/evaluate.py", "scripts/calibrate.py", "scripts/search.py"} <= used
    assert "examples/emoji_folder.py" in used


def run(command, environment):
    """What a command prints; a server is asked how it is, and ended."""
    if "train.py" in command:
        command = [*command, *FEWER_STEPS.split()]
    if "scripts/serve.py" in command:
        return serve(command, environment)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def serve(command, environment):
    if importlib.util.find_spec("fastapi") is None:
        return ""
    with subprocess.Popen([*command, "port=0"], stdout=subprocess.PIPE, encoding="utf-8", env=environment) as server:
        line = server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        try:
            with urllib.request.urlopen(f"{address[0]}/health", timeout=60) as answer:
                assert json.load(answer)["kind"] == "images"
        finally:
            server.terminate()
    assert server.returncode == 0
    return line


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_command_works(tmp_path, monkeypatch, capsys):
    for name in CLONE:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "COLUMNS": "200"}
    printed, names = "", {}
    for language, block in BLOCKS:
        if language == "bash":
            printed = ""
            for words in commands_in(block):
                assert words[0] == "python", words
                printed += run([sys.executable, *words[1:]], environment)
        elif language == "python":
            exec(block, names)
            printed = capsys.readouterr().out
        else:
            assert missing_from(printed, block) is None, f"{missing_from(printed, block)}\n{printed}"

"""Names of classes and files are in any language: files are UTF-8 wherever they are written, and no stream fails."""

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from metric_learning.whole_files import write_json, write_whole

ROOT = pathlib.Path(__file__).parent.parent
FILES = [
    "train.py",
    *sorted(
        str(file.relative_to(ROOT))
        for d in ("metric_learning", "miners", "scripts")
        for file in (ROOT / d).rglob("*.py")
    ),
]
# What a machine without a UTF-8 locale decides for Python.
NO_UTF8 = os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}

CP1252 = os.environ | {"PYTHONIOENCODING": "cp1252"}


def calls_without_encoding(source):
    """Line numbers of calls that turn text to bytes by whatever encoding the machine prefers."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
        owner = getattr(getattr(call.func, "value", None), "id", None)
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        text = {"open", "write_text", "read_text", "fdopen", "NamedTemporaryFile"}
        if name in text and owner not in ("os", "Image", "np"):
            modes = [*call.args, given.get("mode")]
            is_binary = any(
                isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes[:2] + modes[-1:]
            )
            if not is_binary and "encoding" not in given:
                found.append(call.lineno)
        elif name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & set(given):
            if "encoding" not in given:
                found.append(call.lineno)
    return found


def test_the_walk_sees_every_kind_of_call():
    wrong = ["open(p)", "p.open('w')", "p.open(mode='w')", "p.write_text(t)", "p.read_text()", "run(c, text=True)"]
    right = ["open(p, 'rb')", "p.open('wb')", "p.open(encoding='utf-8')", "Image.open(p)", "os.open(p, 1)", "run(c)"]
    assert [calls_without_encoding(call) for call in wrong] == [[1]] * len(wrong)
    assert [calls_without_encoding(call) for call in right] == [[]] * len(right)


@pytest.mark.parametrize("file", FILES)
def test_no_file_depends_on_the_encoding_of_the_machine(file):
    assert calls_without_encoding((ROOT / file).read_text(encoding="utf-8")) == []


def test_files_of_a_run_are_utf_8_on_any_machine(tmp_path):
    program = (
        "import os, runpy, sys; part = runpy.run_path(sys.argv[1]); os.chdir(sys.argv[2]);"
        "part['write_whole']('a.txt', '\\u732b'); part['write_json']('a.json', ['\\u732b'])"
    )
    command = [sys.executable, "-c", program, ROOT / "metric_learning/whole_files.py", tmp_path]
    subprocess.run(command, env=NO_UTF8, check=True)
    assert (tmp_path / "a.txt").read_bytes() == "猫".encode()
    write_json(tmp_path / "b.json", ["猫"])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_name_that_no_encoding_has_is_kept_in_a_file(tmp_path):
    """A file name that is not UTF-8 comes from the system as a string with lone surrogates."""
    write_whole(tmp_path / "a.txt", "caf\udce9 猫")
    assert (tmp_path / "a.txt").read_bytes() == b"caf\\udce9 " + "猫".encode()


def test_a_name_in_any_language_is_printed_by_any_terminal(tmp_path):
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("- data.root=猫\n", encoding="utf-8")
    write_json(tmp_path / "run" / "metrics.json", {"validation/map@r": 0.5, "test/recall@1": 0.5, "test/map@r": 0.5})
    command = [sys.executable, ROOT / "scripts/compare.py", f"runs={tmp_path}"]
    done = subprocess.run(command, env=NO_UTF8, capture_output=True)
    assert rb"| `data.root=\u732b` | 1 | .500 | .500 | .500 |" in done.stdout, done.stderr


@pytest.mark.slow
def test_classes_in_any_language_go_from_data_to_report_on_any_terminal(finish, start, small_run, images, tmp_path):
    root = tmp_path / "猫"
    shutil.copytree(images, root)
    for i, folder in enumerate(sorted(root.iterdir())):
        folder.rename(root / f"{i} 犬 \u05d0")
    finish(start(*small_run, f"data.root='{root}'", f"hydra.run.dir={tmp_path / 'run'}", env=CP1252))
    classes = json.loads((tmp_path / "run" / "classes.json").read_text(encoding="utf-8"))
    assert all("犬" in name for names in classes.values() for name in names)
    evaluate = [sys.executable, ROOT / "scripts/evaluate.py", f"run={tmp_path / 'run'}"]
    subprocess.run(evaluate, env=CP1252 | {"PYTHONPATH": str(ROOT)}, check=True)

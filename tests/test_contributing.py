"""CONTRIBUTING.md is followed to the letter: its loss, miner, data source and encoder are added, and all is green."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHAPTERS = {
    title: chapter
    for title, chapter in re.findall(r"^## (A loss|A miner|A data source|An encoder)\n(.*?)(?=^## )", TEXT, re.M | re.S)
}
# What looks at every file of a kind, besides the new file's own tests.
LOOKS_AT_ALL = (
    "tests/test_all_losses.py tests/test_all_losses_compiled.py tests/test_all_miners.py tests/test_mined_losses.py "
    "tests/losses/test_packed_catalogue.py tests/losses/test_in_keras.py tests/data tests/encoders"
)
ALWAYS = "tests/test_types.py tests/test_architecture.py tests/test_catalogue.py tests/test_conf.py tests/test_docs.py"


def files_of(chapter):
    """{path: text} of what the chapter says to write."""
    return dict(re.findall(r"`([\w/]+\.(?:py|yaml))`[^`]*(?:`[^`\n]+`[^`]*)?\n\n```\w+\n(.*?)```", chapter, re.S))


def follow(chapter, root):
    for path, text in files_of(chapter).items():
        (root / path).write_text(text, encoding="utf-8")
    path, line = re.search(r"Export in `([^`]+)`: `([^`]+)`", chapter).groups()
    text = (root / path).read_text(encoding="utf-8")
    last = re.findall(r"^from .+ import .+$", text, re.M)[-1]
    text = text.replace(last, f"{last}\n{line}")
    name = re.search(r'and `("\w+")` in `__all__`', chapter)
    if name:
        text = text.replace("__all__ = [", f"__all__ = [{name[1]}, ")
    (root / path).write_text(text, encoding="utf-8")


@pytest.fixture
def clone(tmp_path):
    for part in ("conf", "docs", "examples", "metric_learning", "miners", "scripts", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "pyproject.toml", "constraints.txt", "README.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_what_it_says_ends_green(clone):
    assert list(CHAPTERS) == ["A loss", "A miner", "A data source", "An encoder"]
    codes, tests, examples = [], [], []
    for chapter in CHAPTERS.values():
        code, _, own_test = written = files_of(chapter)
        assert len(written) == 3
        assert not any((clone / path).exists() for path in written)
        follow(chapter, clone)
        codes.append(code)
        tests.append(own_test)
        if ">>>" in written[code]:  # of others, pytest would put the module in the place of the function
            examples.append(code)

    environment = os.environ | {"PYTHONPATH": str(clone)}

    def run(*command):
        done = subprocess.run(command, cwd=clone, capture_output=True, encoding="utf-8", env=environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        return done.stdout

    run(sys.executable, "scripts/write_loss_tables.py")
    run(sys.executable, "-m", "pytest", "-x", "-q", *ALWAYS.split())
    # Of the tests of all losses, miners, sources and encoders only those of these, which the names of the cases tell.
    names = [pathlib.PurePath(code).stem for code in codes]
    chosen = ["-m", "", "-k", " or ".join(names), *tests, *examples, *LOOKS_AT_ALL.split()]
    told = run(sys.executable, "-m", "pytest", "-x", "-vv", *chosen)
    for own_test in tests:
        assert f"{own_test}::" in told, own_test
    for name in ("mean_triplet", "nearest_pair"):
        assert re.search(rf"tests/test_all_\w+\.py::\w+\[.*{name}", told), name
    assert "MeanTriplet PASSED" in told  # its example
    run("ruff", "check", *codes, *tests)
    run("ruff", "format", "--check", *codes, *tests)

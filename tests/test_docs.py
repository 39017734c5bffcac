"""docs/losses.md and docs/speed.md are true: every loss and miner has its row, and the files that are linked exist."""

import pathlib
import re
import shlex
import subprocess
import sys

import hydra
import pytest
from omegaconf import OmegaConf

from metric_learning.answers import shipped
from metric_learning.evaluation.choice import NAMES
from metric_learning.settings import check_settings

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("group", ["loss", "miner"])
def test_every_choice_has_one_row(group):
    text = (ROOT / "docs/losses.md").read_text(encoding="utf-8")
    tables = [table.partition("<!-- end -->")[0] for table in text.split(f"| `{group}=` |")[1:]]
    named = [name for table in tables for name in re.findall(r"^\| `(\w+)` \|", table, re.M)]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def test_every_metric_is_explained():
    rows = re.findall(r"^\| `([\w@]+)` \|", (ROOT / "docs/evaluation.md").read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(NAMES)


@pytest.mark.slow
def test_the_tables_are_as_the_script_writes_them():
    command = [sys.executable, "scripts/write_loss_tables.py", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


def commands_in(document):
    for line in document.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        command = re.match(r"\s*(?:python train\.py )(.*)", line)
        if command:
            yield shlex.split(command[1], comments=True)


@pytest.mark.parametrize("words", [words for path in DOCUMENTS for words in commands_in(path)], ids=" ".join)
def test_its_commands_compose(words):
    overrides = [word for word in words if word != "-m"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        given = hydra.compose("config", overrides)
        check_settings(*(OmegaConf.to_container(cfg, resolve=True) for cfg in (given, shipped(overrides))))


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name
)
def test_what_zsh_would_take_for_a_pattern_is_quoted(document):
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [line for line in text.splitlines() if re.match(r"\s*(python|pip|metric_learning)\b", line)]
    for command in [*commands, *re.findall(r"`([^`\n]* [^`\n]*=\[[^`\n]*)`", text)]:
        left = re.sub(r"'[^']*'|\"[^\"]*\"", "", command.partition(" #")[0])
        assert not re.search(r"=\S*[\[*?{(]", left), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_it_links_to_exists(document):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link

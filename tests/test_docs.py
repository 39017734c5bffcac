"""docs/losses.md and docs/speed.md are true: every loss and miner has its row, and the files that are linked exist."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("group", ["loss", "miner"])
def test_every_choice_has_one_row(group):
    text = (ROOT / "docs/losses.md").read_text(encoding="utf-8")
    tables = [table.partition("<!-- end -->")[0] for table in text.split(f"| `{group}=` |")[1:]]
    named = [name for table in tables for name in re.findall(r"^\| `(\w+)` \|", table, re.M)]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.slow
def test_the_tables_are_as_the_script_writes_them():
    command = [sys.executable, "scripts/write_loss_tables.py", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_it_links_to_exists(document):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link

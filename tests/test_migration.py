"""docs/migration.md names what there is: options, arguments, classes; and its Python runs."""

import inspect
import pathlib
import re

import pytest

import miners
from metric_learning import losses, penalties
from metric_learning.losses import addons

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "docs/migration.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if line.startswith("| ")]
# Which columns of the last cell are theirs: `theirs`: `ours`.
RENAMED = re.compile(r"`[^`]+`: (?=`)")


def words_of(group, name):
    return set(re.findall(r"^ *(\w+):", (ROOT / f"conf/{group}/{name}.yaml").read_text(), re.M))


def test_every_option_that_it_names_exists():
    for group in ("loss", "miner"):
        named = set(re.findall(rf"[` ]{group}=(\w+)", TEXT))
        assert len(named) > 8
        assert {name for name in named if not (ROOT / f"conf/{group}/{name}.yaml").exists()} == {"x"}


def test_every_argument_that_it_names_exists():
    checked = 0
    for theirs, ours, differs in ROWS:
        option = re.fullmatch(r"`(loss|miner)=(\w+)`", ours)
        if option:
            group, name = option.groups()
            arguments = re.findall(r"`([a-z_]+)(?:=[\w.-]+)?`", RENAMED.sub("", differs))
            known = words_of(group, name) | {"none", "one", "per_class", "build"}
            assert set(arguments) <= known, (theirs, set(arguments) - known)
            checked += len(arguments)
    assert checked > 60


def test_every_class_that_it_names_exists():
    for name in re.findall(r"metric_learning\.penalties\.(\w+)", TEXT):
        assert issubclass(getattr(penalties, name), penalties.RowPenalty)
    for name in ("Penalty", "penalize_weights"):
        assert name in TEXT and hasattr(penalties, name)
    section = TEXT.split("## TensorFlow Addons")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+Loss)", section, re.M))
    there = {name for name, kind in inspect.getmembers(addons, inspect.isclass) if kind.__module__ == addons.__name__}
    assert named == {name for name in there if not name.startswith("_")}
    for group, package in (("loss", losses), ("miner", miners)):
        for name in set(re.findall(rf"[` ]{group}=(\w+)", TEXT)) - {"x", "none"}:
            names = {known.lower() for known in package.__all__}
            assert name.replace("_", "") in names, name


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL))
def test_its_python_runs(block, capsys):
    exec(block, {})
    printed = capsys.readouterr().out
    numbers = [float(number) for number in re.findall(r"[0-9.]+", printed)]
    assert numbers == [] or numbers == pytest.approx([0.1, 0.2, 0.5])

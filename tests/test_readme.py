"""The README is true: its Python runs, its commands compose, its tables and links name what there is."""

import pathlib
import re
import shlex

import hydra
import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words[:2] == ["python", "train.py"] and "--help" not in words:
                    yield words[2:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_command_composes(words):
    sweep = "-m" in words
    overrides = [word for word in words if word != "-m"]
    if sweep:
        overrides = [re.sub(r"=(?:choice\()?([^,(]+),.*", r"=\1", word) for word in overrides if "interval" not in word]
        overrides = [word for word in overrides if "optuna" not in word and "sweeper" not in word]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        hydra.compose("config", overrides)


def test_tables_name_every_loss_and_miner():
    for group in ("loss", "miner"):
        named = {
            name for table in README.split(f"| `{group}=` |")[1:] for name in re.findall(r"^\| `(\w+)` \|", table, re.M)
        }
        options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        assert options <= named, options - named


def test_files_that_it_names_exist():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    for name in re.findall(r"python (\S+\.py)", README):
        assert (ROOT / name).exists(), name
    house = blocks("")[-1]
    for line in house.splitlines():
        for name in re.findall(r"^(?:  )?((?:[\w.]+/? )+) ", line):
            for part in name.split():
                assert (ROOT / part).exists() or (ROOT / "metric_learning" / part).exists(), part


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_runs(capsys):
    for block in blocks("python"):
        exec(block, {})
    recall, map_at_r = capsys.readouterr().out.split()[-2:]
    assert 0.2 < float(recall) < 1 and 0.05 < float(map_at_r) < 1

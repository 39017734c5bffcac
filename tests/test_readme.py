"""The README is true: its Python runs, its commands compose, its tables and links name what there is."""

import pathlib
import re
import shlex

import hydra
import pytest

from metric_learning import encoders
from metric_learning.data import emoji
from metric_learning.encoder_files import describe_encoder

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


def test_files_that_it_names_exist():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    for name in re.findall(r"python (\S+\.py)", README):
        assert (ROOT / name).exists(), name
    house = re.findall(r"```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.DOTALL)[-1]
    for line in house.splitlines():
        for name in re.findall(r"^(?:  )?((?:[\w.]+/? )+) ", line):
            for part in name.split():
                assert (ROOT / part).exists() or (ROOT / "metric_learning" / part).exists(), part


def test_it_is_short():
    assert len(README.splitlines()) <= 130


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_runs(capsys, tmp_path):
    source = emoji()
    encoders.cnn(source.input_shape).save(tmp_path / "encoder.keras")
    describe_encoder(tmp_path, source, "cosine")
    trained, *others = blocks("python")
    assert "outputs/RUN" in trained
    exec(
        trained.replace("outputs/RUN", str(tmp_path)),
        {"queries": source.test.inputs[:3], "gallery": source.test.inputs},
    )
    searched, matched = capsys.readouterr().out.splitlines()
    assert searched.startswith("[Hit(id='0', distance=0.0,") and searched.count("Hit(") == 5
    assert [int(id) for id in re.findall(r"Hit\(id='(\d+)', distance=0.0,", matched)] == [0, 1, 2]  # each finds itself
    for block in others:
        exec(block, {})
    loss, recall, map_at_r = capsys.readouterr().out.split()
    assert float(loss) == pytest.approx(0.265)
    assert 0.2 < float(recall) < 1 and 0.05 < float(map_at_r) < 1

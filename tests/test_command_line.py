"""What is left of a run that never began, and how a sweep ends."""

import re

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from metric_learning import answers, command_line


@pytest.fixture
def claimed(tmp_path):
    def claim(folder):
        assert command_line.claim(folder) is None
        return folder

    yield claim
    for folder in list(command_line.claims):
        command_line.claims.pop(folder).release()


def write_as_a_run_does(folder):
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").touch()
    (folder / "config.yaml").touch()


def test_of_a_run_that_never_began_nothing_is_left(tmp_path, claimed):
    folder = claimed(tmp_path / "run")
    write_as_a_run_does(folder)
    command_line.remove_what_was_written(folder, ".hydra")
    assert not folder.exists()


def test_what_was_in_the_folder_before_stays(tmp_path, claimed):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "notes.txt").touch()
    claimed(folder)
    write_as_a_run_does(folder)
    command_line.remove_what_was_written(folder, ".hydra")
    assert (folder / "notes.txt").exists() and not (folder / ".hydra").exists()


def test_the_files_of_other_workers_stay(tmp_path, claimed, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"task": {"type": "worker", "index": 1}}')
    folder = claimed(tmp_path / "run")
    (folder / "config.yaml").touch()
    command_line.remove_what_was_written(folder, ".hydra")
    assert (folder / "config.yaml").exists()


def test_a_grid_goes_on_to_its_results_when_its_last_run_fails(monkeypatch):
    optuna = pytest.importorskip("optuna")
    # Kept, to be put back: the callback changes it for the whole process.
    monkeypatch.setattr(optuna.samplers.GridSampler, "after_trial", optuna.samplers.GridSampler.after_trial)

    def search():
        study = optuna.create_study(sampler=optuna.samplers.GridSampler({"margin": [0.1, 0.2]}), direction="maximize")
        for value in (0.5, None):  # None: it failed
            trial = study.ask()
            trial.suggest_categorical("margin", [0.1, 0.2])
            state = optuna.trial.TrialState.COMPLETE if value else optuna.trial.TrialState.FAIL
            try:
                study.tell(trial, value, state)
            except RuntimeError:
                if value is None:  # the one that Hydra's sweeper does not forgive
                    raise
        return study.best_value

    with pytest.raises(RuntimeError, match="Study.stop"):
        search()
    sweeper = {"_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"}
    command_line.Sweep().on_multirun_start(OmegaConf.create({"hydra": {"sweeper": sweeper}}))
    assert search() == 0.5


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("k=five", "k must be a whole number; got 'five'"),
        ("json=maybe", "json must be true or false; got 'maybe'"),
        ("far=5%", "far must be a number; got '5%'"),
        ("seconds=.nan", "seconds must be finite; got nan"),
        ("trusted=mynet", "trusted must be a list, as .a,b.; got 'mynet'"),
        ("trusted=[mynet", "trusted cannot be read; expected such as .* or .a,b.; got '.mynet'"),
        ("trusted=[{a: 1}]", "trusted.0 must be text.*; got {'a': '1'}"),
    ],
)
def test_words_of_another_kind_are_refused(word, message):
    defaults = {"k": 5, "json": False, "far": None, "seconds": 2.0, "trusted": [], "query": None}
    assert command_line.words_of(["far=1e-3", "seconds=3", "trusted=[a]"], **defaults).far == 0.001
    assert command_line.words_of(["query=007"], **defaults).query == "007"
    with pytest.raises(ValueError, match=message):
        command_line.words_of([word], **defaults)


def test_words_that_are_text_stay_as_they_are_written(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = command_line.words_of(["ids=[007, 1e3, null, 2024-01-01]", "run=~/run"], ids=[], run=None)
    assert list(found.ids) == ["007", "1e3", "null", "2024-01-01"]
    assert found.run == str(tmp_path / "run")  # which no shell does behind the =
    assert command_line.words_of(["query=~ 5 km"], query=None).query == "~ 5 km"


def test_words_as_other_programs_take_them():
    assert answers.in_order(["seed=0,1", "-m", "loss=triplet"]) == ["-m", "seed=0,1", "loss=triplet"]
    assert answers.in_order(["--cfg", "job", "loss=triplet"]) == ["--cfg", "job", "loss=triplet"]
    for wrong, message in ((["--loss", "nca"], "loss=VALUE"), (["--seed=3"], "seed=3"), (["--loss.x=3"], "loss.x=3")):
        with pytest.raises(ValueError, match=f"words key=value without dashes; write {message}"):
            answers.in_order(wrong)


def test_a_setting_that_must_be_given_is_named():
    with pytest.raises(MissingMandatoryValue) as raised:
        OmegaConf.create({"data": {"root": "???"}}).data.root  # noqa: B018
    assert answers.answer(raised.value) == "data.root must be given, as data.root=VALUE"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr=0.1", "did you mean optimizer.learning_rate. there are seed, steps, .*"),
        ("margin=0.1", "did you mean loss.margin. there are seed, .*"),
        ("data.root=DIR", "this data has none; choose one with it by data=, of .*, image_folder, .*"),
        ("nonsense=1", "there are seed, .*"),
    ],
)
def test_who_misses_a_setting_is_told_where_it_is(monkeypatch, word, message):
    monkeypatch.setattr("sys.argv", ["train.py", word])
    assert re.fullmatch(message, answers.choices_beside(word.partition("=")[0]))

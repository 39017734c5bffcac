"""What is left of a run that never began, and how a sweep ends."""

import pytest
from omegaconf import OmegaConf

from metric_learning import command_line


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

"""What is left of a run that never began: nothing of its own, and all that was there before."""

import pytest

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

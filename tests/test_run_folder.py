"""A folder is kept by one process at a time."""

import os

import pytest

from metric_learning.run_folder import Claim


def test_a_lock_whose_file_was_taken_away_meanwhile_keeps_nobody_out(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock_as_another_process_lets_go(file, mode):
        monkeypatch.undo()
        (tmp_path / ".lock").unlink()  # as `release` does, after this process opened the file
        fcntl.flock(file, mode)

    monkeypatch.setattr(fcntl, "flock", flock_as_another_process_lets_go)
    held = Claim(tmp_path)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()}"):
        Claim(tmp_path)
    held.release()
    assert list(tmp_path.iterdir()) == []

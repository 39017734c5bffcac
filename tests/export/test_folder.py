"""An export's folder is whole or not there, and takes nobody else's place."""

import json
import pathlib

import pytest

from metric_learning.export import check_free
from metric_learning.export.folder import folder_in_one_move


def fill(folder, word):
    (folder / "export.json").write_text(json.dumps({"files": ["export.json", word]}))
    (folder / word).touch()


def filled(folder):
    return {path.name for path in folder.iterdir()} - {"export.json"}


def test_a_folder_takes_the_place_of_an_earlier_export(tmp_path):
    out = tmp_path / "deep" / "out"
    for word in ("first", "second"):
        with folder_in_one_move(check_free(out)) as folder:
            fill(folder, word)
            assert not (out / "export.json").exists() or word == "second"
    assert filled(out) == {"second"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_fails_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    for word in ("first", "second"):
        with pytest.raises(RuntimeError), folder_in_one_move(out) as folder:
            fill(folder, word)
            raise RuntimeError
        assert not list(tmp_path.iterdir())
    out.mkdir()
    fill(out, "first")
    with pytest.raises(RuntimeError), folder_in_one_move(out) as folder:
        fill(folder, "second")
        raise RuntimeError
    assert filled(out) == {"first"} and list(tmp_path.iterdir()) == [out]


def test_other_files_are_never_replaced(tmp_path):
    out = tmp_path / "out"
    assert check_free(out) == out
    out.mkdir()
    check_free(out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="out must be a new or empty folder, or that of an earlier export; .* holds"):
        check_free(out)
    with pytest.raises(ValueError, match="out must be a folder; .*notes.txt is a file"):
        check_free(out / "notes.txt")


def test_what_was_put_beside_an_export_is_not_replaced(tmp_path):
    fill(tmp_path, "encoder.keras")
    (tmp_path / "index").mkdir()
    with pytest.raises(ValueError, match=r"holds something else \(index\)"):
        check_free(tmp_path)


def test_a_move_that_fails_brings_the_earlier_export_back(tmp_path, monkeypatch):
    out, rename = tmp_path / "out", pathlib.Path.rename
    out.mkdir()
    fill(out, "first")

    def fails(path, target):
        if "unfinished" in path.name:
            raise OSError("no space left")
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", fails)
    with pytest.raises(OSError, match="no space"), folder_in_one_move(out) as folder:
        fill(folder, "second")
    assert filled(out) == {"first"} and list(tmp_path.iterdir()) == [out]

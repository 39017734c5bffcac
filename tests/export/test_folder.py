"""An export's folder is whole or not there, and takes nobody else's place."""

import pytest

from metric_learning.export import check_free
from metric_learning.export.folder import folder_in_one_move


def fill(folder, word):
    (folder / "export.json").write_text(word)


def test_a_folder_takes_the_place_of_an_earlier_export(tmp_path):
    out = tmp_path / "deep" / "out"
    for word in ("first", "second"):
        with folder_in_one_move(check_free(out)) as folder:
            fill(folder, word)
            assert not (out / "export.json").exists() or word == "second"
    assert (out / "export.json").read_text() == "second"
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
    assert (out / "export.json").read_text() == "first" and list(tmp_path.iterdir()) == [out]


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

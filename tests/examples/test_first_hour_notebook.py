"""The notebook of the first hour runs from its first cell to its last, and what it shows is small and of no machine."""

import json
import pathlib

import pytest

FILE = pathlib.Path(__file__).parents[2] / "examples/first_hour.ipynb"
TEXT = FILE.read_text(encoding="utf-8")


def test_what_is_kept_of_its_outputs_is_small_and_of_no_machine():
    cells = [cell for cell in json.loads(TEXT)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))  # of one run, in order
    assert FILE.stat().st_size < 300_000
    pictures = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert 1 <= len(pictures) <= 4
    for place in ("/home/", "/root", "/work", "/tmp", "/usr", "site-packages", "Traceback"):
        assert place not in TEXT, place


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(FILE.parents[1]))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.reads(TEXT, as_version=4)
    before = [printed(cell) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    after = [printed(cell) for cell in notebook.cells]
    assert [len(lines) for lines in after] == [len(lines) for lines in before]
    assert (tmp_path / "first_hour_run" / "thresholds.json").exists()
    (line,) = [line for lines in after for line in lines if "of 162 found" in line]
    assert int(line.split()[3]) > 40  # of 162


def printed(cell):
    """Lines that a cell has printed on stdout."""
    outputs = cell.get("outputs", [])
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout").splitlines()

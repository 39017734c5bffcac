"""Labels that look wrong, from the runs of a sweep over folds, by the script as a user types it."""

import csv
import os
import pathlib
import re
import subprocess
import sys

import hydra
import numpy as np
import pytest

import train

ROOT = pathlib.Path(__file__).parent.parent


def run(*words):
    command = [sys.executable, str(ROOT / "scripts" / "check_labels.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)


def listed(folder):
    with (folder / "suspicious_labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


SWAPPED = {"3": ("class9", "class0"), "59": ("class0", "class9")}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """16 classes of 6 vectors around places of their own; a row of class 0 and one of 9 have exchanged their labels."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(16, 8))
    lines = ["features,label"]
    for row in range(96):
        vector = places[row // 6] + 0.2 * rng.normal(size=8)
        given = SWAPPED.get(str(row + 1), (f"class{row // 6}",))[0]
        lines.append(f"{' '.join(f'{value:.3f}' for value in vector)},{given}")
    path = tmp_path_factory.mktemp("vectors") / "swapped.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.slow
def test_swapped_labels_are_found_over_folds_and_in_one_run(small_run, table, script, without_report, tmp_path):
    sweep = tmp_path / "sweep"
    left_out = ("data=", "data.root=", "data.image_size=", "encoder.")
    words = [word for word in small_run if not word.startswith(left_out)]
    words += ["data=table", f"data.path={table}", "encoder=mlp", "encoder.embedding_dim=8", "data.folds=2"]
    for fold in range(2):
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            cfg = hydra.compose("config", [*words, f"data.fold={fold}"])
        train.experiment(cfg, sweep / str(fold), resume=False)

    done = run(f"runs={sweep}")
    assert done.returncode == 0, done.stderr
    found = listed(sweep)
    for key, (given, proposed) in SWAPPED.items():
        assert (found[key]["given_label"], found[key]["proposed_label"]) == (given, proposed)
        first = 6 * int(proposed.removeprefix("class")) + 1
        assert set(found[key]["neighbors"].split()) <= {str(first + i) for i in range(6)} | set(SWAPPED)
    assert len(found) < 6 and f"{len(found)} suspicious labels in {sweep}" in done.stdout
    assert (sweep / "suspicious_labels.png").stat().st_size > 10_000

    (sweep / "0" / "metrics.json").unlink()
    half = script("check_labels", f"runs={sweep}", f"out={tmp_path / 'half'}")
    assert "items are tested by none of these runs, and not judged" in half.stderr
    assert set(listed(tmp_path / "half")) < set(found)

    one = script("check_labels", f"run={sweep / '1'}", f"out={tmp_path / 'one'}", "at_least=0")
    assert one.returncode == 0 and len(listed(tmp_path / "one")) > len(listed(tmp_path / "half"))

    (sweep / "0" / "metrics.json").write_text("{}")
    for name in ("config.yaml", "encoder.keras", "encoder.json", "items.csv"):
        (sweep / "0" / name).write_bytes((sweep / "1" / name).read_bytes())
    same = script("check_labels", f"runs={sweep}")
    assert same.returncode == 2
    assert re.search(r"1 and .*0 both test on \d+ items; runs must be a sweep over data.fold\n", same.stderr)

    lines = table.read_text(encoding="utf-8").splitlines()
    corrected = tmp_path / "corrected.csv"
    corrected.write_text("\n".join([*lines[:3], lines[3].replace("class9", "class0"), *lines[4:]]), encoding="utf-8")
    before = listed(tmp_path / "one")
    again = script("check_labels", f"run={sweep / '1'}", f"data.path={corrected}", f"out={tmp_path / 'one'}")
    assert again.returncode == 2 and "the data have changed" in again.stderr and "train again" in again.stderr
    assert listed(tmp_path / "one") == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected run=FOLDER, or runs=FOLDER of a sweep over data.fold"),
        (["run=a", "runs=b"], "expected run=FOLDER, or runs=FOLDER of a sweep over data.fold"),
        (["run=nowhere"], "load needs the folder of a run .* there is none in nowhere"),
        (["runs=nowhere"], "runs must be the folder of a sweep; there is no finished run in nowhere"),
    ],
)
def test_wrong_words_are_answered_in_one_line(script, words, message):
    done = script("check_labels", *words)
    assert done.returncode == 2 and re.fullmatch(f"check_labels.py: error: {message}\n", done.stderr), done.stderr

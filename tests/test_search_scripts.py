"""From a run to a decision by the scripts, as a user types them."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import metric_learning
import train

ROOT = pathlib.Path(__file__).parent.parent


def run(script, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs") / "run"


@pytest.mark.slow
def test_a_run_is_calibrated_indexed_searched_and_matched(configure, images, folder, tmp_path):
    train.experiment(
        configure("steps=60", "data.validation_fraction=0.4", "data.test_fraction=0.4"), folder, resume=False
    )
    about = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    assert (about["kind"], about["input_shape"], about["fit"], about["distance"]) == (
        *("images", [8, 8, 3]),
        *("letterbox", "cosine"),
    )

    refused = run("calibrate", f"run={folder}", "precision=0.999")
    assert refused.returncode == 2 and not (folder / "thresholds.json").exists()
    assert re.fullmatch(r"calibrate.py: error: precision=0.999 cannot be promised .* can\n", refused.stderr), (
        refused.stderr
    )
    done = run("calibrate", f"run={folder}", "best_f1=true")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^precision +[01]\.\d{3} \([01]\.\d{3} to [01]\.\d{3}\) +[01]\.\d{3}$", done.stdout, re.M)
    threshold = json.loads((folder / "thresholds.json").read_text())["threshold"]
    assert (folder / "report" / "thresholds.png").stat().st_size > 10_000

    index = tmp_path / "index"
    for gallery in (images / "class0", images / "class1"):
        built = run("search", f"run={folder}", f"gallery={gallery}", f"index={index}")
        assert built.returncode == 0, built.stderr
    assert "12 rows of 4 dimensions, cosine, exact" in built.stdout
    again = run("search", f"run={folder}", f"gallery={images / 'class1'}", f"index={index}")
    assert again.returncode == 2 and "ids must be unique; 6 are in both" in again.stderr

    query = images / "class0" / "3.png"
    found = run("search", f"run={folder}", f"index={index}", f"query={query}", "k=2", "json=true")
    (answer,) = json.loads(found.stdout)
    assert answer["query"] == answer["hits"][0]["id"] == str(query) and len(answer["hits"]) == 2
    matched = run("match", f"run={folder}", f"index={index}", f"query={images / 'class0'}")
    assert matched.returncode == 0 and matched.stdout.count("0.0000") == 6
    assert metric_learning.Index.load(index).threshold == pytest.approx(threshold)
    nothing = run("match", f"run={folder}", f"index={index}", f"query={query}", "threshold=-1")
    assert nothing.stdout == f"{query}  no match\n"
    done = run(
        "search", f"run={folder}", f"index={index}", f"query={images / 'class0'}", f"out={tmp_path / 'hits.png'}"
    )
    assert done.stdout == f"what was found for 6 queries is in {tmp_path / 'hits.png'}\n", done.stderr
    assert (tmp_path / "hits.png").stat().st_size > 10_000

    lines = [
        f"class{i}/{j}.png,class{k}/5.png,{i == k}" for i in range(16) for j in range(5) for k in (i, i - 1) if k >= 0
    ]
    (images / "pairs.csv").write_text("\n".join(["first,second,same", *lines]), encoding="utf-8")
    done = run("calibrate", f"run={folder}", f"pairs={images / 'pairs.csv'}", "best_f1=true")
    (images / "pairs.csv").unlink()
    assert done.returncode == 0 and re.search(r"^ +pairs$", done.stdout, re.M), done.stderr
    assert json.loads((folder / "thresholds.json").read_text())["of"] == "pairs"
    matched = run("match", f"run={folder}", f"index={index}", f"query={query}", "threshold=run", "json=true")
    assert f"keeps its threshold {threshold:.4f}; that of its run is now" in matched.stderr
    assert json.loads(matched.stdout)[0]["hits"][0]["id"] == str(query)

    removed = run("search", f"index={index}", f"remove=[{query},{images / 'class1' / '0.png'}]")
    assert "10 rows of 4 dimensions" in removed.stdout, removed.stderr
    removed = run("search", f"index={index}", f"remove={query}")
    assert removed.returncode == 2 and "ids must be in the index; 1 are not" in removed.stderr

    for out in ("v.npz", "v.parquet"):
        done = run("embed", f"run={folder}", f"items={images}", f"out={tmp_path / out}")
        assert "96 embeddings of 4 dimensions" in done.stdout, done.stderr
        source = metric_learning.data.features(tmp_path / out)
        assert len(source.class_names) == 16 and source.input_shape == (4,)
        expected = metric_learning.load(folder).embed([str(query)])[0]
        rows = {
            caption: row
            for split in source.splits.values()
            for caption, row in zip(split.captions, split.inputs, strict=True)
        }
        if out == "v.npz":
            np.testing.assert_allclose(rows[f"row {query}"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("search", [], "expected run=FOLDER index=FOLDER, and gallery=... to fill the index or query=..."),
        ("search", ["run=a", "index=i", "query=q", "out=hits.txt"], "out must end in .json, .csv, .png; got hits.txt"),
        ("match", ["run=a", "index=i"], "expected run=FOLDER index=FOLDER query=..."),
        (
            "calibrate",
            ["run=a", "far=0.1", "pairs=p", "families=f"],
            "expected run=FOLDER .* pairs=FILE or families=FILE",
        ),
        ("search", ["run=nowhere", "index=i", "query=q"], "load needs the folder of a run .* there is none in nowhere"),
        ("search", ["run=nowhere", "indx=i"], "expected words key=value, with keys run, .*; got indx=i"),
        ("search", ["run=a", "run=b"], "run is given twice"),
        ("calibrate", ["run=nowhere"], "expected run=FOLDER and one of precision=0.95, .*best_f1=true"),
        ("calibrate", ["run=nowhere", "precision=high"], "could not convert string to float: 'high'"),
        ("embed", ["run=a", "items=b"], "expected run=FOLDER items=FOLDER_OR_FILE out=FILE"),
        ("embed", ["run=a", "items=b", "out=v.csv"], "out must end in .npz or .parquet; got v.csv"),
    ],
)
@pytest.mark.slow
def test_wrong_words_are_answered_in_one_line(script, words, message):
    done = run(script, *words)
    assert done.returncode == 2 and re.fullmatch(f"{script}.py: error: {message}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("script", ["search", "match", "calibrate", "embed"])
@pytest.mark.slow
def test_help_is_printed(script):
    assert run(script, "--help").stdout.count(f"python scripts/{script}.py run=outputs/RUN") >= 1

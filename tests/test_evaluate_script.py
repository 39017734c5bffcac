"""scripts/evaluate.py on vectors and on a saved model; of a run, see test_train.py."""

import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from metric_learning.evaluation import evaluate, read_vectors

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 6)
    rows = (rng.normal(size=(10, 5))[labels] + rng.normal(size=(60, 5))).astype(np.float32)
    return rows, np.array([f"class {label}" for label in labels]), np.arange(60) % 4


def test_every_kind_of_file_gives_the_same(data, tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows, labels, cameras = data
    np.savez(tmp_path / "all.npz", embeddings=rows, labels=labels, camera=cameras)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "cameras.npy", cameras)
    (tmp_path / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    table = pyarrow.table({"vectors": rows.tolist(), "label": labels.tolist(), "camera": cameras})
    pyarrow.parquet.write_table(table, tmp_path / "all.parquet")
    beside = {"labels": str(tmp_path / "labels.txt"), "groups": str(tmp_path / "cameras.npy")}
    for found in (
        read_vectors(tmp_path / "all.npz", groups="camera"),
        read_vectors(tmp_path / "all.parquet", groups="camera"),
        read_vectors(tmp_path / "rows.npy", **beside),
    ):
        np.testing.assert_array_equal(found["vectors"], rows)
        assert found["labels"].tolist() == labels.tolist()
        np.testing.assert_array_equal(found["groups"], cameras)
        assert found["vectors"].dtype == np.float32 and set(found) == {"vectors", "labels", "groups"}


def test_refuses_files_in_one_line(data, tmp_path):
    np.savez(tmp_path / "all.npz", embeddings=data[0], names=data[1])
    np.save(tmp_path / "flat.npy", data[2])
    (tmp_path / "broken.npz").write_bytes(b"PK")
    for path, named, message in (
        ("none.npz", {}, "vectors must be a .npz, .npy or .parquet file; there is no"),
        ("all.npz", {}, "labels must be named, as none is called labels, .*; it has embeddings, names"),
        ("all.npz", {"labels": "name"}, "labels must be a file or one of embeddings, names in .*; got 'name'"),
        ("flat.npy", {"labels": str(tmp_path / "flat.npy")}, r"vectors must be numbers \[n, D\]; got int64 \[60\]"),
        ("broken.npz", {}, "broken.npz cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            read_vectors(tmp_path / path, **named)


def test_vectors_are_judged_with_intervals(data, tmp_path):
    rows, labels, cameras = data
    np.savez(tmp_path / "queries.npz", vectors=rows[:20], labels=labels[:20], groups=cameras[:20])
    np.savez(tmp_path / "gallery.npz", vectors=rows, labels=labels, groups=cameras)
    words = [f"vectors={tmp_path}/queries.npz", f"gallery={tmp_path}/gallery.npz", f"json={tmp_path}/found.json"]
    words += [f"report={tmp_path}/report"]
    words += ["evaluation.metrics=[recall@k,map]", "evaluation.ks=[1,5]", "evaluation.distance=euclidean"]
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")  # as a user starts it
    assert done.returncode == 0 and "97.5 %" in done.stdout, done.stderr
    written = json.loads((tmp_path / "found.json").read_text())
    bounds = written.pop("intervals")
    gallery = {"gallery_embeddings": rows, "gallery_labels": labels, "gallery_groups": cameras, "groups": cameras[:20]}
    options = {"metrics": ["recall@k", "map"], "ks": (1, 5), "distance": "euclidean"}
    assert written == evaluate(rows[:20], labels[:20], **gallery, **options).scores
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "queries.npz" in page and "class 3" in page and "row 17" in page and 'id="thresholds"' not in page
    assert set(bounds) == {"recall@1", "recall@5", "map"} and bounds["map"][0] < written["map"] < bounds["map"][1]


def test_a_saved_model_is_judged_on_a_folder(script, tmp_path):
    rng = np.random.default_rng(0)
    for label in range(10):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(24 * label, 24 * label + 24, size=(9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / str(label) / f"{number}.png")
    inputs = keras.Input((6, 6, 3), dtype="uint8")
    pixels = keras.layers.Flatten()(keras.ops.cast(inputs, "float32"))
    keras.Model(inputs, pixels).save(tmp_path / "model.keras")
    words = [f"model={tmp_path}/model.keras", "data=image_folder", f"data.root={tmp_path}/images", "split=all"]
    done = script("evaluate", *words, "data.validation_fraction=0.2", "evaluation.distance=euclidean")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("recall@1 "))
    assert float(line.split()[1]) > 0.9 and "40" in done.stdout
    words = [f"report={tmp_path}/report", *words[:3], "data.validation_fraction=0.2", "evaluation.ks=[1]"]
    done = script("evaluate", *words, "split=test", "evaluation.distance=euclidean")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "images test" in page and "data:image/webp" in page and 'id="settings"' not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected run=FOLDER, model=FILE with data=..., or vectors=FILE"),
        (["vectors=a.npz", "run=b"], "expected run=FOLDER"),
        (["model=a.keras"], "expected run=FOLDER, model=FILE with data"),
        (["vectors=nowhere.npz"], "vectors must be a .npz, .npy or .parquet file; there is no nowhere.npz"),
        (["vectors=nowhere.npz", "evaluation.kss=[1]"], "evaluation has .*ks.*; got kss"),
        (["model=a.keras", "data=image_folder", "data.rot=x"], "data.rot is no setting; data has root, "),
        (["vectors=a.npz", "split=some"], "split must be one of train, validation, test, all; got 'some'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(script, words, message):
    done = script("evaluate", *words)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert re.search(message, line)

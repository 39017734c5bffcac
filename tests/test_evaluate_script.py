"""scripts/evaluate.py on vectors and on a saved model; of a run, see test_train.py."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import hydra
import keras
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

import train
from metric_learning.data import image_folder
from metric_learning.data.column_ids import ColumnIds
from metric_learning.encoder_files import save_encoder
from metric_learning.encoders import cnn
from metric_learning.evaluation import Judge, evaluate, read_vectors

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
    words = [f"vectors={tmp_path}/queries.npz", f"gallery={tmp_path}/gallery.npz", f"out={tmp_path}/found.json"]
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


def test_other_images_are_brought_to_their_size_as_those_of_the_run_were(script, tmp_path):
    rng = np.random.default_rng(0)
    for label in range(8):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(16 * label, 128 + 16 * label, size=(4, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / str(label) / f"{number}.png")
    inputs = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32")))
    options = {"image_size": 6, "validation_fraction": 0.25, "test_fraction": 0.4}
    sources = {fit: image_folder(tmp_path / "images", fit=fit, **options) for fit in ("letterbox", "stretch")}
    scores = {fit: Judge(ks=(1,))(model, source, "test").evaluation.scores for fit, source in sources.items()}
    assert scores["letterbox"]["map@r"] != scores["stretch"]["map@r"]

    folder = tmp_path / "run"
    folder.mkdir()
    save_encoder(folder, model, sources["stretch"], "cosine")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    evaluation = OmegaConf.load(ROOT / "conf" / "evaluation" / "exact.yaml")
    evaluation.distance = "cosine"
    (folder / "config.yaml").write_text(OmegaConf.to_yaml({"evaluation": evaluation}), encoding="utf-8")
    words = [f"run={folder}", "data=image_folder", f"data.root={tmp_path}/images", "data.validation_fraction=0.25"]
    words += ["data.test_fraction=0.4", "evaluation.ks=[1]", f"out={tmp_path}/scores.json"]
    for fit, more in (("stretch", []), ("letterbox", ["data.fit=letterbox"])):
        done = script("evaluate", *words, *more)
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "scores.json").read_text())
        assert found["map@r"] == scores[fit]["map@r"]


def test_a_split_of_a_run_is_judged_alone_and_what_differs_is_written_too(configure, images, script, tmp_path):
    cfg, folder = configure(), tmp_path / "run"
    source = image_folder(images, image_size=8)
    folder.mkdir()
    source.save(folder)
    save_encoder(folder, cnn(source.input_shape, widths=[4], embedding_dim=4), source, cfg.distance)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    (folder / "metrics.json").write_text('{"test/recall@1": 2.0}', encoding="utf-8")
    out = tmp_path / "scores.json"

    done = script("evaluate", f"run={folder}", f"out={out}")
    assert done.returncode == 2 and f"differ from {folder}/metrics.json" in done.stderr
    again = json.loads(out.read_text(encoding="utf-8"))
    for split in ("validation", "test", "train", "all"):
        done = script("evaluate", f"run={folder}", f"split={split}", f"out={out}")
        assert done.returncode == 0 and "97.5 %" in done.stdout, done.stderr
        scores = json.loads(out.read_text(encoding="utf-8"))
        size = 96 if split == "all" else len(getattr(source, split))
        assert scores["queries"] == size and scores["recall@1"] == again.get(f"{split}/recall@1", scores["recall@1"])
    moved = script("evaluate", f"run={folder}", "split=test", "data.rot=x")
    assert moved.returncode == 2 and "rot" in moved.stderr
    assert "changed" not in done.stderr
    (shutil.copytree(images, tmp_path / "fewer") / "class3" / "5.png").unlink()
    fewer = script("evaluate", f"run={folder}", "split=test", f"data.root={tmp_path / 'fewer'}")
    assert fewer.returncode == 0 and f"warning: the data have changed since {folder} began: " in fewer.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vectors=a.npz", "split=test"], "split is of data, and vectors have none"),
        (["run=a", "gallery=b.npy", "ids=c"], "gallery, ids go with vectors=FILE alone"),
        ([], "expected run=FOLDER, model=FILE with data=..., or vectors=FILE"),
        (["vectors=a.npz", "run=b"], "expected run=FOLDER"),
        (["model=a.keras"], "expected run=FOLDER, model=FILE with data"),
        (["vectors=nowhere.npz"], "vectors must be a .npz, .npy or .parquet file; there is no nowhere.npz"),
        (["vectors=nowhere.npz", "evaluation.kss=[1]"], "evaluation has .*ks.*; got kss"),
        (["model=a.keras", "data=image_folder", "data.rot=x"], "data.rot is no setting; data has root, "),
        (["model=a.keras", "data=image_folder", "data.unseen_classes=no"], "data.unseen_classes must be true or false"),
        (["vectors=nowhere.npz", "evaluation.ks=[1,2"], r"evaluation.ks cannot be read; .* got '\[1,2'"),
        (["vectors=a.npz", "out=found.csv"], "out must end in .json; got found.csv"),
        (["run=a", "split=some"], "split must be one of train, validation, test, all; got 'some'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(script, words, message):
    done = script("evaluate", *words)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert re.search(message, line)


def test_the_categories_of_other_data_get_the_ids_of_the_run():
    own = ColumnIds(("color", "age"), (("blue", "red"), ()), (None, (1.0,)))
    other = ColumnIds(("age", "shop", "color"), ((), ("x",), ("amber", "blue", "red")), ((1.0,), None, None))
    ids = np.array([[2, 1, 0], [1, 0, 1], [0, 1, 2], [1, 1, 3]], np.int32)
    assert own.translated(ids, other).tolist() == [[0, 2], [0, 1], [1, 0], [2, 1]]
    with pytest.raises(ValueError, match="columns color, age; age is missing"):
        own.translated(ids[:, 1:], ColumnIds(("shop", "color"), (("x",), ("red",)), (None, None)))
    with pytest.raises(ValueError, match="column age is of numbers in the bins of its own data"):
        own.translated(np.zeros((1, 2), np.int32), ColumnIds(("color", "age"), (("red",), ()), (None, (2.0,))))


@pytest.mark.slow
@pytest.mark.parametrize("column", ["categorical=[brand,shade]", "text=text"])
def test_other_data_are_read_by_the_vocabulary_of_the_run(column, script, without_report, tmp_path):
    """The same test rows beside other training rows: the encoder knows their words by the same ids, so scores hold."""
    rows = [(f"brand{label % 7}", f"shade{label // 7 + i % 2}", label, i) for label in range(20) for i in range(5)]
    parts = ["train", "validation", "test"]

    def write(name, *more):
        given = [*more, *rows]
        columns = (f"{b} {s} {i},{b},{s},c{n},{parts[min(n // 8, 2)]}" for b, s, n, i in given)
        (tmp_path / name).write_text("\n".join(["text,brand,shade,label,split", *columns]), encoding="utf-8")
        return f"data.path={tmp_path / name}"

    words = ["data=table", f"data.{column}", "encoder=embedding", "encoder.embedding_dim=4", "encoder.token_dim=4"]
    few = ["steps=4", "evaluation.every=2", "tracking=none", "batch.classes=4", "batch.samples=3"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        cfg = hydra.compose("config", [*words, *few, write("own.csv")])
    train.experiment(cfg, tmp_path / "run", resume=False)
    saved = json.loads((tmp_path / "run" / "metrics.json").read_text())

    again = script("evaluate", f"run={tmp_path}/run")
    assert again.returncode == 0 and "the same, to the last digit" in again.stdout, again.stderr
    # Rows of training that sort before all others: a vocabulary of these data would number everything else anew.
    other = write("other.csv", *((f"aa{i}", "aaa", i, 9) for i in range(8)))
    out = f"out={tmp_path}/new/scores.json"
    done = script("evaluate", f"run={tmp_path}/run", *words[:2], other, out)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert all(scores[name] == saved[f"test/{name}"] for name in ("map@r", "recall@1", "r_precision"))
    (tmp_path / "own.csv").write_text((tmp_path / "other.csv").read_text(encoding="utf-8"), encoding="utf-8")
    for name, words in (("evaluate", []), ("calibrate", ["best_f1=true"])):
        done = script(name, f"run={tmp_path}/run", *words)
        assert done.returncode == 2 and "the data have changed" in done.stderr
    assert not (tmp_path / "run" / "thresholds.json").exists()

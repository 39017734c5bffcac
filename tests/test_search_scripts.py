"""From a run to a decision by the scripts; test_first_hour starts each as a user does, in a process of its own."""

import json
import re

import numpy as np
import pytest

import metric_learning
import train
from metric_learning.data import image_folder
from metric_learning.encoder_files import describe_encoder
from metric_learning.encoders import cnn
from metric_learning.index.folder import FILLING, claimed
from metric_learning.index.found import _image_at


def test_a_run_is_calibrated_indexed_searched_and_matched(configure, images, script, tmp_path):
    folder = tmp_path / "run"
    train.experiment(
        configure("steps=60", "data.validation_fraction=0.4", "data.test_fraction=0.4"), folder, resume=False
    )
    about = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    assert (about["kind"], about["input_shape"], about["fit"], about["distance"]) == (
        *("images", [8, 8, 3]),
        *("letterbox", "cosine"),
    )

    refused = script("calibrate", f"run={folder}", "precision=0.999")
    assert refused.returncode == 2 and not (folder / "thresholds.json").exists()
    assert re.fullmatch(r"calibrate.py: error: precision=0.999 cannot be promised .* can\n", refused.stderr), (
        refused.stderr
    )
    done = script("calibrate", f"run={folder}", "best_f1=true")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^precision +[01]\.\d{3} \([01]\.\d{3} to [01]\.\d{3}\) +[01]\.\d{3}$", done.stdout, re.M)
    threshold = json.loads((folder / "thresholds.json").read_text())["threshold"]
    assert (folder / "report" / "thresholds.png").stat().st_size > 10_000

    index = tmp_path / "index"
    for gallery in (images / "class0", images / "class1"):
        built = script("search", f"run={folder}", f"gallery={gallery}", f"index={index}")
        assert built.returncode == 0, built.stderr
    assert "12 rows of 4 dimensions, cosine, exact" in built.stdout
    again = script("search", f"run={folder}", f"gallery={images / 'class1'}", f"index={index}")
    assert again.returncode == 2 and "6 of 6 items are in the index already" in again.stderr
    (images / "all.csv").write_text("file,kind\nclass1/1.png,1\nclass2/1.png,2\nclass2/1.png,2\n", encoding="utf-8")
    new = [f"gallery={images / 'all.csv'}", "column=file", "label=kind", "new_only=true"]
    added = script("search", f"run={folder}", f"index={index}", *new)
    (images / "all.csv").unlink()
    assert "13 rows" in added.stdout and "1 of 3 items are repetitions by their id" in added.stderr, added.stderr
    other = script("search", f"run={folder}", f"gallery={images / 'class2'}", f"index={index}", "kind=ivf")
    assert other.returncode == 2 and "is of kind exact; for kind=ivf build another" in other.stderr
    with claimed(index, FILLING):
        busy = script("search", f"run={folder}", f"gallery={images / 'class2'}", f"index={index}")
    assert busy.returncode == 2 and "is in use by process" in busy.stderr and len(busy.stderr.splitlines()) == 1

    query = images / "class0" / "3.png"
    found = script("search", f"run={folder}", f"index={index}", f"query={query}", "k=2", "json=true")
    (answer,) = json.loads(found.stdout)
    assert answer["query"] == answer["hits"][0]["id"] == str(query) and len(answer["hits"]) == 2
    matched = script("match", f"run={folder}", f"index={index}", f"query={images / 'class0'}")
    assert matched.returncode == 0 and matched.stdout.count("0.0000") == 6
    assert f"a match is within {threshold:.4f}, chosen for " in matched.stderr and " items of " in matched.stderr
    assert metric_learning.Index.load(index).threshold == pytest.approx(threshold)
    stranger = images / "class2" / "3.png"
    nothing = script("match", f"run={folder}", f"index={index}", f"query={stranger}", "threshold=0")
    assert nothing.stdout == f"{stranger}  no match\n"
    refused = script("match", f"run={folder}", f"index={index}", f"query={query}", "threshold=-1")
    assert (
        refused.returncode == 2 and "threshold must be a cosine distance, which is no number below 0" in refused.stderr
    )
    done = script(
        "search", f"run={folder}", f"index={index}", f"query={images / 'class0'}", f"out={tmp_path / 'hits.png'}"
    )
    assert done.stdout == f"what was found for 6 queries is in {tmp_path / 'hits.png'}\n", done.stderr
    assert (tmp_path / "hits.png").stat().st_size > 10_000

    lines = [
        f"class{i}/{j}.png,class{k}/5.png,{i == k}" for i in range(16) for j in range(5) for k in (i, i - 1) if k >= 0
    ]
    (images / "pairs.csv").write_text("\n".join(["first,second,same", *lines]), encoding="utf-8")
    done = script("calibrate", f"run={folder}", f"pairs={images / 'pairs.csv'}", "best_f1=true")
    (images / "pairs.csv").unlink()
    assert done.returncode == 0 and re.search(r"^ +pairs$", done.stdout, re.M), done.stderr
    assert json.loads((folder / "thresholds.json").read_text())["of"] == "pairs"
    matched = script("match", f"run={folder}", f"index={index}", f"query={query}", "threshold=run", "json=true")
    assert f"keeps its threshold {threshold:.4f}; that of its run is now" in matched.stderr
    assert re.search("a match is within .*, chosen for best_f1 on 155 labeled pairs, so of two", matched.stderr)
    assert json.loads(matched.stdout)[0]["hits"][0]["id"] == str(query)

    removed = script("search", f"index={index}", f"remove=[{query},{images / 'class1' / '0.png'}]")
    assert "11 rows of 4 dimensions" in removed.stdout, removed.stderr
    removed = script("search", f"index={index}", f"remove={query}")
    assert removed.returncode == 2 and "ids must be in the index; 1 are not" in removed.stderr

    for out in ("v.npz", "v.parquet"):
        done = script("embed", f"run={folder}", f"items={images}", f"out={tmp_path / out}")
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


def test_boxes_of_a_table_are_items_of_their_own(images, script, tmp_path):
    source = image_folder(images, image_size=8)
    (tmp_path / "run").mkdir()
    cnn(source.input_shape, widths=[4], embedding_dim=4).save(tmp_path / "run" / "encoder.keras")
    describe_encoder(tmp_path / "run", source, "cosine")
    photo = images / "class0" / "3.png"
    left, right = (f"{photo}[{box}]" for box in ("0,0,4,8", "4,0,8,8"))
    (tmp_path / "boxes.csv").write_text(f"path,x_1,y_1,x_2,y_2\n{photo},0,0,4,8\n{photo},4,0,8,8\n", encoding="utf-8")
    words = [f"run={tmp_path / 'run'}", f"index={tmp_path / 'index'}"]
    done = script("search", *words, f"gallery={tmp_path / 'boxes.csv'}")
    assert "2 rows of 4 dimensions" in done.stdout, done.stderr
    found = script("search", *words, f"query={tmp_path / 'boxes.csv'}", "json=true")
    assert [[hit["id"] for hit in each["hits"]] for each in json.loads(found.stdout)] == [[left, right], [right, left]]
    assert (_image_at(left) != _image_at(right)).any() and _image_at(f"{photo}[0,0,9,9]") is None


@pytest.mark.parametrize(
    ("program", "words", "message"),
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
        ("calibrate", ["run=nowhere", "precision=high"], "precision must be a number; got 'high'"),
        ("embed", ["run=a", "items=b"], "expected run=FOLDER items=FOLDER_OR_FILE out=FILE"),
        ("embed", ["run=a", "items=b", "out=v.csv"], "out must end in .npz or .parquet; got v.csv"),
        ("calibrate", ["run=a", "far=0.1", "pairs=none.csv"], "pairs must be a table, .*; there is none at none.csv"),
        ("calibrate", ["run=a", "far=0.1", "families=n.csv"], "families must be a table, .*; there is none at n.csv"),
        ("search", ["run=a", "index=i", "query=q", "expand=-2"], "expand must be at least 0; got -2"),
        ("compare", ["runs=a", "scores=[a"], r"scores cannot be read; expected such as .*; got '\[a'"),
        ("compare", ["runs=a", "scores=test/mrr"], r"scores must be a list, as \[a,b\]; got 'test/mrr'"),
        ("compare", ["run=a"], "expected words key=value, with keys runs, scores, objective; got run=a"),
    ],
)
def test_wrong_words_are_answered_in_one_line(script, program, words, message):
    done = script(program, *words)
    assert done.returncode == 2 and re.fullmatch(f"{program}.py: error: {message}.*\n", done.stderr), done.stderr

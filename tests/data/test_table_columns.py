"""Tables of categories, of several labels a row, of hierarchies and of weights."""

import json

import hydra
import numpy as np
import pytest

import train
from metric_learning.data import table
from metric_learning.data.column_ids import ColumnIds

PARTS = ["train"] * 4 + ["validation"] * 4 + ["test"] * 4
COLORS = ["red", "red", "blue", "blue"] * 3


def write(path, header, *columns):
    lines = [header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_categories_and_numbers_become_ids_of_their_own_columns(tmp_path):
    countries = ["de", "fr", "de", "", "it", "fr", "de", "de", "fr", "fr", "de", "de"]
    ages = [10, 20, 30, 40, 5, 25, "", 99, 10, 10, 10, 10]
    labels = [f"{color} {part}" for color, part in zip(COLORS, PARTS, strict=True)]
    path = write(tmp_path / "t.csv", "country,age,label,split", countries, ages, labels, PARTS)
    source = table(path, categorical="country", numeric="age", bins=2)
    assert (source.kind, source.input_shape, source.vocabulary_size, source.column_sizes) == ("ids", (2,), None, (3, 3))
    # de is 1, fr is 2, and it, which training has not, 0; the median of 10, 20, 30, 40 is 25.
    assert source.train.inputs.tolist() == [[1, 1], [2, 1], [1, 2], [0, 2]]
    assert source.validation.inputs.tolist() == [[0, 1], [2, 2], [1, 0], [1, 2]]
    assert source.train.inputs.dtype == np.int32
    assert source.train.captions[2:] == ("country de, age 30", "age 40")
    assert "t: rows of 2 columns; train 2 classes with 4 rows" in source.describe()
    source.save(tmp_path)
    assert ColumnIds.load(tmp_path / "columns.json") == source.columns
    assert json.loads((tmp_path / "columns.json").read_text(encoding="utf-8"))["sizes"] == [3, 3]
    assert source.changes_since(tmp_path) == ""
    path.write_text(path.read_text(encoding="utf-8").replace("it,5", "es,5"), encoding="utf-8")  # unknown, too
    assert "1 item changed" in table(path, categorical="country", numeric="age", bins=2).changes_since(tmp_path)


def test_rows_of_several_labels_share_classes(tmp_path):
    labels = ["a|b", "b", "c | a", "c", "a|b", "b|a", "c", "c", "a|b|c", "b", "a", "c"]
    path = write(tmp_path / "t.csv", "text,label,split", [f"text {i}" for i in range(12)], labels, PARTS)
    source = table(path, label_separator="|", unseen_classes=False)
    assert source.class_names == ("a", "b", "c")
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]]
    assert source.train.labels.dtype == bool and source.train.labels.tolist() == np.array(expected, bool).tolist()
    assert source.train.class_sizes.tolist() == [2, 2, 2]
    source.save(tmp_path)
    assert "train,1,a | b," in (tmp_path / "items.csv").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"share 3 classes \(a, b, c\)"):
        table(path, label_separator="|")
    with pytest.raises(ValueError, match="several labels cannot be parted by class; name a column of splits"):
        table(path, label_separator="|", split="")
    single = write(tmp_path / "s.csv", "text,label", [f"text {i}" for i in range(24)], [*"abcdefgh"] * 3)
    assert table(single, label_separator="|").train.labels.ndim == 1  # as without


def test_a_hierarchy_gives_levels_and_is_the_label_if_there_is_no_other(tmp_path):
    kinds = ["animal/dog/husky", "animal/dog/poodle", "animal/cat", "plant/oak"]
    names = [f"{kind} {part}" for part in ("x", "y", "z") for kind in kinds for _ in range(2)]
    parts = np.repeat(["train", "validation", "test"], 8)
    path = write(tmp_path / "t.csv", "text,kind,split", [f"text {i}" for i in range(24)], names, parts)
    source = table(path, hierarchy="kind")
    assert source.class_names[0] == "animal/cat x"

    def shared(one, other):
        same = source.train.levels[one] == source.train.levels[other]
        return int(np.cumprod(same).sum())

    # husky, husky, poodle, poodle, cat, cat, oak, oak
    assert [shared(0, row) for row in range(8)] == [3, 3, 2, 2, 1, 1, 0, 0]
    assert shared(4, 5) == 3  # of one class, though its path is shorter
    above = write(
        tmp_path / "a.csv",
        "text,label,kind,split",
        [f"text {i}" for i in range(24)],
        names,
        np.tile(np.repeat(["animal", "plant"], 4), 3),
        parts,
    )
    assert table(above, hierarchy="kind").train.levels.shape == (8, 2)  # and the class itself
    twice = above.read_text(encoding="utf-8").replace("text 0,animal/dog/husky x,animal", "text 0,plant/oak x,animal")
    above.write_text(twice, encoding="utf-8")
    with pytest.raises(ValueError, match="a class must have one place in the hierarchy; 'plant/oak x' has several"):
        table(above, hierarchy="kind")


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0] * 11 + [-1.0], "weights of at least 0, not so in row 12"), ([1.0] * 11 + ["x"], "must hold numbers")],
)
def test_weights_are_numbers_from_0(tmp_path, weights, message):
    labels = [f"{color} {part}" for color, part in zip(COLORS, PARTS, strict=True)]
    columns = [f"text {i}" for i in range(12)], labels, PARTS
    source = table(write(tmp_path / "t.csv", "text,label,split,w", *columns, np.arange(12) / 2), weight="w")
    assert source.validation.weights.tolist() == [2.0, 2.5, 3.0, 3.5]
    with pytest.raises(ValueError, match=message):
        table(write(tmp_path / "t.csv", "text,label,split,w", *columns, weights), weight="w")


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.categorical=[a,b]", "data.numeric=n", "encoder=embedding", "data.weight=w"],
        [
            "data.features=[n,w]",
            "encoder=mlp",
            "data.label_separator=|",
            "data.unseen_classes=false",
            "data.validation_fraction=0.5",
        ],
        [
            "data.features=[n,w]",
            "encoder=mlp",
            "data.label_separator=|",
            "data.unseen_classes=false",
            "data.validation_fraction=0.5",
            "loss=arc_face",
        ],
    ],
)
def test_they_train_from_end_to_end(tmp_path, overrides):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 8)
    several = [f"c{label}|d{label % 3}" if overrides[1] == "encoder=mlp" else f"c{label}" for label in labels]
    columns = labels % 5, labels % 7, labels + rng.normal(size=96) / 4, rng.random(96), several
    path = write(tmp_path / "t.csv", "a,b,n,w,label", *columns)
    small = ["batch.classes=3", "batch.samples=2", "steps=4", "evaluation.every=4", "evaluation.ks=[1,2]"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(train.__file__).replace("train.py", "conf")):
        cfg = hydra.compose(
            "config",
            ["data=table", f"data.path={path}", "tracking=none", "encoder.embedding_dim=4", *small, *overrides],
        )
    score = train.experiment(cfg, tmp_path / "run", False)
    assert 0 <= score <= 1 and (tmp_path / "run/report/neighbors.md").exists()

import json

import numpy as np
import pytest

from metric_learning.data import features

LABELS = np.array(["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"] * 3)
ROWS = np.arange(24 * 5, dtype=np.float32).reshape(24, 5)


def found_in(source):
    return {
        caption: (row.tolist(), source.class_names[label])
        for split in source.splits.values()
        for caption, row, label in zip(split.captions, split.inputs, split.labels, strict=True)
    }


EXPECTED = {f"row {i}": (ROWS[i].tolist(), str(LABELS[i])) for i in range(24)}


@pytest.mark.parametrize("names", [("features", "labels"), ("X", "y"), ("arr_0", "targets")])
def test_rows_keep_their_labels_whatever_the_arrays_are_called(tmp_path, names):
    np.savez(tmp_path / "f.npz", **{names[0]: ROWS, names[1]: LABELS, "other": LABELS[:2]})
    source = features(tmp_path / "f.npz")
    assert (source.kind, source.name, source.input_shape) == ("features", "f", (5,))
    assert source.describe().startswith("f: 5 features; train 2 classes with 6 rows,")
    assert found_in(source) == EXPECTED


@pytest.mark.parametrize("labels", ["labels.npy", "labels.txt"])
def test_a_npy_file_is_mapped_and_has_its_labels_beside_it(tmp_path, labels):
    np.save(tmp_path / "f.npy", ROWS)
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    assert found_in(features(tmp_path / "f.npy", labels=tmp_path / labels)) == EXPECTED


def test_other_numbers_become_float32_and_integers_are_labels(tmp_path):
    numbers = np.unique(LABELS, return_inverse=True)[1] + 2**24
    np.savez(tmp_path / "f.npz", v=ROWS.astype(np.float64), kind=numbers[:, None])
    source = features(tmp_path / "f.npz", vectors="v", label="kind")
    assert source.train.inputs.dtype == np.float32
    assert source.class_names == tuple(str(2**24 + i) for i in range(8))


def test_splits_ids_and_groups_are_arrays_beside_the_others(tmp_path):
    split = np.where(np.isin(LABELS, ["ant", "bee"]), "train", np.where(np.isin(LABELS, ["cat", "dog"]), "val", "test"))
    ids = np.char.add("n", np.arange(24).astype(str))
    np.savez(tmp_path / "f.npz", features=ROWS, labels=LABELS, splits=split, ids=ids, groups=np.arange(24) % 2)
    source = features(tmp_path / "f.npz")
    assert source.names_of(source.validation) == ["cat", "dog"]
    assert source.test.ids[:3] == ("n4", "n5", "n6") and source.test.groups[:3] == ("0", "1", "0")


def test_jsonl_is_read_as_a_table(tmp_path):
    lines = [json.dumps({"features": row.tolist(), "label": label}) for row, label in zip(ROWS, LABELS, strict=True)]
    (tmp_path / "f.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert sorted(found_in(features(tmp_path / "f.jsonl")).values()) == sorted(EXPECTED.values())


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"labels": LABELS}, {}, "has no array one of features, embeddings, .* data.vectors asks for; it has labels"),
        ({"features": ROWS}, {"label": "kind"}, "no array 'kind', which data.label asks for; it has features"),
        ({"features": ROWS, "labels": LABELS[:3]}, {}, r"labels must be .* \[24\], one for each .* got <U3 \[3\]"),
        ({"features": ROWS, "labels": LABELS == "ant"}, {}, "train, validation and test need at least 2 classes each"),
        ({"features": ROWS, "labels": np.arange(24.0)}, {}, "labels must be integers or texts .* got float64"),
        ({"features": ROWS[0], "labels": LABELS}, {}, r"features must be numbers \[n, F\], got float32 \[5\]"),
        ({"features": LABELS[:, None], "labels": LABELS}, {}, r"features must be numbers \[n, F\], got <U3"),
        ({"features": np.where(ROWS == 37, np.nan, ROWS), "labels": LABELS}, {}, "must be finite, and row 7, counted"),
        ({"features": ROWS, "labels": np.where(LABELS == "cat", "", LABELS)}, {}, "labels is empty in row 2"),
        ({"features": ROWS, "labels": LABELS, "split": np.full(24, "x")}, {}, "split must be one of train, .* got 'x'"),
        ({"features": ROWS, "labels": np.array([{}] * 24)}, {}, "and its labels cannot be read: .*allow_pickle"),
        ({"features": ROWS, "labels": LABELS}, {"labels": "l.txt"}, "a .npz file has its labels in it, got l.txt"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, arrays, options, message):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        features(tmp_path / "f.npz", **options)


def test_files_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match="data.path must be a .npz, .* got .*f.npz, which does not exist"):
        features(tmp_path / "f.npz")
    np.save(tmp_path / "f.npy", ROWS)
    with pytest.raises(ValueError, match="a .npy file needs its labels, got None"):
        features(tmp_path / "f.npy")
    with pytest.raises(ValueError, match="its labels cannot be read: .*No such file"):
        features(tmp_path / "f.npy", labels=tmp_path / "none.txt")
    (tmp_path / "f.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="f.npz and its labels cannot be read"):
        features(tmp_path / "f.npz")

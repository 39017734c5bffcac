"""Each format of each kind of encoder, tried in a process of its own; how it is called, and what is refused."""

import base64
import json
import re
import runpy
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import metric_learning
from metric_learning.data import features, image_folder, table
from metric_learning.encoder_files import describe_encoder
from metric_learning.encoders import cnn, embedding, hub_text, mlp, pretrained
from metric_learning.export import export, onnx_file, raw_items_of
from metric_learning.export.inputs import check_float32
from metric_learning.export.preprocess import write_preprocess
from metric_learning.whole_files import write_json

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def leave(folder, encoder, source, distance="cosine"):
    """What a run leaves of its encoder, loaded, and items of its test split."""
    folder.mkdir()
    encoder.save(folder / "encoder.keras")
    source.save(folder)
    describe_encoder(folder, source, distance)
    scores = {"test/recall@1": 0.75, "untrained/test/recall@1": 0.25, "intervals": {"test/recall@1": [0.7, 0.8]}}
    write_json(folder / "metrics.json", scores)
    found = metric_learning.load(folder)
    return found, raw_items_of(found, source.test, 20)


@pytest.fixture(scope="module")
def of_images(images, tmp_path_factory):
    keras.utils.set_random_seed(0)
    source = image_folder(images, image_size=(12, 16))
    return leave(
        tmp_path_factory.mktemp("images") / "run", cnn(source.input_shape, widths=[4], embedding_dim=5), source
    )


@pytest.fixture(scope="module")
def of_backbone(images, tmp_path_factory):
    keras.utils.set_random_seed(0)
    source = image_folder(images, image_size=(32, 32))
    model = pretrained(source.input_shape, backbone="MobileNetV2", weights=None, embedding_dim=5)
    for weight in model.weights:  # as they begin, all images come out nearly alike
        if "kernel" in weight.path:
            weight.assign(3.0 * weight)
    return leave(tmp_path_factory.mktemp("backbone") / "run", model, source)


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("texts")
    lines = ["text,label"] + [f"{word} is number {i},{word}" for word in WORDS for i in range(5)]
    (folder / "texts.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(folder / "texts.csv")
    model = embedding(source.input_shape, vocabulary_size=source.vocabulary_size, embedding_dim=5, initial_scale=1.0)
    return leave(folder / "run", model, source)


@pytest.fixture(scope="module")
def of_ids(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("ids")
    rows = [{"the brand": f"b{i % 5}", "price": str(i % 7), "label": WORDS[i % 8]} for i in range(40)]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (folder / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(folder / "rows.csv", categorical=["the brand"], numeric=["price"])
    sizes = {"vocabulary_size": None, "column_sizes": source.column_sizes, "initial_scale": 1.0}
    return leave(folder / "run", embedding(source.input_shape, **sizes, embedding_dim=5), source)


@pytest.fixture(scope="module")
def of_features(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("features")
    rows = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    np.savez(folder / "rows.npz", features=rows, labels=np.repeat(np.arange(8), 5))
    source = features(folder / "rows.npz")
    inputs = keras.Input(source.input_shape)  # with constants in front, as pretrained backbones have them
    scaled = keras.layers.Normalization(mean=np.arange(7.0), variance=np.full(7, 4.0))(inputs)
    model = keras.Model(inputs, mlp(source.input_shape, embedding_dim=5)(scaled))
    return leave(folder / "run", model, source, "euclidean")


@pytest.fixture(scope="module")
def of_backbone_of_texts(tmp_path_factory):
    """A small BERT of KerasHub with its tokenizer, as `encoder=hub_text` makes it."""
    hub = pytest.importorskip("keras_hub")
    folder = tmp_path_factory.mktemp("hub")
    keras.utils.set_random_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "is", "number", *"01234"]
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 12}
    backbone = hub.models.BertBackbone(vocabulary_size=len(pieces), **sizes)
    for weight in backbone.weights:  # far from each other, as trained ones are
        weight.assign(keras.random.normal(weight.shape, stddev=0.5, seed=len(weight.path)))
    backbone.save_to_preset(str(folder / "preset"))
    hub.models.BertTokenizer(pieces, lowercase=True).save_to_preset(str(folder / "preset"))
    lines = ["text,label"] + [f"{word} is number {i},{word}" for word in WORDS for i in range(5)]
    (folder / "texts.csv").write_text("\n".join(lines), encoding="utf-8")
    model = hub_text((9,), vocabulary_size=9, preset=str(folder / "preset"), length=8, embedding_dim=5)
    return leave(folder / "run", model, table(folder / "texts.csv"))


def needed(to):
    for package in {"onnx": ["tf2onnx", "onnxruntime"], "litert": ["ai_edge_litert"]}.get(to, []):
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "to"),
    [
        *(("images", to) for to in ("keras", "saved_model", "onnx", "litert")),
        ("backbone", "onnx"),
        *(("texts", to) for to in ("saved_model", "onnx")),
        *(("backbone_of_texts", to) for to in ("saved_model", "onnx")),
        *(("ids", to) for to in ("saved_model", "litert")),
        ("features", "onnx"),
    ],
)
def test_a_process_of_its_own_finds_the_same(kind, to, request, tmp_path):
    """`export` raises if it does not."""
    needed(to)
    encoder, items = request.getfixturevalue(f"of_{kind}")
    assert encoder.embed(items).std(axis=0).mean() > 0.01  # or else nothing would be seen
    found = export(encoder, to, tmp_path / "out", items)
    assert found.items == len(items) > 10 and found.difference <= 1e-5
    assert found.size == sum(file.stat().st_size for file in found.folder.rglob("*") if file.is_file())
    about = json.loads((found.folder / "export.json").read_text())
    assert about["checked"] == {"items": len(items), "largest_difference": found.difference}
    assert (about["format"], about["kind"], about["distance"]) == (to, encoder.kind, encoder.distance)
    card = (found.folder / "README.md").read_text(encoding="utf-8")
    assert "| recall@1 | 0.750 | 0.700 to 0.800 | 0.250 |" in card and "License of the data: not known" in card
    assert re.search(r"\| test \| \d+ \| \d+ \|", card) and "No threshold has been chosen" in card
    assert "recall@k: how many have one of their class among the k nearest." in card and "map@r:" not in card
    if to == "onnx" and "images" not in about["input"]["name"]:  # of these nothing else is needed
        code = card.partition("```python\n")[2].partition("```")[0]
        done = subprocess.run([sys.executable, "-c", code], cwd=found.folder, capture_output=True, encoding="utf-8")
        assert (done.stdout, done.stderr) == ("(2, 5)\n" if kind != "backbone_of_texts" else "(1, 5)\n", "")
    assert "\n\n\n\n" not in card and "None" not in card.replace("is None", "").replace("(None", "")


def test_odd_pictures_are_read_as_the_encoder_reads_them(of_images, odd_pictures, tmp_path):
    encoder, _ = of_images
    write_preprocess(encoder, tmp_path)
    for name, file in odd_pictures.items():
        (tmp_path / name).write_bytes(file)
    found = runpy.run_path(str(tmp_path / "preprocess.py"))["inputs"](list(odd_pictures.values()))
    expected = encoder.inputs_of([tmp_path / name for name in odd_pictures], problems := {})
    np.testing.assert_array_equal(found, np.asarray(expected))
    assert not problems


@pytest.mark.slow
def test_an_export_that_differs_is_no_export(of_features, tmp_path, monkeypatch):
    needed("onnx")
    encoder, items = of_features
    monkeypatch.setattr(onnx_file, "forward", lambda model: lambda x: {"embeddings": model(x) * 1.001})
    with pytest.raises(
        ValueError, match=r"differ by up to \d.\de-0\d in to=onnx, more than 1e-05; nothing was written"
    ):
        export(encoder, "onnx", tmp_path / "out", items)
    monkeypatch.setattr(
        onnx_file, "usage", lambda encoder: "import tensorflow\nembed = lambda items: [[0.0] * 5 for _ in items]\n"
    )
    with pytest.raises(
        ValueError, match="does not run in a process of its own: AssertionError: TensorFlow was imported"
    ):
        export(encoder, "onnx", tmp_path / "out", items)
    assert not list(tmp_path.iterdir())


def test_a_keras_export_is_loaded_alone_and_moved(of_texts, tmp_path):
    encoder, items = of_texts
    write_json(encoder.folder / "thresholds.json", threshold := THRESHOLD)
    try:
        export(metric_learning.load(encoder.folder), "keras", tmp_path / "out")
    finally:
        (encoder.folder / "thresholds.json").unlink()
    moved = shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    again = metric_learning.load(moved)
    np.testing.assert_array_equal(again.embed(items), encoder.embed(items))
    assert (again.fingerprint, again.scores, again.card) == (encoder.fingerprint, encoder.scores, encoder.card)
    assert again.calibration == threshold
    card = (again.folder / "README.md").read_text(encoding="utf-8")
    assert "distance of **0.1250** (0.1000 to 0.1500), chosen for precision=0.9: precision 0.950 (0.900 to" in card
    export(again, "keras", moved)  # over itself
    np.testing.assert_array_equal(metric_learning.load(moved).embed(items), encoder.embed(items))


THRESHOLD = {"threshold": 0.125, "interval": [0.1, 0.15], "target": "precision", "value": 0.9}
THRESHOLD["rates"] = {"precision": [0.95, 0.9, 0.99]}


def rest(signature, body):
    """What TensorFlow Serving makes of a request: a value for each instance, or of several inputs a value by name."""

    def plain(value):
        return base64.b64decode(value["b64"]) if isinstance(value, dict) and set(value) == {"b64"} else value

    instances = json.loads(body)["instances"]
    specs = signature.structured_input_signature[1]
    if len(specs) == 1:
        ((name, spec),) = specs.items()
        return {name: tf.constant([plain(value) for value in instances], spec.dtype)}
    return {name: tf.constant([plain(value[name]) for value in instances], spec.dtype) for name, spec in specs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "ids"])
def test_a_saved_model_answers_as_tensorflow_serving_asks(kind, request, tmp_path):
    encoder, items = request.getfixturevalue(f"of_{kind}")
    export(encoder, "saved_model", tmp_path / "out")
    assert (tmp_path / "out" / "1" / "saved_model.pb").is_file()  # a folder for each version
    served = tf.saved_model.load(tmp_path / "out" / "1").signatures
    if kind == "images":
        assert list(served["serving_default"].structured_input_signature[1]) == ["image_bytes"]
        instances = [{"b64": base64.b64encode(item).decode()} for item in items[:3]]
    else:
        items = [row | {"price": row["price"] or 0.0} for row in items]
        instances = [{"the_brand": row["the brand"], "price": row["price"]} for row in items[:3]]
    found = served["serving_default"](**rest(served["serving_default"], json.dumps({"instances": instances})))
    np.testing.assert_allclose(found["embeddings"].numpy(), encoder.embed(items[:3]), atol=1e-5)
    if kind == "images":
        pixels = np.random.default_rng(0).integers(256, size=(2, *encoder.input_shape), dtype=np.uint8)
        found = served["images"](images=tf.constant(pixels))["embeddings"]
        np.testing.assert_allclose(found.numpy(), encoder.embed(pixels), atol=1e-5)


def test_what_cannot_be_exported_is_refused_in_one_line(of_features, tmp_path, monkeypatch):
    encoder, _ = of_features
    with pytest.raises(ValueError, match="to must be one of keras, saved_model, onnx, litert; got 'h5'"):
        export(encoder, "h5", tmp_path / "out")
    with pytest.raises(ValueError, match="out must be a new or empty folder"):
        export(encoder, "keras", encoder.folder)
    monkeypatch.setattr(onnx_file, "PACKAGES", ("tf2onnx_of_nobody",))
    with pytest.raises(
        ValueError, match=r"to=onnx needs more packages \(tf2onnx_of_nobody\): pip install .*\[export\]"
    ):
        export(encoder, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mixed_precision_is_not_for_other_runtimes(of_features):
    encoder, _ = of_features
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = mlp((7,), hidden=[4], embedding_dim=5)
    finally:
        keras.config.set_dtype_policy(policy)
    check_float32("onnx", encoder.model)
    with pytest.raises(ValueError, match="to=onnx needs an encoder that computes in float32; this one .* in bfloat16"):
        check_float32("onnx", mixed)

"""What a user holds after training takes what people have, and gives what the run would have given."""

import io
import json
import shutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from PIL import Image

import metric_learning
from metric_learning.data import image_folder, table
from metric_learning.data.source import image_source
from metric_learning.encoder_files import describe_encoder
from metric_learning.encoders import cnn, embedding, mlp
from metric_learning.evaluation.embed import embed
from metric_learning.evaluation.search import search

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def leave(folder, encoder, source, distance="cosine"):
    """What a run leaves of its encoder."""
    folder.mkdir()
    encoder.save(folder / "encoder.keras")
    source.save(folder)
    describe_encoder(folder, source, distance)
    return folder


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for word in WORDS:
        (tmp_path / "photos" / word).mkdir(parents=True)
        for i in range(3):
            size = rng.integers(8, 40, 2)
            Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8)).save(
                tmp_path / "photos" / word / f"{i}.png"
            )
    return tmp_path / "photos"


@pytest.fixture
def of_images(photos, tmp_path):
    keras.utils.set_random_seed(0)
    source = image_folder(photos, image_size=(12, 16), fit="stretch")
    model = cnn(source.input_shape, widths=[4], embedding_dim=5)
    return leave(tmp_path / "run", model, source), model, source


@pytest.fixture
def of_texts(tmp_path):
    keras.utils.set_random_seed(0)
    lines = ["text,label"] + [f"{word} is number {i},{word}" for word in WORDS for i in range(3)]
    (tmp_path / "texts.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(tmp_path / "texts.csv")
    model = embedding(source.input_shape, vocabulary_size=source.vocabulary_size, embedding_dim=5)
    return leave(tmp_path / "run", model, source), model, source


@pytest.fixture
def of_features(tmp_path):
    keras.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(24, 7)).astype(np.float32)
    labels = np.repeat(np.arange(8), 3)
    parts = {"train": np.arange(12), "validation": np.arange(12, 18), "test": np.arange(18, 24)}
    source = image_source("rows", WORDS, rows, labels, WORDS * 3, parts, kind="features")
    model = mlp(source.input_shape, embedding_dim=7)  # as long as what it embeds
    return leave(tmp_path / "run", model, source, "euclidean"), model, source


def test_files_bytes_pictures_and_arrays_are_embedded_as_the_run_does(of_images, photos):
    folder, model, source = of_images
    expected = embed(model, source.test.inputs)
    encoder = metric_learning.load(folder)
    paths = [photos / caption for caption in source.test.captions]
    pictures = [Image.open(path) for path in paths]
    for items in (
        paths,
        [str(path) for path in paths],
        [{"label": "ant", "image": path} for path in paths],
        [path.read_bytes() for path in paths],
        pictures,
        [np.asarray(picture) for picture in pictures],
        source.test.inputs,
    ):
        np.testing.assert_allclose(encoder.embed(items), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.embed(paths[0]), expected[:1], atol=1e-6)
    np.testing.assert_allclose(encoder.embed(np.asarray(pictures[0])), expected[:1], atol=1e-6)
    assert (encoder.kind, encoder.distance, encoder.embedding_dim) == ("images", "cosine", 5)
    assert encoder.card["splits"]["test"]["items"] == len(source.test)


def test_texts_and_features_are_embedded_as_the_run_does(of_texts):
    folder, model, source = of_texts
    encoder = metric_learning.load(folder)
    np.testing.assert_allclose(encoder.embed(source.test.captions), embed(model, source.test.inputs), atol=1e-6)
    rows = [{"label": "ant", "text": text} for text in source.test.captions]
    np.testing.assert_array_equal(encoder.embed(rows), encoder.embed(source.test.captions))
    np.testing.assert_array_equal(encoder.embed({"question": rows[0]["text"]}), encoder.embed(rows[0]["text"]))
    with pytest.raises(ValueError, match="must have a column text for an encoder of texts; item 1 has label, question"):
        encoder.embed([rows[0], {"label": "ant", "question": "?"}])
    with pytest.raises(ValueError, match="this encoder takes texts; item 1 is of type int"):
        encoder.embed(["a", 3])


def test_an_encoder_with_its_own_tokenizer_is_given_texts(of_texts, tmp_path):
    folder, _, source = of_texts
    texts = keras.Input((), dtype="string")
    hashed = keras.layers.Hashing(20)(keras.layers.Reshape((1,))(texts))
    model = keras.Model(texts, keras.layers.Flatten()(keras.layers.Embedding(20, 4)(hashed)))
    encoder = metric_learning.load(leave(tmp_path / "own", model, source))
    expected = embed(model, np.array(source.test.captions))
    np.testing.assert_allclose(encoder.embed(list(source.test.captions)), expected, atol=1e-6)


def test_rows_of_a_table_are_embedded_as_the_run_does(tmp_path):
    keras.utils.set_random_seed(0)
    rows = [{"brand": f"b{i % 5}", "price": str(i % 7), "label": WORDS[i % 8]} for i in range(40)]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(tmp_path / "rows.csv", categorical=["brand"], numeric=["price"])
    model = embedding(source.input_shape, vocabulary_size=None, column_sizes=source.column_sizes, embedding_dim=5)
    encoder = metric_learning.load(leave(tmp_path / "run", model, source))
    items = [rows[int(id) - 1] for id in source.test.ids]
    np.testing.assert_allclose(encoder.embed(items), embed(model, source.test.inputs), atol=1e-6)
    np.testing.assert_allclose(encoder.embed(items[0]), encoder.embed(items[:1]), atol=1e-6)
    unknown = embed(model, np.zeros((1, 2), np.int32))
    np.testing.assert_allclose(encoder.embed([{"brand": "none such", "price": None}]), unknown, atol=1e-6)
    with pytest.raises(ValueError, match="takes rows as {column: cell} of brand, price; item 0 is of type list"):
        encoder.embed([[1, 2]])
    with pytest.raises(ValueError, match="column price must hold numbers: .*'cheap'"):
        encoder.embed([{"brand": "b1", "price": "cheap"}])


def test_features_are_embedded_as_the_run_does(of_features):
    folder, model, source = of_features
    encoder = metric_learning.load(folder)
    expected = embed(model, source.test.inputs)
    rows = [{"features": row, "price": 3} for row in source.test.inputs]
    for items in (source.test.inputs, source.test.inputs.astype(np.float64), source.test.inputs.tolist(), rows):
        np.testing.assert_allclose(encoder.embed(items), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.embed(source.test.inputs[0]), expected[:1], atol=1e-6)
    first, second = expected[:2].astype(np.float64), expected[2:].astype(np.float64)
    by_hand = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in second] for a in first])
    np.testing.assert_allclose(encoder.distances(source.test.inputs[:2], source.test.inputs[2:]), by_hand, atol=1e-5)
    np.testing.assert_allclose(encoder.similarity(source.test.inputs[:2], source.test.inputs[2:]), -by_hand, atol=1e-5)
    with pytest.raises(ValueError, match=r"features, numbers \[n, 7\]; got \[1, 3\]"):
        encoder.embed(np.zeros(3))
    with pytest.raises(ValueError, match="features must be finite; row 1 is not, of 1 such rows"):
        encoder.embed([[0.0] * 7, [np.nan] * 7])


@pytest.mark.parametrize("kind", ["images", "texts", "features"])
@pytest.mark.slow
def test_a_fresh_process_elsewhere_embeds_searches_and_matches(kind, request, tmp_path, photos):
    """It imports nothing else, and the run has been moved."""
    folder, model, source = request.getfixturevalue(f"of_{kind}")
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(folder, moved)
    shutil.rmtree(folder)
    np.save(tmp_path / "expected.npy", embed(model, source.test.inputs))
    items = {
        "images": [str(photos / caption) for caption in source.test.captions],
        "texts": list(source.test.captions),
        "features": source.test.inputs.tolist(),
    }[kind]
    (tmp_path / "items.json").write_text(json.dumps(items), encoding="utf-8")
    program = f"""
        import json
        import metric_learning
        items = json.load(open({str(tmp_path / "items.json")!r}, encoding="utf-8"))
        encoder = metric_learning.load({str(moved)!r})
        index = encoder.index(items)
        found = index.search(encoder.embed(items), k=2)
        assert [hits[0].id for hits in found] == index.ids and found[0][0].distance < 1e-6
        index.save("index")
        again = metric_learning.Index.load("index", encoder)
        assert [hit.id for hit in again.match(encoder.embed(items), threshold=0.0001)] == index.ids
        import numpy
        expected = numpy.load({str(tmp_path / "expected.npy")!r})
        assert abs(encoder.embed(items) - expected).max() < 1e-6
    """
    root = str(metric_learning.__path__[0]).removesuffix("metric_learning")
    command = [sys.executable, "-W", "error::UserWarning", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=moved.parent, capture_output=True, encoding="utf-8", env={"PYTHONPATH": root})
    assert done.returncode == 0, done.stderr


def test_unreadable_images_are_named_counted_and_the_rest_is_done(of_images, photos):
    encoder = metric_learning.load(of_images[0])
    items = sorted(photos.rglob("*.png"))[:4]
    whole = encoder.embed(items)
    broken = [items[0], b"nothing", items[2], photos / "none.png", np.zeros((2, 2, 7), np.uint8)]
    with pytest.raises(
        ValueError,
        match=r"3 of 5 images cannot be read: item 1 .*; .*none.png \(no such file\); item 4.* skip_unreadable=True",
    ):
        encoder.embed(broken)
    with pytest.raises(ValueError, match="embed needs at least 1 item of images; got 0"):
        encoder.embed([])
    with pytest.warns(UserWarning, match="3 of 5 images cannot be read"):
        found = encoder.embed(broken, skip_unreadable=True)
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], atol=1e-6)
    assert np.isnan(found[[1, 3, 4]]).all()
    with pytest.warns(UserWarning, match="3 of 5 images cannot be read"):
        index = encoder.index(broken, labels=list("abcde"), skip_unreadable=True)
    assert [hit.label for hits in index.search(whole[:1], k=2) for hit in hits] == ["a", "c"]


def test_another_encoder_than_the_folder_says_is_refused(of_images, tmp_path):
    folder, model, source = of_images
    about = json.loads((folder / "encoder.json").read_text())
    packages = {"keras": "2.0.0", "tensorflow-of-nobody": "2.1"}
    (folder / "encoder.json").write_text(json.dumps(about | {"packages": packages}))
    with pytest.warns(UserWarning, match=r"was made with keras 2\.0\.0, here 3[.\d]+$"):
        metric_learning.load(folder)
    cnn(source.input_shape, widths=[4], embedding_dim=5).save(folder / "encoder.keras")
    with pytest.raises(ValueError, match="encoder.keras is not the one that encoder.json was written for"):
        metric_learning.load(folder)
    (folder / "encoder.json").write_text("{")
    with pytest.raises(ValueError, match="encoder.json is damaged"):
        metric_learning.load(folder)
    with pytest.raises(ValueError, match="needs the folder of a run with an encoder.keras; there is none"):
        metric_learning.load(tmp_path / "nowhere")


def test_code_of_others_is_not_imported_unless_trusted(of_images):
    folder = of_images[0]
    about = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps(about | {"target": "mynet.build"}))
    with pytest.raises(ValueError, match=r"an encoder made by mynet.build; if you trust it, say trusted=\['mynet'\]"):
        metric_learning.load(folder)
    with pytest.raises(ModuleNotFoundError):
        metric_learning.load(folder, trusted=["mynet"])


def test_a_run_from_before_there_was_encoder_json_is_read_by_its_configuration(of_images, photos):
    folder, model, source = of_images
    (folder / "encoder.json").unlink()
    (folder / "config.yaml").write_text("distance: cosine\ndata: {fit: stretch}\nencoder: {_target_: x}\n")
    paths = [photos / caption for caption in source.test.captions]
    np.testing.assert_allclose(metric_learning.load(folder).embed(paths), embed(model, source.test.inputs), atol=1e-6)


def test_search_is_that_of_the_evaluation(of_texts):
    folder, model, source = of_texts
    encoder = metric_learning.load(folder)
    rows = embed(model, source.test.inputs)
    expected = search(rows, rows, k=4)
    found = encoder.index(list(source.test.captions), ids=source.test.captions).search_rows(rows, 4)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert io.StringIO(repr(encoder)).read().startswith("<Encoder of texts (")

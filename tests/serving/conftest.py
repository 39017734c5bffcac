"""Small encoders of every kind with an index each, behind a real server on a free port of this machine."""

import base64
import contextlib
import http.client
import json
import threading
from typing import NamedTuple

import keras
import numpy as np
import pytest
from PIL import Image

import metric_learning
from metric_learning.data import table
from metric_learning.data.source import image_source
from metric_learning.encoder_files import describe_encoder
from metric_learning.encoders import cnn, embedding, mlp

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


class Served(NamedTuple):
    """A server, and what it should know."""

    port: int
    encoder: metric_learning.Encoder
    index: metric_learning.Index
    items: list  # as an `Encoder` takes them
    asked: list  # as JSON says them


def leave(folder, model, source, distance):
    folder.mkdir(parents=True)
    model.save(folder / "encoder.keras")
    source.save(folder)
    describe_encoder(folder, source, distance)
    return metric_learning.load(folder)


def of_images(root):
    rng = np.random.default_rng(0)
    paths = []
    for word in WORDS:
        (root / "photos" / word).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(256, size=(*rng.integers(8, 40, 2), 3), dtype=np.uint8)
            paths.append(root / "photos" / word / f"{i}.png")
            Image.fromarray(pixels).save(paths[-1])
    source = metric_learning.data.image_folder(root / "photos", image_size=(12, 16))
    encoder = leave(root / "run", cnn(source.input_shape, widths=[4], embedding_dim=5), source, "cosine")
    return encoder, encoder.index(paths, labels=[path.parent.name for path in paths]), [str(path) for path in paths]


def of_texts(root):
    texts = [f"{word} is number {i}" for word in WORDS for i in range(3)]
    lines = ["text,label"] + [f"{text},{text[:3]}" for text in texts]
    (root / "texts.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(root / "texts.csv")
    model = embedding(source.input_shape, vocabulary_size=source.vocabulary_size, embedding_dim=5)
    encoder = leave(root / "run", model, source, "cosine")
    return encoder, encoder.index(texts, ids=texts, labels=[text[:3] for text in texts]), texts


def of_ids(root):
    rows = [{"brand": f"b{i % 5}", "price": str(i % 7)} for i in range(40)]
    lines = ["brand,price,label"] + [f"{row['brand']},{row['price']},{WORDS[i % 8]}" for i, row in enumerate(rows)]
    (root / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    source = table(root / "rows.csv", categorical=["brand"], numeric=["price"])
    model = embedding(source.input_shape, vocabulary_size=None, column_sizes=source.column_sizes, embedding_dim=5)
    encoder = leave(root / "run", model, source, "cosine")
    return encoder, encoder.index(rows[:35]), rows[:35]


def of_features(root):
    rows = np.random.default_rng(0).normal(size=(24, 7)).astype(np.float32)
    parts = {"train": np.arange(12), "validation": np.arange(12, 18), "test": np.arange(18, 24)}
    labels = np.repeat(np.arange(8), 3)
    source = image_source("rows", WORDS, rows, labels, WORDS * 3, parts, kind="features")
    encoder = leave(root / "run", mlp(source.input_shape, embedding_dim=5), source, "euclidean")
    return encoder, encoder.index(rows), rows.tolist()


OF_KIND = {"images": of_images, "texts": of_texts, "ids": of_ids, "features": of_features}


@pytest.fixture(scope="session")
def running():
    """`with running(app) as port`: a server with this application, in a thread of this process."""
    uvicorn = pytest.importorskip("uvicorn")
    for package in ("fastapi", "fastapi_offline", "python_multipart"):
        pytest.importorskip(package)
    from metric_learning.serving import listen_on

    @contextlib.contextmanager
    def run(app):
        bound = listen_on("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """`made(kind)`: an encoder, an index of it, the items as an `Encoder` takes them, and as JSON says them."""
    found = {}

    def of(kind):
        if kind not in found:
            keras.utils.set_random_seed(0)
            root = tmp_path_factory.mktemp(kind)
            encoder, index, items = OF_KIND[kind](root)
            index.threshold, index.chosen_on = 0.05, "for far=0.05 on 9 labeled pairs"
            index.save(root / "index")
            found[kind] = encoder, index, items, [in_base64(item) for item in items] if kind == "images" else items
        return found[kind]

    return of


def in_base64(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


@pytest.fixture(scope="session")
def served(made, running):
    """`served(kind)`: `Served`, one for all tests."""
    from metric_learning.serving import create_app, names_of

    with contextlib.ExitStack() as stack:
        servers = {}

        def of(kind):
            if kind not in servers:
                encoder, index, items, asked = made(kind)
                app = create_app(encoder, index, names=names_of("127.0.0.1", ()))
                servers[kind] = Served(stack.enter_context(running(app)), encoder, index, items, asked)
            return servers[kind]

        yield of


@pytest.fixture(scope="session")
def call():
    """`call(port, method, path, body, headers)`: (status, JSON or bytes)."""

    def ask(port, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        if isinstance(body, dict | list):
            body, headers = json.dumps(body), {"content-type": "application/json"} | (headers or {})
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            found = response.read()
        finally:
            connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(found) if is_json else found

    return ask


@pytest.fixture(scope="session")
def form():
    """`form(*parts)`: (body, headers) of a form; a part is (name, text) or (name, bytes of a file)."""

    def of(*parts):
        body = b""
        for name, value in parts:
            file = b'; filename="a.png"' if isinstance(value, bytes) else b""
            body += b'--edge\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n' % (name.encode(), file)
            body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
        return body + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}

    return of

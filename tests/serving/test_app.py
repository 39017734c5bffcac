"""The server gives what the encoder and its index give, to each who asks, however many ask at once."""

import concurrent.futures
import gc
import io
import os
import pathlib
import tomllib
import types
import urllib.parse

import numpy as np
import psutil
import pytest
from PIL import Image

import metric_learning
from metric_learning.evaluation.embed import _compiled

pytest.importorskip("fastapi")
KINDS = ("images", "texts", "ids", "features")


def told(hits):
    return [hit._asdict() | {"distance": pytest.approx(hit.distance, abs=1e-6)} for hit in hits]


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_what_the_encoder_and_its_index_give(served, call, kind):
    port, encoder, index, items, asked = served(kind)
    expected = encoder.embed(items)
    status, answer = call(port, "POST", "/embed", {"items": asked})
    assert status == 200
    np.testing.assert_allclose(answer["embeddings"], expected, atol=1e-6)

    status, answer = call(port, "POST", "/search", {"items": asked[:5], "k": 3})
    assert status == 200 and (answer["threshold"], answer["chosen_on"]) == (0.05, "for far=0.05 on 9 labeled pairs")
    assert answer["found"] == [told(hits) for hits in index.search(expected[:5], 3)]
    assert len(call(port, "POST", "/search", {"items": asked[:1], "k": 1000})[1]["found"][0]) == len(index)

    status, answer = call(port, "POST", "/match", {"items": asked[:5]})
    assert status == 200 and answer["matches"] == [told([hit])[0] for hit in index.match(expected[:5])]
    status, answer = call(port, "POST", "/match", {"items": asked[:5], "threshold": -1})
    assert (status, answer) == (200, {"matches": [None] * 5, "threshold": -1.0, "chosen_on": None})


def test_pictures_come_in_forms_too(served, call, form):
    port, encoder, index, items, asked = served("images")
    files = [pathlib.Path(item).read_bytes() for item in items[:2]]
    by_json = call(port, "POST", "/search", {"items": asked[:2], "k": 4})
    by_form = call(port, "POST", "/search", *form(("items", files[0]), ("k", "4"), ("items", files[1])))
    assert by_form == by_json and by_json[0] == 200
    matched = call(port, "POST", "/match", *form(("items", files[0]), ("threshold", "0.5")))
    assert matched[1]["matches"][0]["id"] == items[0] and matched[1]["threshold"] == 0.5


def test_odd_pictures_are_read_as_the_encoder_reads_them(served, call, form, odd_pictures, tmp_path):
    """From paths, in which training has its files, and from what is sent."""
    port, encoder, _, _, _ = served("images")
    for name, file in odd_pictures.items():
        (tmp_path / name).write_bytes(file)
    expected = encoder.embed([tmp_path / name for name in odd_pictures])
    assert len(np.unique(expected.round(4), axis=0)) == len(odd_pictures)
    status, answer = call(port, "POST", "/embed", *form(*(("items", file) for file in odd_pictures.values())))
    assert status == 200
    np.testing.assert_allclose(answer["embeddings"], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once_get_what_each_would_get_alone(served, call, kind):
    port, encoder, index, items, asked = served(kind)
    rng = np.random.default_rng(3)
    questions = [(rng.integers(0, len(items), rng.integers(1, 9)), int(rng.integers(1, 6))) for _ in range(120)]
    rows = encoder.embed(items)

    def ask(question):
        chosen, k = question
        return call(port, "POST", "/search", {"items": [asked[i] for i in chosen], "k": k})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, questions))
    for (chosen, k), (status, answer) in zip(questions, answers, strict=True):
        assert status == 200
        expected = index.search(rows[chosen], k)
        assert [[hit["distance"] for hit in hits] for hits in answer["found"]] == [
            pytest.approx([hit.distance for hit in hits], abs=1e-6) for hits in expected
        ]
        assert all(hits[0]["distance"] < 1e-6 for hits in answer["found"])
    assert _compiled(encoder.model).experimental_get_tracing_count() == 1


def test_batches_have_few_sizes():
    from metric_learning.serving.service import padded_size

    assert [padded_size(rows) for rows in (1, 2, 3, 5, 8, 9, 16, 17, 64)] == [1, 2, 4, 8, 8, 16, 16, 24, 64]
    assert len({padded_size(rows) for rows in range(1, 65)}) == 11


def test_what_is_wrong_with_one_request_is_no_matter_of_those_beside_it(running, call):
    """An encoder that is out of its depth from 100 on: such an item goes through it with all the others."""
    from metric_learning.serving import create_app

    rows = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    index = metric_learning.Index(3, "euclidean")
    index.add(rows, range(24))
    encoder = types.SimpleNamespace(
        **{"kind": "features", "input_shape": (3,), "columns": (), "embedding_dim": 3, "distance": "euclidean"},
        inputs_of=lambda items, problems: np.array(items, np.float32),
        embed_inputs=lambda inputs, progress: np.where(inputs > 100, np.nan, inputs),
    )

    def ask(i):
        item = [101.0, 0.0, 0.0] if i % 4 == 0 else rows[i % 24].tolist()
        return call(port, "POST", "/search", {"items": [item], "k": 1})

    with running(create_app(encoder, index)) as port, concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(64)))
    said = {"detail": "the embedding of item 0 is not finite, so nothing can be said of it"}
    for i, (status, answer) in enumerate(answers):
        if i % 4 == 0:
            assert (status, answer) == (422, said)
        else:
            assert status == 200 and answer["found"][0][0] == {
                **{"id": str(i % 24), "distance": 0.0, "label": None, "metadata": None}
            }


@pytest.fixture(scope="module")
def bare(made, running):
    """The port of a server of texts that has no index."""
    from metric_learning.serving import create_app

    with running(create_app(made("texts")[0])) as port:
        yield port


def test_without_an_index_it_embeds_and_says_why_it_does_not_search(bare, made, call):
    encoder, _, items, asked = made("texts")
    status, answer = call(bare, "POST", "/embed", {"items": asked[:2]})
    np.testing.assert_allclose(answer["embeddings"], encoder.embed(items[:2]), atol=1e-6)
    for path in ("/search", "/match"):
        status, answer = call(bare, "POST", path, {"items": asked[:1]})
        assert status == 409 and answer == {"detail": "this server has no index to search; start it with index=FOLDER"}
    assert call(bare, "GET", "/health")[1]["index"] is None
    assert call(bare, "GET", "/thumbnail?id=a")[0] == 404


def test_without_a_threshold_it_says_so_and_takes_one(made, running, call):
    from metric_learning.serving import create_app

    encoder, _, items, asked = made("texts")
    with running(create_app(encoder, encoder.index(items))) as port:
        status, answer = call(port, "POST", "/match", {"items": asked[:1]})
        assert (status, answer["detail"]) == (
            409,
            "this index has no threshold; calibrate the run, or give one",
        )
        assert call(port, "POST", "/match", {"items": asked[:1], "threshold": 0.1})[0] == 200
        assert call(port, "POST", "/search", {"items": asked[:1]})[1]["threshold"] is None


def test_its_limits_are_those_it_was_given(made, running, call):
    from metric_learning.serving import Limits, create_app

    encoder, index, _, asked = made("texts")
    with running(create_app(encoder, index, limits=Limits(items=2, characters=20, k=3, body=0.001))) as port:
        for body, status in (
            ({"items": asked[:2], "k": 3}, 200),
            ({"items": asked[:3]}, 422),
            ({"items": ["x" * 20]}, 200),
            ({"items": ["x" * 21]}, 422),
            ({"items": asked[:1], "k": 4}, 422),
            ({"items": ["x" * 2000]}, 413),
        ):
            assert call(port, "POST", "/search", {"k": 1} | body)[0] == status, body
        assert call(port, "GET", "/health")[1]["limits"]["items"] == 2


def test_a_picture_may_have_as_many_pixels_as_the_limit_says(made, running, call, form):
    from metric_learning.serving import Limits, create_app

    encoder, index, _, _ = made("images")

    def png(width):
        file = io.BytesIO()
        Image.new("RGB", (width, 100)).save(file, "PNG")
        return file.getvalue()

    with running(create_app(encoder, index, limits=Limits(pixels=0.02))) as port:
        assert call(port, "POST", "/embed", *form(("items", png(200))))[0] == 200
        assert call(port, "POST", "/embed", *form(("items", png(100)), ("items", png(100))))[0] == 200
        status, answer = call(port, "POST", "/embed", *form(("items", png(100)), ("items", png(101))))
        assert status == 422 and answer["detail"] == (
            "the images of a request may have 0.02 million pixels; item 1 of 101 x 100 makes it 0.0201"
        )


def test_thumbnails_are_of_items_of_the_index_and_of_nothing_else(served, call, tmp_path):
    port, encoder, index, items, _ = served("images")

    def thumbnail(id):
        return call(port, "GET", "/thumbnail?" + urllib.parse.urlencode({"id": id}))

    status, png = thumbnail(items[3])
    with Image.open(io.BytesIO(png)) as image:
        assert status == 200 and image.size == (128, 128) and image.format == "PNG"
    beside = os.path.join(os.path.dirname(items[3]), "beside.png")
    Image.new("RGB", (9, 9)).save(beside)
    around = os.path.join(os.path.dirname(items[3]), "..", *items[3].split(os.sep)[-2:])
    for id in (beside, around, "/etc/passwd", "../../etc/passwd", "", "0"):
        assert thumbnail(id)[0] == 404, id
    assert call(port, "GET", "/thumbnail")[0] == 404
    assert call(port, "GET", "/thumbnail?id=a&id=b")[0] == 404
    text_port, _, text_index, _, _ = served("texts")
    id = urllib.parse.urlencode({"id": text_index.ids[0]})
    assert call(text_port, "GET", f"/thumbnail?{id}") == (204, b"")


def test_relative_ids_are_images_below_the_root(made, running, call):
    from metric_learning.serving import create_app

    encoder, _, items, _ = made("images")
    root, id = os.path.split(items[0])
    index = encoder.index([items[0], items[1], items[0]], ids=[id, "gone.png", f"{id}[0,0,2,1]"])
    with running(create_app(encoder, index, root=root)) as port:
        status, whole = call(port, "GET", f"/thumbnail?id={id}")
        assert status == 200
        status, box = call(port, "GET", f"/thumbnail?id={id}[0,0,2,1]")
        assert status == 200 and box != whole
        assert call(port, "GET", "/thumbnail?id=gone.png")[0] == 204


@pytest.mark.parametrize("kind", KINDS)
def test_its_api_describes_itself_without_the_network(served, call, kind):
    port = served(kind).port
    status, described = call(port, "GET", "/openapi.json")
    assert status == 200 and set(described["paths"]) == {"/embed", "/search", "/match", "/health", "/thumbnail"}
    about = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert described["info"]["version"] in (about["project"]["version"], "not installed")
    body = described["paths"]["/search"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json"} | ({"multipart/form-data"} if kind == "images" else set())
    assert set(body["application/json"]["schema"]["properties"]) == {"items", "k"}
    status, page = call(port, "GET", "/docs")
    assert status == 200 and b"//" not in page.replace(b"<!--", b"").replace(b"://localhost", b"")


def test_what_json_has_not_is_left_out_of_what_is_known_of_an_item(made, running, call):
    from metric_learning.serving import create_app

    encoder, _, items, asked = made("texts")
    index = encoder.index(items[:1], metadata=[{"price": float("nan"), "sizes": [1, float("inf")]}])
    with running(create_app(encoder, index)) as port:
        found = call(port, "POST", "/search", {"items": asked[:1]})[1]["found"]
        assert found[0][0]["metadata"] == {"price": None, "sizes": [1, None]}


def test_its_page_asks_nobody_else(served, call):
    port = served("images").port
    for path in ("/", "/page.css", "/page.js"):
        status, page = call(port, "GET", path)
        assert status == 200 and b"//" not in page.replace(b"// ", b"")


@pytest.mark.slow
def test_its_memory_stays_as_it_is(served, call, form):
    port, encoder, index, items, asked = served("images")
    file = pathlib.Path(items[0]).read_bytes()

    def ask(i):
        if i % 5 == 0:
            return call(port, "POST", "/search", *form(("items", file), ("k", "3")))
        if i % 5 == 1:
            return call(port, "POST", "/search", {"items": ["broken"]})
        return call(port, "POST", "/search", {"items": asked[: 1 + i % 9], "k": 1 + i % 3})

    def resident():
        gc.collect()
        return psutil.Process().memory_info().rss / 2**20

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(600)))
        before = resident()
        list(pool.map(ask, range(2000)))
    assert resident() - before < 20  # MB; a body kept for each request is 26

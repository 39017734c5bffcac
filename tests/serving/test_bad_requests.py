"""Hundreds of bad requests: each is answered by a status of 4xx and one sentence, and the server is as it was."""

import base64
import io
import json
import re
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
PATHS = ("/embed", "/search", "/match")
NOT_ITEMS = {
    "nothing": None,
    "a number": 3,
    "a text": "ant is number 1",
    "a mapping": {"0": "a"},
    "none": [],
    "too many": 257,
}
NOT_AN_ITEM = {
    "images": [7, None, [], {}, "", "not base64!", "AAAA", "Zm9vYmFy", "data:image/png;base64,AAAA", True, "é"],
    "texts": [7, None, [], {}, "", "x" * 10_001, True, ["a"], 1.5],
    "ids": [
        7,
        None,
        [],
        "b1",
        {"price": "cheap"},
        {"brand": []},
        {"weight": 3},
        {"brand": "x" * 10_001},
        True,
        {"price": {}},
    ],
    "features": [
        7,
        None,
        [],
        "a",
        {},
        [0.0] * 6,
        [0.0] * 8,
        ["a"] * 7,
        [None] * 7,
        [[0.0]] * 7,
        [1e39] * 7,
    ],
}
NOT_K = [0, -1, 10**9, 10**30, 1.5, "abc", "3", None, True, [], {}]
NOT_A_THRESHOLD = ["far", [], {}, True, "0.3"]
NOT_JSON = {
    "nothing": b"",
    "half of it": b'{"items": [',
    "no JSON": b"items=a",
    "NaN": b'{"items": ["a"], "k": NaN}',
    "an infinite number": b'{"items": ["a"], "k": 1e999}',
    "not UTF-8": b'{"items": ["\xff\xfe"]}',
    "half a surrogate": b'{"items": ["\\ud800"]}',
    "a list": b'["a"]',
    "a number": b"3",
    "null": b"null",
    "very deep": b'{"items": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a number of many digits": b'{"items": ["a"], "k": ' + b"9" * 10_000 + b"}",
    "something after it": b'{"items": ["a"]} and more',
}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=None, extra=b""):
    """A gray PNG of this size, all black unless it has other data."""
    pixels = zlib.compress(bytes(height * (1 + width))) if data is None else data
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def saved(form, size=(20, 20), **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def bad_files():
    """Name -> bytes of a file that is no image, half of one, or one that would grow beyond all measure."""
    yield "nothing", b""
    yield "a byte", b"\x00"
    yield "a text", b"this is no picture"
    yield "a page", b"<html><svg width='1e9'></svg></html>"
    yield "a PDF", b"%PDF-1.4\n%%EOF"
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n%%EOF\n"
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        whole = saved(form)
        yield f"the beginning of a {form}", whole[: len(whole) // 8]
        yield f"half of a {form}", whole[: len(whole) // 2]
        if form not in ("GIF", "WEBP"):  # which are whole a byte before their end
            yield f"a {form} without its last bytes", whole[:-40]
    yield "a PNG of 8000 x 8000", png(8000, 8000)
    yield "a PNG that says it is 60000 x 60000", png(60_000, 60_000, zlib.compress(b"\0"))
    yield "a PNG of no width", png(0, 9, zlib.compress(b""))
    yield "a PNG of a text of 100 MB", png(4, 4, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))))
    yield "a PNG of damaged pixels", png(40, 40, b"no zlib")
    yield (
        "a JPEG that says it is 65500 x 65500",
        re.sub(
            rb"(\xff\xc0\x00\x11\x08)....",
            rb"\1" + struct.pack(">HH", 65_500, 65_500),
            saved("JPEG"),
            count=1,
            flags=re.DOTALL,
        ),
    )
    yield "a GIF that says it is 65000 x 65000", b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0, 0, 0) + b";"
    yield (
        "a BMP that says it is 100000 x 100000",
        saved("BMP")[:18] + struct.pack("<ii", 100_000, 100_000) + saved("BMP")[26:],
    )
    yield "a PPM that says it is 50000 x 50000", b"P6 50000 50000 255 " + bytes(100)


def bad_requests(kind, good, form):
    """(name, method, path, body, headers) of requests that a server of this kind must refuse."""
    in_json = {"content-type": "application/json"}
    for path in PATHS:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            yield f"{method} {path}", method, path, None, {}
    for path in (
        "/nothing",
        "/search/",
        "/../etc/passwd",
        "/page/../app.py",
        "/thumbnail",
        "/thumbnail?id=/etc/passwd",
        "//",
    ):
        yield f"GET {path}", "GET", path, None, {}
    for name, body in NOT_JSON.items():
        yield f"JSON: {name}", "POST", "/search", body, in_json
    for given in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "image/png",
        "application/xml",
        "multipart/mixed",
    ):
        yield f"content-type {given}", "POST", "/search", json.dumps({"items": [good]}), {"content-type": given}
    for name, items in NOT_ITEMS.items():
        items = [good] * items if name == "too many" else items
        yield f"items: {name}", "POST", "/search", json.dumps({"items": items}), in_json
    for item in NOT_AN_ITEM[kind]:
        yield f"item {str(item)[:30]}", "POST", "/search", json.dumps({"items": [good, item]}), in_json
    for k in NOT_K:
        yield f"k {k}", "POST", "/search", json.dumps({"items": [good], "k": k}), in_json
    for threshold in NOT_A_THRESHOLD:
        yield f"threshold {threshold}", "POST", "/match", json.dumps({"items": [good], "threshold": threshold}), in_json
    for path, unknown in zip(PATHS, ("k", "threshold", "k"), strict=True):
        for name in (unknown, "texts", "items ", ""):
            yield f"field {name!r}", "POST", path, json.dumps({"items": [good], name: 1}), in_json
        yield "no items", "POST", path, "{}", in_json
    yield "settings in the address", "POST", "/search?k=3", json.dumps({"items": [good]}), in_json
    yield "another name", "POST", "/search", json.dumps({"items": [good]}), in_json | {"host": "evil.example"}
    yield "17 MB", "POST", "/search", json.dumps({"items": ["x" * 17_000_000]}), in_json
    if kind != "images":
        yield "a form", "POST", "/search", *form(("items", b"a"))
        return
    file = base64.b64decode(good)
    for name, broken in bad_files():
        yield f"{name} in a form", "POST", "/search", *form(("items", broken))
        text = base64.b64encode(broken).decode()
        yield f"{name} in JSON", "POST", "/search", json.dumps({"items": [good, text]}), in_json
    for parts in (
        [("items", file), ("k", "0")],
        [("items", file), ("k", "abc")],
        [("items", file), ("k", "1e9")],
        [("items", file), ("k", file)],
        [("items", file), ("wrong", "1")],
        [("items", "a text")],
        [("k", "3")],
        [("items", file)] * 257,
        [("items", file), *[("k", "3")] * 20],
        [("items", file), ("k", "3" * 20_000)],
        [],
    ):
        yield f"a form of {str(parts)[:40]}", "POST", "/search", *form(*parts)
    body, headers = form(("items", file))
    for name, broken, type_ in (
        ("half of a form", body[:60], headers["content-type"]),
        ("a form without its end", body[:-20], headers["content-type"]),
        ("a form without its boundary", body, "multipart/form-data"),
        ("a form of another boundary", body, "multipart/form-data; boundary=other"),
        ("an empty form", b"", headers["content-type"]),
        ("JSON as a form", b'{"items": []}', headers["content-type"]),
    ):
        yield name, "POST", "/search", broken, {"content-type": type_}


COUNTED = {}


# Of half a form Starlette leaves the file that it has begun to itself.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile.__del__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["images", "texts", "ids", "features"])
def test_each_is_answered_by_4xx_and_a_sentence(served, call, form, kind):
    port, _, _, _, asked = served(kind)
    before = call(port, "POST", "/search", {"items": asked[:2], "k": 3})
    assert before[0] == 200
    wrong = []
    for name, method, path, body, headers in bad_requests(kind, asked[0], form):
        COUNTED[kind] = COUNTED.get(kind, 0) + 1
        status, answer = call(port, method, path, body, headers)
        said = answer.get("detail") if isinstance(answer, dict) else None
        is_sentence = isinstance(said, str) and 10 < len(said) < 400 and "\n" not in said and "Traceback" not in said
        if not 400 <= status < 500 or set(answer) != {"detail"} or not is_sentence:
            wrong.append((name, status, answer))
    assert wrong == []
    assert COUNTED[kind] >= 80
    assert call(port, "POST", "/search", {"items": asked[:2], "k": 3}) == before


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /search HTTP/9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_too(served, call, sent):
    port = served("texts").port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    assert call(port, "GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        ("texts", {"items": [3]}, "items.0: input should be a valid string; got 3; this encoder takes texts"),
        ("texts", {"texts": ["a"], "items": ["a"]}, "texts is not known here; expected items, k"),
        ("texts", {"items": ["a"], "k": 0}, "k: input should be greater than or equal to 1; got 0"),
        ("texts", {}, "items: field required; this encoder takes texts"),
        ("images", {"items": ["a!"]}, "item 0 is not base64: Only base64 data is allowed"),
        (
            "features",
            {"items": [[1.0]]},
            "items.0: list should have at least 7 items after validation, not 1; got [1.0]; ",
        ),
        ("ids", {"items": [{"weight": 1}]}, "items.0.weight is not known here; expected brand, price"),
        (
            "ids",
            {"items": [{"price": "cheap"}]},
            "column price must hold numbers: could not convert string to float: 'cheap'",
        ),
    ],
)
def test_the_sentence_says_what_is_wrong(served, call, kind, body, sentence):
    status, answer = call(served(kind).port, "POST", "/search", body)
    assert status == 422 and answer["detail"].startswith(sentence), answer

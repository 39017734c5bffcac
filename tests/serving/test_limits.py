"""The guard: sizes, times and names of requests, before anything of them is understood."""

import asyncio
import dataclasses
import json

import pytest

pytest.importorskip("fastapi")
from metric_learning.serving.limits import Guard, Limits


async def echo(scope, receive, send):
    """Answers with what it was sent."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def never(scope, receive, send):
    await asyncio.sleep(60)


async def ask(guard, *parts, host=b"localhost:8000", pause=0.0):
    """(status, body) of a request that comes in parts."""
    sent, rest = [], list(parts)

    async def receive():
        await asyncio.sleep(pause)
        body = rest.pop(0)
        return body if isinstance(body, dict) else {"type": "http.request", "body": body, "more_body": bool(rest)}

    async def send(message):
        sent.append(message)

    await guard({"type": "http", "headers": [(b"host", host)]}, receive, send)
    return (sent[0]["status"], sent[1]["body"]) if sent else None


def asked(guard, *parts, **options):
    return asyncio.run(ask(guard, *parts, **options))


def refused(status, sentence):
    return status, json.dumps({"detail": sentence}).encode()


def test_a_body_in_parts_arrives_whole():
    assert asked(Guard(echo, Limits()), b"one ", b"two ", b"three") == (200, b"one two three")


def test_a_body_at_its_limit_is_taken_and_above_it_refused():
    guard = Guard(echo, Limits(body=0.001))
    assert asked(guard, b"x" * 600, b"x" * 400) == (200, b"x" * 1000)
    assert asked(guard, b"x" * 600, b"x" * 401) == refused(413, "a request may have 0.001 MB; this one has more")


def test_what_is_far_too_large_is_not_read_to_its_end():
    parts = [b"x" * 1000 for _ in range(50)]
    rest = iter(parts)

    async def main():
        taken = 0

        async def receive():
            nonlocal taken
            taken += 1
            return {"type": "http.request", "body": next(rest), "more_body": True}

        async def send(message):
            pass

        await Guard(echo, Limits(body=0.001))({"type": "http", "headers": []}, receive, send)
        return taken

    assert asyncio.run(main()) == 11


def test_what_comes_too_slowly_is_refused():
    guard = Guard(echo, Limits(seconds=0.05))
    assert asked(guard, b"a", b"b", pause=30.0) == refused(408, "the request did not arrive within 0.05 seconds")


def test_what_takes_too_long_is_given_up():
    sentence = "there was no answer within 0.05 seconds; ask for less at once"
    assert asked(Guard(never, Limits(seconds=0.05)), b"a") == refused(503, sentence)


def test_who_hangs_up_is_not_answered():
    assert asked(Guard(echo, Limits()), {"type": "http.disconnect"}) is None


def test_more_requests_than_may_be_at_once_are_refused():
    guard = Guard(echo, Limits(requests=2))

    async def main():
        return await asyncio.gather(*(ask(guard, b"a", pause=0.05) for _ in range(4)))

    statuses = [status for status, _ in asyncio.run(main())]
    assert statuses == [200, 200, 503, 503]
    assert asked(guard, b"again") == (200, b"again")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost:8000", 200),
        (b"LOCALHOST", 200),
        (b"127.0.0.1:1", 200),
        (b"[::1]:8000", 200),
        (b"evil.example", 421),
        (b"localhost.evil.example:8000", 421),
        (b"", 421),
    ],
)
def test_a_request_to_another_name_is_refused(host, status):
    guard = Guard(echo, Limits(), {"localhost", "127.0.0.1", "[::1]"})
    assert asked(guard, b"a", host=host)[0] == status
    assert asked(Guard(echo, Limits()), b"a", host=host)[0] == 200


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "many", True])
def test_limits_are_numbers_above_0(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        Limits(**{name: value})

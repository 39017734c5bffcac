"""What a request may ask for, and the guard that keeps it to that before anything of it is understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from metric_learning.checks import check_positive, check_whole

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """How much of everything.

    Attributes:
        body: megabytes of a request.
        pixels: millions, of all images of a request together, by what their files say before they are decoded.
        items: of a request.
        characters: of a text.
        k: neighbors of an item.
        seconds: for a request to arrive, and again for its answer.
        requests: at the same time, each of which may hold a body in memory.
    """

    body: float = 16.0
    pixels: float = 50.0
    items: int = 256
    characters: int = 10_000
    k: int = 1000
    seconds: float = 30.0
    requests: int = 128

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number; got {value!r}")
        check_positive(body=self.body, pixels=self.pixels, seconds=self.seconds)
        check_whole(1, items=self.items, characters=self.characters, k=self.k, requests=self.requests)


class Refused(Exception):
    """A request that is answered with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = " ".join(sentence.split())
        super().__init__(self.sentence)


class Guard:
    """An ASGI application around another: reads bodies within the limits, keeps the time, and knows its own name.

    A page of somebody else's may make a browser send requests to this machine, also under a name of its own that it
    lets point here; so what is sent to another name than those of this server is refused.

    Args:
        app: what answers requests that are within the limits.
        limits: see `Limits`.
        names: hosts that requests may be sent to; empty: any.
    """

    def __init__(self, app: App, limits: Limits, names: Collection[str] = ()) -> None:
        self.app = app
        self.limits = limits
        self.names = names
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self._running += 1
        begun = False

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._answer(scope, receive, tell)
        except Refused as refused:
            if not begun:
                await _say(send, refused)
        finally:
            self._running -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running > self.limits.requests:
            raise Refused(503, f"{self.limits.requests} requests are being answered already; try again later")
        self._check_name(scope)
        seconds = self.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                body = await self._body(receive)
        except TimeoutError:
            raise Refused(408, f"the request did not arrive within {seconds:g} seconds") from None
        if body is None:
            return  # whoever asked is gone
        rest = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> MutableMapping[str, Any]:
            return rest.pop() if rest else await receive()

        try:
            async with asyncio.timeout(seconds):
                await self.app(scope, again, send)
        except TimeoutError:
            raise Refused(503, f"there was no answer within {seconds:g} seconds; ask for less at once") from None

    def _check_name(self, scope: Scope) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.names and name not in self.names:
            raise Refused(
                421, f"this server is called {', '.join(sorted(self.names))}; got {name[:80]!r}, see names=[...]"
            )

    async def _body(self, receive: Receive) -> bytes | None:
        """All of it, or None where the other side has gone.

        What is too large is read on for a while and dropped: who is still sending does not listen.
        """
        most = int(1e6 * self.limits.body)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            parts.append(part)
            if size > most:
                parts.clear()
            if not message.get("more_body") or size > 10 * most:
                break
        if size > most:
            raise Refused(413, f"a request may have {self.limits.body:g} MB; this one has more")
        return b"".join(parts)


async def _say(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

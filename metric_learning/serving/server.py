"""Runs the application on a port of this machine until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Collection
from typing import Any

from metric_learning.serving.limits import App

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that is bound to a port, so that nobody else takes it while the encoder is loaded.

    Args:
        host: name or address of this machine.
        port: from 1 to 65535, or 0 for any that is free.

    Raises:
        ValueError: no such port or address, or one in use.
    """
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a number from 0 to 65535; got {port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except OSError as error:
        raise ValueError(
            f"cannot serve on host={host} port={port}: {error.strerror}; port=0 takes one that is free"
        ) from None
    return bound


def names_of(host: str, more: Collection[str]) -> set[str]:
    """What requests may call this server: a loopback address, and what the user names besides; empty: anything."""
    if more or _is_loopback(host):
        return {name.lower() for name in (*LOOPBACK, host, *more)}
    return set()


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def run(app: App, bound: socket.socket, seconds: float) -> None:
    """Answers requests until SIGINT or SIGTERM, then ends those that it has begun.

    Args:
        app: ASGI application.
        bound: see `listen_on`.
        seconds: that requests have to end.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            host, port = bound.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            print(
                f"serving on http://{host}:{port}/ and, for programs, http://{host}:{port}/docs; Ctrl-C ends it",
                flush=True,
            )

    # uvicorn raises them again once all is done; that is then the end, and no error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=max(1, int(seconds)),
    )
    Server(config).run(sockets=[bound])

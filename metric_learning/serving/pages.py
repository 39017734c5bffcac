"""The page for people, which asks nobody but the server."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Response

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# What a browser lets the page do: run, show and ask what is of this server.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'"


def add_pages(app: FastAPI) -> None:
    """Adds `/` with what it needs."""
    for path, name in (("/", "page.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        app.get(path, include_in_schema=False)(_file(PAGE / name))


def _file(path: Path) -> Callable[[], Awaitable[Response]]:
    text = path.read_text(encoding="utf-8")

    async def show() -> Response:
        return Response(text, headers={"content-security-policy": POLICY}, media_type=TYPES[path.suffix])

    return show

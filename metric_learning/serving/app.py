"""The server as an ASGI application: what is asked under which address, and how it is answered."""

import asyncio
import contextlib
import functools
import importlib.metadata
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import StarletteHTTPException
from fastapi_offline import FastAPIOffline

from metric_learning.encoder import Encoder
from metric_learning.index import Index
from metric_learning.serving.batching import Batcher, Full
from metric_learning.serving.limits import App, Guard, Limits, Receive, Refused, Scope, Send
from metric_learning.serving.pages import add_pages
from metric_learning.serving.questions import FORM, JSON, Questions
from metric_learning.serving.service import Answer, Job, Service

BATCH = 64  # items that go through the model together
WAIT = 0.002  # seconds that the first of them waits for others
WAITING = 4096  # items that may wait
THREADS = 2  # batches at the same time: one is read, searched and answered while the other is in the model
KNOWN = ("kind", "recall", "threshold", "chosen_on")  # of an index
HIT = "{id, distance, label, metadata}"
GIVES = {
    "embed": "{embeddings: [[number, ...] for each item]}",
    "search": f"{{found: [[{HIT}, ...] for each item], threshold: number or null, chosen_on: words or null}}",
    "match": f"{{matches: [{HIT} or null for each item], threshold: number, chosen_on: words or null}}",
}


def create_app(
    encoder: Encoder,
    index: Index | None = None,
    *,
    limits: Limits | None = None,
    root: str | Path = ".",
    names: Collection[str] = (),
) -> Guard:
    """An ASGI application that embeds, searches and matches, with a page for people and one about itself, `/docs`.

    Args:
        encoder: see `metric_learning.load`.
        index: of that encoder; None: only `/embed` is answered.
        limits: of a request, see `Limits`.
        root: folder that ids of the index are paths in, where they are relative ones; only these are ever shown.
        names: hosts that requests may be sent to; empty: any.
    """
    limits = limits or Limits()
    api = Api(Service(encoder, index, limits, root), limits)
    installed = importlib.metadata.distributions(name="metric_learning")
    app = FastAPIOffline(
        title="metric_learning",
        version=next((found.version for found in installed), "not installed"),
        summary=f"Embeds {encoder.kind}, and finds what is near.",
        lifespan=api.working,
        redoc_url=None,
        redirect_slashes=False,
        favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None},  # or else it has somebody else look at what this server is
    )
    kinds = (JSON, FORM) if encoder.kind == "images" else (JSON,)
    wrong: dict[int | str, Any] = {
        status: {"description": "{detail: a sentence that says what is wrong}"} for status in ("4XX", "503")
    }
    for name, gives in GIVES.items():
        schema = api.questions.bodies[name].model_json_schema()
        asked = {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
        app.post(
            f"/{name}",
            responses={200: {"description": gives}, **wrong},
            openapi_extra={"requestBody": asked},
            response_class=Response,
        )(getattr(api, name))
    app.get("/health", response_class=Response)(api.health)
    of_item = {"parameters": [{"name": "id", "in": "query", "required": True, "schema": {"type": "string"}}]}
    nothing: dict[int | str, Any] = {
        204: {"description": "it is no image"},
        404: {"description": "the index has no such item"},
    }
    app.get("/thumbnail", responses=nothing, openapi_extra=of_item, response_class=Response)(api.thumbnail)
    add_pages(app)

    @app.exception_handler(Refused)
    async def refuse(_: Request, error: Refused) -> Response:
        return refusal(error)

    @app.exception_handler(StarletteHTTPException)
    async def refuse_path(request: Request, error: StarletteHTTPException) -> Response:
        path = request.url.path[:80]
        said = {
            404: f"there is nothing at {path}; see /docs",
            405: f"{path} does not answer {request.method}; see /docs",
        }
        answer = {"detail": said.get(error.status_code, str(error.detail))}
        return in_json(answer, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fail(_: Request, __: Exception) -> Response:
        return failure()

    return Guard(Shortcut(app, {f"/{name}": getattr(api, name) for name in GIVES}), limits, names)


class Shortcut:
    """Gives some requests straight to what answers them, past what FastAPI does for them, which is half of the work.

    Args:
        app: for all other requests; it describes these, too.
        posted: path -> what answers a POST to it.
    """

    def __init__(self, app: App, posted: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self.app = app
        self.posted = posted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.posted.get(scope.get("path", "")) if scope.get("method") == "POST" else None
        if answer is None:
            return await self.app(scope, receive, send)
        try:
            response = await answer(Request(scope, receive))
        except Refused as error:
            response = refusal(error)
        except Exception:
            await failure()(scope, receive, send)
            raise  # which the server writes into its log
        await response(scope, receive, send)


class Api:
    """What is answered at each address.

    Args:
        service: what is done.
        limits: of a request.
    """

    def __init__(self, service: Service, limits: Limits) -> None:
        self.encoder, self.index = service.encoder, service.index
        self.limits = limits
        self.questions = Questions(service.encoder, limits)
        self._service = service
        self._batcher: Batcher[Job, Answer] = Batcher(
            service.answer, most=BATCH, wait=WAIT, waiting=WAITING, threads=THREADS
        )
        self._thumbnail = functools.lru_cache(maxsize=1024)(service.thumbnail)

    @contextlib.asynccontextmanager
    async def working(self, _: FastAPI) -> AsyncIterator[None]:
        """From before the first request to after the last one."""
        self._service.warm_up(BATCH)
        async with self._batcher:
            yield
        self._service.close()

    async def embed(self, request: Request) -> Response:
        """Embeddings of items."""
        asked = await self.questions.read(request, "embed")
        answer = await self._answer(asked.items)
        return in_json({"embeddings": answer.embeddings})

    async def search(self, request: Request) -> Response:
        """The k nearest items of the index for each item, nearest first; within the threshold it is a match."""
        asked = await self.questions.read(request, "search")
        index = self._index_to_search()
        answer = await self._answer(asked.items, asked.k)
        found = [[hit._asdict() for hit in hits] for hits in answer.hits]
        return in_json({"found": found, "threshold": index.threshold, "chosen_on": index.chosen_on})

    async def match(self, request: Request) -> Response:
        """The nearest item of the index for each item if it is within the threshold, or else null."""
        asked = await self.questions.read(request, "match")
        index = self._index_to_search()
        given = asked.threshold is not None
        threshold, chosen_on = (asked.threshold, None) if given else (index.threshold, index.chosen_on)
        if threshold is None:
            raise Refused(409, "this index has no threshold; calibrate the run, or give one")
        answer = await self._answer(asked.items, 1)
        matches = [hit._asdict() if hit.distance <= threshold else None for (hit,) in answer.hits]
        return in_json({"matches": matches, "threshold": threshold, "chosen_on": chosen_on})

    async def health(self) -> Response:
        """What this server knows, and what it takes."""
        encoder, index = self.encoder, self.index
        about = None if index is None else {name: getattr(index, name) for name in KNOWN}
        return in_json(
            {
                "status": "ok",
                "run": encoder.folder.resolve().name,
                "kind": encoder.kind,
                "input_shape": encoder.input_shape,
                "columns": encoder.columns,
                "dimensions": encoder.embedding_dim,
                "distance": encoder.distance,
                "index": None if about is None else {"items": len(index or ()), **about},
                "limits": vars(self.limits),
            }
        )

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of the item of the index whose `id` stands in the address."""
        ids = request.query_params.getlist("id")
        if len(ids) != 1 or self.index is None or ids[0] not in self.index:
            raise Refused(404, "the index has no such item; expected /thumbnail?id=... of one")
        png = await asyncio.to_thread(self._thumbnail, ids[0])
        return Response(png, 200 if png else 204, {"cache-control": "private, max-age=3600"}, "image/png")

    def _index_to_search(self):
        if self.index is None:
            raise Refused(409, "this server has no index to search; start it with index=FOLDER")
        if not len(self.index):
            raise Refused(409, "the index is empty; add items to it")
        return self.index

    async def _answer(self, items, k=None):
        try:
            return await self._batcher(Job(items, k), len(items))
        except ValueError as error:  # of the input: an item that cannot be read, an embedding without a direction
            raise Refused(422, str(error)) from error
        except Full as error:
            raise Refused(503, str(error)) from None


def refusal(error: Refused) -> Response:
    return in_json({"detail": error.sentence}, error.status)


def failure() -> Response:
    return in_json({"detail": "something went wrong here; the server's own output says what"}, 500)


def in_json(answer: Any, status: int = 200, headers: Any = None) -> Response:
    """Plain data and arrays as a response; numbers that JSON has not, as metadata may hold them, become null."""
    try:
        text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # as of numbers beyond 64 bits, and names of files that are not UTF-8
        text = json.dumps(_finite(answer), allow_nan=False).encode()
    return Response(text, status, headers, JSON)


def _finite(answer):
    if isinstance(answer, dict):
        return {key: _finite(value) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [_finite(value) for value in answer]
    return None if isinstance(answer, float) and not math.isfinite(answer) else answer

"""What a request asks, out of its body: JSON for items of every kind, and forms with files for images."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.formparsers import MultiPartException

from metric_learning.serving.limits import Limits, Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from metric_learning.encoder import Encoder

JSON, FORM = "application/json", "multipart/form-data"
_ITEMS = {
    "images": "image files, each in base64, or as parts of a form",
    "texts": "texts",
    "ids": "rows of a table, as {column: cell}",
    "features": "rows of numbers",
}


class Questions:
    """How the requests of one encoder are read.

    Args:
        encoder: whose kind decides what an item is.
        limits: see `Limits`.
    """

    def __init__(self, encoder: Encoder, limits: Limits) -> None:
        self.kind = encoder.kind
        self.columns = encoder.columns
        self.limits = limits
        self._items = f"this encoder takes {_ITEMS[encoder.kind]}"
        item: Any = _item_type(encoder, limits)
        several = Field(min_length=1, max_length=limits.items, description=_ITEMS[encoder.kind])
        common: dict[str, Any] = {"items": (Annotated[list[item], several], ...)}
        k = Annotated[int, Field(ge=1, le=limits.k)]
        within = Annotated[float | None, Field(description="instead of the calibrated threshold")]
        settings = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        self.bodies: dict[str, type[BaseModel]] = {
            "embed": create_model("Embed", __config__=settings, **common),
            "search": create_model("Search", __config__=settings, **common, k=(k, 5)),
            "match": create_model("Match", __config__=settings, **common, threshold=(within, None)),
        }

    async def read(self, request: Request, what: str) -> Any:
        """The body of a request, as the model of `bodies` that is called `what`.

        Raises:
            Refused: 400, 415 or 422, with what is wrong with it.
        """
        query = request.scope["query_string"].decode("latin-1")
        if query:
            raise Refused(422, f"settings stand in the body; got ?{query[:80]}")
        model = self.bodies[what]
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == FORM and self.kind == "images":
                return model.model_validate(await self._form(request))
            if kind == JSON:
                return self._with_known_columns(model.model_validate_json(await request.body()))
        except ValidationError as error:
            raise self._refusal(error, model) from None
        except MultiPartException as error:
            raise Refused(400, f"the body must be a form: {error.message}") from None
        wanted = f"{JSON} or {FORM}" if self.kind == "images" else JSON
        raise Refused(415, f"content-type must be {wanted}; got {kind[:80] or 'none'}")

    def _with_known_columns(self, asked):
        for number, item in enumerate(asked.items if self.columns else ()):
            for name in item.keys() - set(self.columns):
                raise Refused(422, f"items.{number}.{name[:80]} is not known here; expected {', '.join(self.columns)}")
        return asked

    async def _form(self, request):
        """The files of a form as the items, its other fields as JSON would say them."""
        found: dict[str, Any] = {"items": []}
        form = request.form(max_files=self.limits.items, max_fields=16, max_part_size=10_000)
        async with form as fields:
            for name, value in fields.multi_items():
                if not isinstance(value, str):
                    value = await value.read()
                elif name != "items":
                    value = _number(value)
                if name == "items":
                    found["items"].append(value)
                else:
                    found[name] = value
        return found

    def _refusal(self, error, model):
        first, *rest = error.errors(include_url=False)
        # Of a union the place also says which of its parts it was that did not fit.
        place = ".".join(map(str, first["loc"][: 2 if self.kind == "images" else 3]))[:80]
        more = f" ({len(rest)} more)" if rest else ""
        if first["type"] == "json_invalid":
            return Refused(400, f"the body must be JSON: {first['ctx']['error']}")
        if first["type"] == "extra_forbidden":
            return Refused(422, f"{place} is not known here; expected {', '.join(model.model_fields)}{more}")
        said = first["msg"][0].lower() + first["msg"][1:]
        said = f"{place}: {said}" if place else said
        if first["type"] != "missing":
            said += f"; got {_short(first['input'])}"
        return Refused(422, f"{said}{more}" + ("" if place in ("k", "threshold") else f"; {self._items}"))


def _item_type(encoder: Encoder, limits: Limits) -> Any:
    if encoder.kind == "images":
        return str | bytes
    if encoder.kind == "texts":
        return Annotated[str, Field(min_length=1, max_length=limits.characters)]
    if encoder.kind == "features":
        length = encoder.input_shape[0]
        return Annotated[list[float], Field(min_length=length, max_length=length)]
    cell = Annotated[str, Field(max_length=limits.characters)] | int | float | None
    return dict[str, cell]


def _number(text: str) -> Any:
    """What a field of a form says, as JSON says it."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def files_of(items: Sequence[str | bytes]) -> list[bytes]:
    """The files that are sent as base64 or as they are.

    Raises:
        ValueError: one is not base64.
    """
    found = []
    for number, item in enumerate(items):
        try:
            found.append(item if isinstance(item, bytes) else base64.b64decode(item, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"item {number} is not base64: {error}") from None
    return found

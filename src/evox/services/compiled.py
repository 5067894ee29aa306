"""Compiled: an endpoint that needs nothing of FastAPI but its fields, bound and answered without FastAPI's solver.

What is compiled takes path, query, headers, cookies and a JSON body, besides what Evox injects, and answers JSON.
Everything that uses more of FastAPI goes through FastAPI. A client can tell the two apart by their speed alone.
"""

import email.message
import json
import math
from typing import Any, Final

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import HTTPException, RequestValidationError, ResponseValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from fastapi.utils import is_body_allowed_for_status_code
from pydantic_core import PydanticUndefined, ValidationError, from_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from evox.services.answers import JSON, ready
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.inputs import is_ours
from evox.services.parameters import Parameters, given_to, located, taken_by, validator_of
from evox.services.pipeline import Pipeline
from evox.services.results import Results, splits
from evox.services.writing import writer_of

__all__ = ["Compiled", "settled", "why_not"]

_BODIES: Final = "There was an error parsing the body"  # as FastAPI says it
_BODY: Final = ("body",)
_KNOWN: Final = 100  # content types that are remembered


def why_not(row: Endpoint, route: Any) -> str:
    """Return why an endpoint is served by FastAPI; nothing if it is compiled.

    Args:
        row: The endpoint.
        route: FastAPI's route of it.
    """
    dependant, kind = route.dependant, route.response_class
    taken = taken_by(dependant)
    is_form = route.body_field is not None and isinstance(route.body_field.field_info, Form)
    limits = (getattr(dependant, "concurrency", None), getattr(route, "max_body_size", None))
    reasons = {
        "it streams": row.is_stream,
        "it has a response class": not isinstance(kind, DefaultPlaceholder) or kind.value is not JSONResponse,
        f"it takes the {', '.join(taken).replace('_', ' ')}": bool(taken),
        "it has dependencies": not all(is_ours(one.call) for one in dependant.dependencies),
        "it takes a form": is_form,
        "it has limits of FastAPI's": limits != (None, None),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


class Compiled:
    """Answers calls of one endpoint.

    Args:
        row: The endpoint; see ``why_not``.
        route: FastAPI's route of it.
        pipeline: Its steps.
    """

    def __init__(self, row: Endpoint, route: Any, pipeline: Pipeline) -> None:
        dependant = route.dependant
        self._row, self._path = row, route.path_format
        self._name: str = getattr(row.handler, "__name__", row.name)
        self._inner, self._undated = pipeline.inner, pipeline.undated
        self._parameters = Parameters(dependant)
        self._body = list(dependant.body_params)
        self._embed: bool = route._embed_body_fields  # noqa: SLF001  FastAPI works it out once
        self._validate: Any = validator_of(self._body[0]) if len(self._body) == 1 and not self._embed else None
        self._strict = _value(getattr(route, "strict_content_type", True))
        self._injected, self._methods = given_to(dependant)
        self._is_given = bool(self._injected or self._methods)
        self._splits = Results(row.name) if splits(row.returns) else None
        self._write = writer_of(route)
        self._status: int = route.status_code or 200
        self._is_usual = self._status >= 200 and is_body_allowed_for_status_code(self._status)

    def __repr__(self) -> str:
        return f"<Compiled {self._name!r}>"

    async def respond(self, call: Call) -> Response:
        """Bind the arguments of a call, run the inner steps, and return the answer.

        Raises:
            RequestValidationError: if they do not fit, as FastAPI raises it.
            ResponseValidationError: if the handler's value is not what the endpoint says.
        """
        request = call.request
        scope = request.scope
        values: dict[str, Any] = {}
        errors: list[Any] = []
        if self._parameters.number:
            self._parameters.bind(scope["path_params"], scope["query_string"], scope["headers"], values, errors)
        body: Any = None
        if self._body:
            data = getattr(request, "_body", None)  # what was read before it was admitted
            body = self._parsed(scope, await _read(request) if data is None else data)
            if self._validate is None or body is PydanticUndefined:
                await self._bind_body(body, values, errors)
            else:
                self._bind_only(body, values, errors)
        if errors:
            body = None if body is PydanticUndefined else body
            raise RequestValidationError(errors, body=body, endpoint_ctx=self._where(scope))
        if self._is_given:
            await self._give(values, scope["method"])
        inner = self._undated if call.deadline == math.inf else self._inner
        value = await inner(call, values)
        if isinstance(value, Response):
            return value
        try:
            if self._splits is not None and type(value) is tuple:
                return self._split(self._splits, value)
            if not self._is_usual:
                return self._unusual(value, self._status)
            written = self._write(value)
            return ready(self._status, [(b"content-length", b"%d" % len(written)), JSON], written)
        except ResponseValidationError as error:
            where = self._where(scope)
            raise ResponseValidationError(error.errors(), body=error.body, endpoint_ctx=where) from None

    async def _give(self, values: dict[str, Any], method: str) -> None:
        """Fill what is injected."""
        for name, resolve in self._injected:
            values[name] = await resolve()
        for name in self._methods:
            values[name] = method

    def _where(self, scope: Any) -> Any:
        """Return what FastAPI's errors say of the endpoint."""
        place, below = self._row.place, scope.get("root_path", "").rstrip("/")
        where = {"function": self._name, "path": f"{scope['method']} {below}{self._path}"}
        return where if place is None else where | {"file": place.file, "line": place.line}

    def _bind_only(self, body: Any, values: dict[str, Any], errors: list[Any]) -> None:
        """Bind the only parameter of a body."""
        try:
            values[self._body[0].name] = self._validate(body, from_attributes=True)
        except ValidationError as error:
            errors += located(error, _BODY)

    async def _bind_body(self, body: Any, values: dict[str, Any], errors: list[Any]) -> None:
        found, wrong = await request_body_to_args(
            body_fields=self._body, received_body=body, embed_body_fields=self._embed
        )
        values.update(found)
        errors += wrong

    def _parsed(self, scope: Any, data: bytes) -> Any:
        """Return what a body holds: JSON, bytes of another kind, or nothing.

        Raises:
            RequestValidationError: if it says that it is JSON, and is not.
            HTTPException: if it cannot be read.
        """
        if not data:
            return PydanticUndefined
        try:
            said = b""
            for name, value in scope["headers"]:
                if name == b"content-type":
                    said = value
                    break
            if _is_json(said) if said else not self._strict:
                return _loaded(data)
        except json.JSONDecodeError as error:
            wrong = {
                "type": "json_invalid",
                "loc": ("body", error.pos),
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error.msg},
            }
            raise RequestValidationError([wrong], body=error.doc, endpoint_ctx=self._where(scope)) from error
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, _BODIES) from error
        return data

    def _split(self, results: Results, value: Any) -> Response:
        collected = Response()
        del collected.headers["content-length"]
        collected.status_code = self._status
        body = results.apply(value, collected)
        if isinstance(body, Response):
            return body
        made = self._unusual(body, collected.status_code)
        made.raw_headers.extend(collected.raw_headers)
        return settled(made)

    def _unusual(self, value: Any, status: int) -> Response:
        made = Response(self._write(value), status, media_type="application/json")
        if not is_body_allowed_for_status_code(status):
            made.body = b""
        return made


def settled(response: Response) -> Response:
    """Return a response with one content type: that of the handler's headers counts, which came last."""
    given = response.headers.getlist("content-type")
    if len(given) > 1:
        response.headers["content-type"] = given[-1]
    return response


def _value(option: Any) -> Any:
    return option.value if isinstance(option, DefaultPlaceholder) else option


async def _read(request: Any) -> bytes:
    """Return a body.

    Raises:
        HTTPException: if its client leaves in the middle of it, as FastAPI raises it.
    """
    try:
        data: bytes = await request.body()
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise HTTPException(400, _BODIES) from error
    return data


def _loaded(data: bytes) -> Any:
    """Return what JSON holds, as ``json`` reads it; for most of it there is a quicker way.

    Raises:
        ValueError, RecursionError: as ``json`` does.
    """
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data)


_types: dict[bytes, bool] = {}


def _is_json(content_type: bytes) -> bool:
    """Whether a content type is one of JSON, as FastAPI reads it."""
    known = _types.get(content_type)
    if known is None:
        message = email.message.Message()
        message["content-type"] = content_type.decode("latin-1")
        subtype = message.get_content_subtype()
        known = message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
        if len(_types) >= _KNOWN:
            _types.clear()
        _types[content_type] = known
    return known

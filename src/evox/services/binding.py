"""Binding: the arguments of a call that comes from this process, validated as FastAPI validates those of a request.

Path and query are validated by the very fields that FastAPI made for the endpoint, so a call fails with the same 422
wherever it comes from. It covers what needs no request: an endpoint with dependencies, forms or the request itself
among its parameters is called through the app instead.
"""

import json
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser

from evox.services.encoding import JSON, Wire
from evox.services.inputs import is_ours
from evox.services.operations import Argument, Operation
from evox.services.parameters import Plain, given_to, take, taken_by

__all__ = ["Binding", "is_bindable"]


def is_bindable(operation: Operation) -> bool:
    """Whether nothing but path, query, headers, cookies and a JSON body is needed to call an endpoint."""
    dependant: Dependant = operation.route.dependant
    if taken_by(dependant):
        return False
    if any(one.where in ("form", "file") for one in operation.arguments):
        return False
    return all(is_ours(inner.call) for inner in dependant.dependencies)


class Binding:
    """Fills the parameters of one endpoint.

    Args:
        operation: What is called; see ``is_bindable``.
    """

    def __init__(self, operation: Operation) -> None:
        dependant: Dependant = operation.route.dependant
        self._method = operation.method
        self._embed = operation.embed
        arguments = {one.name: one for one in operation.arguments}
        self._path = [Plain(one, "path") for one in dependant.path_params]
        simple = all(_is_simple(one, arguments) for one in dependant.query_params)
        self._query = [Plain(one, "query") for one in dependant.query_params] if simple else []
        self._odd_query = [] if simple else dependant.query_params
        self._headers = dependant.header_params
        self._cookies = dependant.cookie_params
        self._body = dependant.body_params
        self.needs_body = bool(self._body)
        self._injected, self._methods = given_to(dependant)

    async def bind(self, wire: Wire) -> dict[str, Any]:
        """Return the handler's arguments.

        Raises:
            RequestValidationError: if they do not fit, as FastAPI raises it.
        """
        values: dict[str, Any] = {}
        errors: list[Any] = []
        for simple in self._path:
            simple.fill(wire.values.get(simple.alias), values, errors)
        if self._query:
            given = dict(wire.query)
            for simple in self._query:
                simple.fill(given.get(simple.alias), values, errors)
        if self._odd_query:
            take(values, errors, self._odd_query, QueryParams(wire.query))
        if self._headers or self._cookies:
            self._bind_headers(wire, values, errors)
        body: Any = None
        if self._body:
            body = _read(wire)
            found = await request_body_to_args(
                body_fields=self._body, received_body=body, embed_body_fields=self._embed
            )
            values.update(found[0])
            errors += found[1]
        if errors:
            raise RequestValidationError(errors, body=body)
        for name, resolve in self._injected:
            values[name] = await resolve()
        for name in self._methods:
            values[name] = self._method
        return values

    def _bind_headers(self, wire: Wire, values: dict[str, Any], errors: list[Any]) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire.all_headers()]
        headers = Headers(raw=raw)
        if self._headers:
            take(values, errors, self._headers, headers)
        if self._cookies:
            cookies = cookie_parser(headers.get("cookie", ""))
            take(values, errors, self._cookies, cookies)


def _read(wire: Wire) -> Any:
    """Return what a body holds.

    Raises:
        HTTPException: if Python cannot read it, as FastAPI raises it.
    """
    if wire.media != JSON:
        return wire.body
    try:
        return json.loads(wire.body or b"null")
    except (ValueError, RecursionError) as error:  # e.g. a number of more digits than Python reads
        raise HTTPException(400, "There was an error parsing the body") from error


def _is_simple(field: Any, arguments: dict[str, Argument]) -> bool:
    argument = arguments.get(field.name)
    is_plain = argument is not None and not argument.many and not argument.fields
    other = field.field_info.validation_alias
    return is_plain and (other is None or isinstance(other, str))

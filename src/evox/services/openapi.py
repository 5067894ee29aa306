"""OpenAPI: what the document says of callers and of idempotency keys, for `/docs` and for clients made of it.

Roles stand in the security requirement of an operation, as OpenAPI 3.1 has it for schemes that are not OAuth. What an
operation says by itself, in ``openapi_extra=`` or ``responses=``, is left as it is.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from evox.auth import Requirement, anything_declared
from evox.services.endpoint import Endpoint
from evox.services.protection import requirement_of_route
from evox.services.writes import HARMLESS

__all__ = ["SCHEME", "keyed", "secured"]

SCHEME: Final = "bearerAuth"
_SCHEME: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_PROBLEM: Final = {"application/problem+json": {"schema": {"type": "object"}}}
_REFUSALS: Final = {
    "401": {"description": "It is not known who calls", "content": _PROBLEM},
    "403": {"description": "The caller may not do this", "content": _PROBLEM},
}
_KEY: Final = "Idempotency-Key"
_KEY_PARAMETER: Final = {
    "name": _KEY,
    "in": "header",
    "required": False,
    "description": "A request that is sent again with the same key is given the first answer, and not done twice",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_KEY_REFUSALS: Final = {
    "400": "The idempotency key cannot be one",
    "409": "A request with the same idempotency key is still running",
    "422": "The idempotency key was used for another request",
}
_INVALID: Final = "Validation Error"  # FastAPI's own description of its 422


def secured(document: dict[str, Any], app: FastAPI) -> dict[str, Any]:
    """Return a document with what its operations ask of callers.

    Args:
        document: As FastAPI makes it; it is changed in place.
        app: Whose it is.
    """
    if not anything_declared():
        return document
    for operation, requirement in _operations(document, app):
        if requirement.public:
            operation.setdefault("security", [])
            continue
        operation.setdefault("security", [{SCHEME: list(requirement.roles)}])
        if requirement.intent_types:
            operation.setdefault("x-evox-intent", list(requirement.intent_types))
        for status, response in _REFUSALS.items():
            operation.setdefault("responses", {}).setdefault(status, response)
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes.setdefault(SCHEME, _SCHEME)
    return document


def keyed(document: dict[str, Any], app: FastAPI) -> dict[str, Any]:
    """Return a document with the idempotency keys that its operations take.

    Args:
        document: As FastAPI makes it; it is changed in place.
        app: Whose it is.
    """
    for leaf in iter_route_contexts(app.routes):
        row: Endpoint | None = getattr(getattr(leaf.original_route, "endpoint", None), "__evox_row__", None)
        if row is None or row.idempotency is None:
            continue
        described = document.get("paths", {}).get(leaf.path_format, {})
        for method in set(leaf.methods or ()) - HARMLESS:
            if method.lower() in described:
                _add_key(described[method.lower()])
    return document


def _add_key(operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    if not any(one.get("in") == "header" and one.get("name", "").lower() == _KEY.lower() for one in parameters):
        parameters.append(dict(_KEY_PARAMETER))
    responses = operation.setdefault("responses", {})
    for status, description in _KEY_REFUSALS.items():
        response = responses.setdefault(status, {"description": description, "content": dict(_PROBLEM)})
        if response.get("description") == _INVALID:
            response.setdefault("content", {}).update(_PROBLEM)


def _operations(document: dict[str, Any], app: FastAPI) -> Iterator[tuple[dict[str, Any], Requirement]]:
    """Yield the operations for which something is declared, and what."""
    for leaf in iter_route_contexts(app.routes):
        route = leaf.original_route
        requirement = requirement_of_route(route) if isinstance(route, APIRoute) else None
        if requirement is None:
            continue
        described = document.get("paths", {}).get(leaf.path_format, {})
        for method in leaf.methods or ():
            if method.lower() in described:
                yield described[method.lower()], requirement

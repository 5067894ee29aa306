"""OpenAPI: what the document says of callers, so that `/docs` can authorise and generated clients know where to.

Roles stand in the security requirement of an operation, as OpenAPI 3.1 has it for schemes that are not OAuth. What an
operation says by itself, in ``openapi_extra=`` or ``responses=``, is left as it is.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from evox.auth import Requirement, anything_declared
from evox.services.protection import requirement_of_route

__all__ = ["SCHEME", "secured"]

SCHEME: Final = "bearerAuth"
_SCHEME: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_PROBLEM: Final = {"application/problem+json": {"schema": {"type": "object"}}}
_REFUSALS: Final = {
    "401": {"description": "It is not known who calls", "content": _PROBLEM},
    "403": {"description": "The caller may not do this", "content": _PROBLEM},
}


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

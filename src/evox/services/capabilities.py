"""Capabilities: what a service tells everybody of itself, so that callers and tools know what they may count on.

It says no more than its public documentation does, and nothing of how it is doing: operations are in it where the
documentation is open, never private ones.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from evox.services.declaration import Declaration
from evox.services.endpoint import Endpoint
from evox.services.observing import VIEWS, view_path
from evox.services.operations import operations_of

__all__ = ["features_of", "tells_capabilities"]


def tells_capabilities(service: Declaration) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler that tells what a service can do."""

    async def tell(request: Request) -> Response:
        del request
        running = service.ambient()
        is_open, app = running.shows_documentation, service.app
        health = service.settings.health_path.rstrip("/")
        body: dict[str, Any] = {
            "service": service.name,
            "version": service.version,
            "health": {one: f"{health}/{one}" for one in ("live", "ready", "startup")},
            "features": features_of(service),
            "management": {
                "access": running.runtime.onlookers.access,
                "methods": ["GET"],
                "paths": [view_path(one) for one in VIEWS] if running.runtime.onlookers.access != "off" else [],
            },
        }
        if is_open:
            body["documentation"] = {"openapi": app.openapi_url, "docs": app.docs_url, "redoc": app.redoc_url}
            body["operations"] = [
                {"name": one.name, "method": one.method, "path": one.path} | _of_row(one.row)
                for one in operations_of(service.name, app)
                if one.route.include_in_schema and not (one.row is not None and one.row.private)
            ]
        return JSONResponse(body, headers={"cache-control": "no-store"})

    return tell


def features_of(service: Declaration) -> list[str]:
    """Return what a service uses of Evox, by name."""
    rows = service.endpoints
    found = {
        "auth": bool(service.asking),
        "background": bool(service.background),
        "cache": service.caches_answers,
        "fallback": any(row.fallback is not None for row in rows),
        "idempotency": any(row.idempotency is not None for row in rows),
        "own-seats": service.settings.concurrency is not None,
        "priority": len({row.priority for row in rows}) > 1,
    }
    return [name for name, is_used in found.items() if is_used]


def _of_row(row: Endpoint | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {"priority": row.priority.label, "cache": row.cache, "timeout": row.timeout}

"""Describing: a service tells callers elsewhere what it can do, so that they call it by the names of its handlers.

Other services learn all of it. Everybody else learns what the public documentation says too, where that is open.
"""

from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from evox.errors import NotAuthenticated
from evox.services.call import inbound_of
from evox.services.declaration import Declaration
from evox.services.operations import Operation, operations_of

__all__ = ["PATH", "describes"]

PATH: Final = "/_evox/operations"


def describes(service: Declaration) -> Any:
    """Return the handler that describes a service."""

    async def describe(request: Request) -> Response:
        running = service.ambient()
        operation, inbound = f"GET {PATH}", inbound_of(request.scope)
        if inbound is not None:
            inbound.check(running.name, operation)
            is_internal = True
        else:
            caller = await running.identify(request.scope["headers"], operation=operation, optional=False)
            is_internal = caller.internal is not None
        if not is_internal and not running.shows_documentation:
            raise NotAuthenticated(PATH)
        shown = [_said(one) for one in operations_of(service.name, service.app) if is_internal or _is_public(one)]
        return JSONResponse({"service": service.name, "version": service.version, "operations": shown})

    return describe


def _is_public(operation: Operation) -> bool:
    is_private = operation.row is not None and operation.row.private
    return not is_private and bool(operation.route.include_in_schema)


def _said(operation: Operation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "method": operation.method,
        "path": operation.path,
        "arguments": [asdict(one) for one in operation.arguments],
        "embed": operation.embed,
        "idempotent": operation.idempotent,
        "keyed": operation.keyed,
        "streams": operation.streams,
    }

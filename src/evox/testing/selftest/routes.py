"""Routes: whether each service compiles, documents itself, and answers methods that a path does not have.

No request here reaches code of the project: see ``doors``. A path that something else than endpoints of Evox would
answer, such as a mounted app, is left out.
"""

import json
from typing import Any, Final

from evox.services import Service
from evox.testing.selftest.doors import Door, at_door, chosen, filled, row_of
from evox.testing.selftest.project import Project
from evox.testing.selftest.results import Failed, Skipped, counted

__all__ = ["answers_methods", "compiles", "documents", "reaches_its_own"]

STRANGE: Final = "SELFTEST"  # a method that no path has
FIX: Final = "see what was added to svc.app"


async def compiles(service: Service) -> str:
    """Compile a service.

    Raises:
        EvoxError: if it cannot be.
    """
    rows = service.endpoints
    return counted(sum(len(one.methods) for one in rows), "operation") if rows else "no endpoints of its own"


async def documents(service: Service) -> str:
    """Write the OpenAPI document of a service as JSON and read it again.

    Raises:
        Failed: if it is none, or an endpoint is missing in it.
        Skipped: if the service has none.
    """
    if service.app.openapi_url is None:
        raise Skipped("openapi_url=None turns it off")
    text = json.dumps(service.app.openapi(), allow_nan=False)
    document: dict[str, Any] = json.loads(text)
    if not str(document.get("openapi", "")).startswith("3."):
        raise Failed(f"it says openapi {document.get('openapi')!r}", "a version 3", "see what has changed app.openapi")
    for row in service.endpoints:
        shown = row.options.get("include_in_schema", True) and not row.private
        known = document.get("paths", {}).get(_documented(row.path), {})
        for method in row.methods:
            if shown and method.lower() not in known:
                raise Failed(f"{method} {row.path} is not in it", "each endpoint", "see what has changed app.openapi")
            if row.private and method.lower() in known:
                raise Failed(f"{method} {row.path} is in it, and is private", "no private one", "report it")
    return f"{len(text)} bytes"


async def answers_methods(project: Project, service: Service) -> str:
    """Send OPTIONS, and a method that nobody has, to each path of a service.

    Raises:
        Failed: if the answer is not 405 with the methods that the path has.
    """
    tried = 0
    async with at_door(service, project.apart()) as door:
        for path, methods in _paths(service).items():
            for method in (STRANGE, "OPTIONS"):
                if method in methods or door.reaches_others(method, path):
                    continue
                await _refused(door, method, path, methods)
                tried += 1
    if not tried:
        raise Skipped("it has no endpoints of its own")
    return counted(tried, "request")


async def _refused(door: Door, method: str, path: str, methods: set[str]) -> None:
    reply = await door.send(method, path)
    allowed = {one for one in reply.headers.get("allow", "").split(", ") if one}
    if reply.status_code != 405 or not methods <= allowed:
        seen = f"{method} {path} is {reply.status_code}, allow {', '.join(sorted(allowed)) or 'nothing'}"
        raise Failed(seen, f"405, allow {', '.join(sorted(methods))}", FIX)


async def reaches_its_own(service: Service) -> str:
    """Look which route a request to each endpoint would take.

    Raises:
        Failed: if it is another endpoint's: that one stands before it and fits too.
    """
    tried = 0
    for row in service.endpoints:
        for method in row.methods:
            route = chosen(service, method, filled(row.path))
            found = row_of(route)
            tried += 1
            if found is not row:
                other = f"{found.name!r} at {found.path}" if found is not None else f"{getattr(route, 'path', route)!r}"
                seen = f"{method} {row.path} never reaches {row.name!r}, but {other}"
                raise Failed(seen, "its own handler", f"declare {row.name!r} before what also fits its path")
    if not tried:
        raise Skipped("it has no endpoints of its own")
    return counted(tried, "operation")


def _paths(service: Service) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in service.endpoints:
        found.setdefault(filled(row.path), set()).update(row.methods)
    return found


def _documented(path: str) -> str:
    """Return a path as the document has it: without converters."""
    parts = path.split("{")
    return "{".join(
        [parts[0], *(f"{part.partition('}')[0].partition(':')[0]}}}{part.partition('}')[2]}" for part in parts[1:])]
    )

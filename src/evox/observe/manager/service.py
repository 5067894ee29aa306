"""Service: the dashboard as a service of Evox, in a process of its own. It asks others and shows what they said.

Nothing depends on it: processes do not know who looks, and it keeps nothing of theirs but samples that charts are made
of. All of its routes are GET, so who looks can change nothing here either.
"""

import math
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from evox.observe.answers import as_json
from evox.observe.asking import Source
from evox.observe.directory import Note, notes
from evox.observe.manager.doorkeeper import Doorkeeper, Sessions
from evox.observe.manager.history import History, open_history
from evox.observe.manager.instances import Instances
from evox.observe.manager.pages import CHARTS, Pages
from evox.observe.manager.poller import EVERY, Poller
from evox.observe.manager.writing import PAGES, write
from evox.services import Service

__all__ = ["dashboard_service"]

NAME = "evox-dashboard"
LONGEST = 86_400.0  # seconds of a chart


def dashboard_service(
    sessions: Sessions,
    *,
    sources: Callable[[], Sequence[Source]] = tuple,
    history: Path | None = None,
    look: Callable[[], list[Note]] | None = notes,
    hosts: Collection[str] = ("127.0.0.1", "localhost", "[::1]"),
    every: float = EVERY,
) -> Service:
    """Make the service.

    Args:
        sessions: Who is let in.
        sources: Makes the processes that are asked whatever the directory says; called when it starts.
        history: The file of samples; None keeps none.
        look: Returns the notes of the runtime directory; None does not look there.
        hosts: Host names under which it is reached.
        every: Seconds between two questions to one process.
    """
    service = Service(NAME, docs_url=None, redoc_url=None, openapi_url=None)
    service.settings.capabilities_path = None
    kept: dict[str, Pages] = {}

    @asynccontextmanager
    async def polling(_: Any) -> AsyncIterator[None]:
        instances, opened, notice = Instances(), None, ""
        if history is not None:
            opened, notice = await open_history(history)
        kept["pages"] = Pages(instances, opened, notice)
        poller = Poller(instances, opened, sources(), look=look, every=every)
        async with anyio.create_task_group() as group:
            group.start_soon(poller.run, name="poller")
            try:
                yield
            finally:
                group.cancel_scope.cancel()
        await _close(opened)

    service.lifespan(polling)
    _add_pages(service, kept)
    service.app.mount("/static", StaticFiles(packages=[("evox.observe.manager", "static")]))
    service.add_middleware(Doorkeeper, sessions=sessions, hosts=hosts)
    return service


async def _close(history: History | None) -> None:
    if history is not None:
        await history.aclose()


def _add_pages(service: Service, kept: dict[str, Pages]) -> None:
    """Add a route for each page, and one for the part of it that changes."""

    async def facts(path: str, name: str) -> dict[str, Any]:
        body = f"{name.lower()}.html.j2"
        return {"title": name, "body": body, **await kept["pages"].facts(path)}

    def page(path: str, name: str) -> None:
        part = f"/parts/{name.lower()}"

        async def whole(request: Request) -> Response:
            del request
            about = {"pages": PAGES, "here": path, "part": part}
            found = await facts(path, name)
            return HTMLResponse(write("base.html.j2", {"charts": CHARTS.get(path, ()), **about, **found}))

        async def living(request: Request) -> Response:
            del request
            found = await facts(path, name)
            return HTMLResponse(write("part.html.j2", found))

        service.app.add_route(path, whole, methods=["GET"])
        service.app.add_route(part, living, methods=["GET"])

    for path, name in PAGES:
        page(path, name)

    async def series(request: Request) -> Response:
        try:
            seconds = float(request.query_params.get("seconds", "300"))
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= LONGEST:
            return JSONResponse({"detail": f"seconds is a number from 0 to {LONGEST:g}"}, 422)
        return as_json(await kept["pages"].series(seconds))

    service.app.add_route("/series", series, methods=["GET"])

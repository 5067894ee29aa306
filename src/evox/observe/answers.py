"""Answers: the views of a service as HTTP answers. All of them are made of what is in memory, and none changes it."""

import importlib
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from evox.observe import views
from evox.observe.configuration import configuration
from evox.observe.info import info
from evox.observe.observation import Observation
from evox.observe.snapshot import snapshot
from evox.observe.tasks import task_tree
from evox.services import Running

__all__ = ["VIEWS", "answer", "as_json", "view_of"]

METRICS: Final = "evox.observe.metrics"
LARGEST: Final = 2**1024  # a number of more than 4,300 digits can be written by nobody
Make = Callable[[Observation, Running], Any]
VIEWS: Final[dict[str, Make]] = {
    "info": lambda seen, running: {"service": running.name, "version": running.service.version, **info(seen)},
    "mappings": lambda _, running: views.mappings(running),
    "queues": lambda seen, _: views.queues(seen.scope.schedulers),
    "tasks": lambda *_: task_tree(),
    "scheduled": lambda _, running: views.scheduled(running),
    "caches": lambda _, running: views.caches(running),
    "intents": lambda _, running: views.intents(running),
    "proxy": lambda seen, _: views.proxy(seen),
    "config": lambda seen, _: configuration(seen.scope.loaded),
    "errors": lambda seen, running: views.errors(seen, running.name),
    "startup": lambda seen, _: [
        {"when": one.when, "service": one.service, "what": one.what} for one in seen.timeline.all()
    ],
    "snapshot": lambda seen, _: snapshot(seen),
}


def view_of(observation: Observation, name: str, running: Running) -> Any:
    """Return one view as plain data.

    Raises:
        KeyError: if there is none of that name.
    """
    return VIEWS[name](observation, running)


async def answer(observation: Observation, view: str, running: Running, request: Request) -> Response:
    """Return one view of a service as an answer: JSON, and metrics in the form that the client takes."""
    if view == "metrics":
        metrics_of = await _metrics()
        body, media = metrics_of(observation, running.name, request.headers.get("accept", ""))
        return Response(body, media_type=media)
    return as_json(view_of(observation, view, running))


async def _metrics() -> Callable[[Observation, str, str], tuple[bytes, str]]:
    """Return what makes metrics. It takes long to import, and who is not scraped needs it not: so in a thread, once."""
    if METRICS not in sys.modules:
        await anyio.to_thread.run_sync(importlib.import_module, METRICS)
    found: Callable[[Observation, str, str], tuple[bytes, str]] = sys.modules[METRICS].metrics_of
    return found


def as_json(data: Any) -> Response:
    """Return plain data as an answer. A number that JSON does not have, such as infinity, is null; half a character ?.

    What is no data at all is named by its type: what one endpoint was declared with is to hide no other.
    """
    try:
        return JSONResponse(data)
    except (TypeError, ValueError):
        return JSONResponse(_plain(data))


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {_plain(str(name)): _plain(one) for name, one in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(one) for one in data]
    if isinstance(data, str):
        return data.encode("utf-8", "replace").decode()
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, int):
        return data if abs(data) < LARGEST else None
    return data if data is None else f"<{type(data).__name__}>"

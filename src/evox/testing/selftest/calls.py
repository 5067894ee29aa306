"""Calls: whether services of the project can be called by others: in the same process, and over a loopback socket.

A stand-in of the same name with the same operations answers, so that none of the project's own handlers runs.
"""

import inspect
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from evox.config import in_code
from evox.service_proxy import Handle
from evox.services import Endpoint, Method, Service, ServiceBuilder
from evox.testing.harness import Env, running
from evox.testing.selftest.project import Check, Project
from evox.testing.selftest.results import Failed, Skipped, counted

__all__ = ["call_checks", "stand_in"]

_PLACEHOLDER: Final = re.compile(r"\{(\w+)[^{}]*\}")
_CALLED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
FIX: Final = "this is a fault of Evox itself: install it anew, or report it with this line"


def call_checks(project: Project) -> Iterator[Check]:
    """Yield one check for each way of calling."""
    yield Check("connection", "proxy: services are called in this process", partial(_within, project))
    yield Check("connection", "proxy: services are called over a loopback socket", partial(_beyond, project))


def stand_in(service: Service) -> Service:
    """Return a service of the same name and operations, whose handlers only say which of them was called.

    Args:
        service: The service, which stays as it is.
    """
    made = ServiceBuilder(service.name)
    made.settings.health_path = service.settings.health_path
    made.settings.capabilities_path = service.settings.capabilities_path
    for row in service.endpoints:
        made.endpoint(row.path, methods=list(row.methods))(_handler(row))
    return made


def _handler(row: Endpoint) -> Any:
    async def answer(method: Method, **given: str) -> Any:
        del given
        return [row.name, str(method)]

    answer.__name__ = answer.__qualname__ = row.name
    kinds: dict[str, Any] = dict.fromkeys(_PLACEHOLDER.findall(row.path), str)
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(name, keyword, annotation=kind) for name, kind in (kinds | {"method": Method}).items()]
    answer.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    answer.__annotations__ = {**kinds, "method": Method}
    return answer


async def _within(project: Project) -> str:
    caller = ServiceBuilder("selftest-caller")
    made = _stand_ins(project)
    async with running(caller, *made, settings=project.settings()):
        return await _called(made, "in this process")


async def _beyond(project: Project) -> str:
    made = _stand_ins(project)
    async with running(*made, sockets=True, settings=project.settings()) as env, _calling(project, env, made):
        return await _called(made, "over a socket")


@asynccontextmanager
async def _calling(project: Project, env: Env, services: list[Service]) -> AsyncIterator[None]:
    peers = {one.name: {"url": env.url(one)} for one in services}
    async with running(ServiceBuilder("selftest-caller"), settings=project.settings(peers=peers)):
        yield


def _stand_ins(project: Project) -> list[Service]:
    made = [stand_in(one) for one in project.services if one.endpoints]
    if not made:
        probe = ServiceBuilder("selftest-called")
        probe.endpoint("/things/{number}", methods=["GET"])(_echo)
        made = [stand_in(probe)]
    return made


async def _echo(number: str) -> str:
    return number


async def _called(services: list[Service], how: str) -> str:
    tried = 0
    for service in services:
        names = Counter(row.name for row in service.endpoints)
        own = [row for row in service.endpoints if names[row.name] == 1 and not row.name.startswith("_")]
        pairs = ((row, method) for row in own for method in row.methods if method in _CALLED)
        for row, method in pairs:
            operation: Any = getattr(Handle(in_code(service.name)), row.name)
            if len(row.methods) > 1:
                operation = getattr(operation, method.lower())
            seen = await operation(**dict.fromkeys(_PLACEHOLDER.findall(row.path), "1"))
            if seen != [row.name, method]:
                said = f"{method} {row.path} of {service.name}, called {how} as {row.name}, reached {seen!r}"
                raise Failed(said, repr([row.name, method]), "see whether an earlier path also fits: it is asked first")
            tried += 1
            break
    if not tried:
        raise Skipped("no operation has a name of its own by which it could be called")
    return f"{counted(tried, 'operation')} of {counted(len(services), 'service')}"

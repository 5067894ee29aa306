"""Doors: the app of a service, in front of which requests are tried without one line of its own code being run.

The service is not started: no hook, lifespan or background task runs, and no data is opened. Middleware and exception
handlers of its own are left out. Its guard is the real one, on its real routes, and behind the guard there is no seat:
whoever is let through is turned away by admission, before dependencies and handlers. What is no endpoint of Evox has no
admission, so its guard is tried with nothing behind it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx2
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Match
from starlette.types import ASGIApp

from evox import context
from evox.auth import Authority
from evox.config import Loaded, PrioritySettings
from evox.errors import EvoxError
from evox.scheduling import Priority, Scheduler
from evox.services import Endpoint, Running, Scope, Service
from evox.services.http_errors import evox_error_handler
from evox.services.router_guard import RouterGuard
from evox.testing.clients import AppTransport

__all__ = ["THROUGH", "Door", "at_door", "chosen", "filled", "row_of"]

THROUGH: Final = 503  # what admission says to whoever the guard has let through
_VALUES: Final = {"int": "1", "float": "1", "uuid": "00000000-0000-4000-8000-000000000001"}


class Door:
    """What stands before a service.

    Args:
        service: The service.
        loaded: The configuration, without what is outside of this process.

    Attributes:
        now: Seconds since 1970, by which tokens are good or not.
    """

    def __init__(self, service: Service, loaded: Loaded) -> None:
        self.service = service
        self.now = 1_800_000_000.0
        self.scope = Scope(loaded, mode="test")
        self.scope.authority = Authority(loaded.settings.auth, loaded.root, mode="test", clock=lambda: self.now)
        self.running = Running(service, self.scope)
        self.running.scheduler = _taken()
        self.app = _bare(service.app)
        self.client: httpx2.AsyncClient
        self.to_guard: httpx2.AsyncClient

    def __repr__(self) -> str:
        return f"<Door of {self.service.name!r}>"

    @property
    def guard(self) -> ASGIApp:
        """The guard of what is no endpoint of Evox, with nothing behind it."""
        return RouterGuard(PlainTextResponse("let through", THROUGH), self.service)

    @property
    def lifetime(self) -> float:
        """Seconds for which its tokens are good."""
        return min(60.0, self.scope.loaded.settings.auth.max_lifetime)

    def token(self, *roles: str) -> str:
        """Return a token with these roles."""
        return self.scope.authority.issue("selftest", roles=roles, ttl=self.lifetime)

    async def send(self, method: str, path: str, token: str | None = None, *, raw: bool = False) -> httpx2.Response:
        """Send a request; a ``raw`` one to the guard of what is no endpoint of Evox."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await (self.to_guard if raw else self.client).request(method, path, headers=headers)

    def reaches_others(self, method: str, path: str) -> bool:
        """Whether a request would be answered by what is no endpoint of Evox, and so has no admission."""
        route = chosen(self.service, method, path)
        return route is not None and row_of(route) is None


def chosen(service: Service, method: str, path: str) -> Any:
    """Return the route that answers a request, as the router chooses it; None where it is 404 or 405."""
    asked = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return next((one for one in service.app.router.routes if one.matches(asked)[0] is Match.FULL), None)


def row_of(route: Any) -> Endpoint | None:
    """Return the endpoint of Evox that a route is of, or None."""
    found: Endpoint | None = getattr(getattr(route, "endpoint", None), "__evox_row__", None)
    return found


@asynccontextmanager
async def at_door(service: Service, loaded: Loaded) -> AsyncIterator[Door]:
    """Stand before a service for the time of a block; see ``Door``."""
    door = Door(service, loaded)
    token = context.enter_service(door.running)
    try:
        async with anyio.create_task_group() as nursery:
            door.client, door.to_guard = (
                httpx2.AsyncClient(transport=AppTransport(app, nursery), base_url="http://selftest")
                for app in (door.app, door.guard)
            )
            async with door.client, door.to_guard:
                yield door
            nursery.cancel_scope.cancel()
    finally:
        context.leave_service(token)
        await door.scope.close()


def filled(path: str) -> str:
    """Return a path with something in its placeholders, as their converters want it."""
    parts: Sequence[str] = path.split("{")
    done = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        done += _VALUES.get(name.partition(":")[2], "selftest-1") + rest
    return done


def _taken() -> Scheduler:
    """Return a scheduler whose one seat is taken, and which lets nobody wait."""
    made = Scheduler(PrioritySettings(total=1, high=1, medium=1, low=1, queue=0), name="the self-test")
    made.enter(Priority.HIGH)
    return made


def _bare(app: FastAPI) -> ASGIApp:
    """Build the stack of an app as it builds it itself, but for what is the user's in it."""
    own = app.user_middleware, app.exception_handlers
    app.user_middleware = []
    built_in = {kind: handler for kind, handler in own[1].items() if _is_built_in(handler)}
    app.exception_handlers = {**built_in, EvoxError: evox_error_handler}
    try:
        stack = app.build_middleware_stack()
    finally:
        app.user_middleware, app.exception_handlers = own

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = app  # as the app itself does
        await stack(scope, receive, send)

    return answer


def _is_built_in(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).partition(".")[0] in ("evox", "fastapi", "starlette")

"""Route: a row of ours as FastAPI's router knows it. The outer steps run before the body is read.

``entry`` makes the answer to a request, whoever has found the route: FastAPI's router, by ``handle``, or the table of
``direct``, which skips what the endpoint does not need.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
from fastapi import Request, Response, routing
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from evox import context, events
from evox.services.admission import take_hints
from evox.services.cache_steps import cache_of
from evox.services.call import OPENED, Call, Inbound, current_call, inbound_of
from evox.services.compiled import Compiled, settled, why_not
from evox.services.endpoint import Endpoint
from evox.services.idempotency import answer_keyed, keyed_of
from evox.services.inputs import has_endings
from evox.services.pipeline import Outer, Pipeline
from evox.services.running import Running
from evox.services.writes import write_of

__all__ = ["LEFT", "EvoxRoute", "note_generator"]

LEFT = 499  # what logs of servers call an answer that its client did not wait for
TELEMETRY = "fastapi.telemetry"  # where FastAPI keeps what it tells OpenTelemetry of a request, in its ASGI scope
Entry: TypeAlias = Callable[[Request], Coroutine[Any, Any, Any]]


class EvoxRoute(APIRoute):
    """A FastAPI route that runs the outer steps of its row before the body is read.

    Attributes:
        entry: What answers requests to it; None where the route is only a part of what FastAPI makes of it elsewhere.
        uncompiled: Why it is not compiled; nothing if it is.
        on_disconnect: What its row says of that.
    """

    entry: "_Entry | None" = None
    uncompiled: str = ""
    on_disconnect: str | None = None

    @property
    def row(self) -> Endpoint:
        """The endpoint."""
        return self.endpoint.__evox_row__  # type: ignore[attr-defined, no-any-return]

    def get_route_handler(self) -> Entry:
        """Wrap what answers a request in the outer steps."""
        by_fastapi = super().get_route_handler()
        route, row = _effective(self), self.row
        pipeline: Pipeline = self.endpoint.__evox_pipeline__  # type: ignore[attr-defined]

        async def respond(call: Call) -> Response:
            return settled(await by_fastapi(call.request))

        is_own, reason = route is self, why_not(row, route)
        if is_own:
            self.uncompiled, self.on_disconnect = reason, row.on_disconnect
        if reason or not is_own:
            entry = _Entry(row, route, pipeline.outer(respond))
        else:
            compiled = Compiled(row, route, pipeline)
            entry = _Entry(row, route, pipeline.outer(_compiled(compiled, respond, self)))
            entry.shortly = pipeline.outer(compiled.respond)
        if is_own:
            self.entry = entry
        return entry.handle

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and report the call with the status that its client got."""
        if scope["method"] not in (self.methods or ()):
            try:
                await super().handle(scope, receive, send)
            except HTTPException as error:
                error.headers = {"Allow": ", ".join(_methods_at(self, scope))}
                raise
            return
        service = context.maybe_service()
        clock = service.clock if isinstance(service, Running) else anyio.current_time
        status, began, ended = 500, clock(), None
        kept = self.row.idempotency
        opened = scope.get("extensions", {}).get(OPENED)
        if opened is not None:
            opened.decide(self.row.on_disconnect)
            if opened.left:
                await anyio.lowlevel.checkpoint()  # nobody waits for what has not begun

        async def watching(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body", False):
                ended = clock()  # FastAPI's background tasks come after this
            await send(message)

        try:
            if kept is None:
                await super().handle(scope, receive, watching)
            else:
                await answer_keyed(super().handle, kept, scope, receive, watching)
        finally:
            took = (ended or clock()) - began
            name = service.name if service is not None else ""
            if ended is None and opened is not None and opened.left:
                status = LEFT
            origin = "http" if inbound_of(scope) is None else "internal"
            events.call_finished(name, self.name, origin, status, took)


def _compiled(compiled: Compiled, otherwise: Outer, route: EvoxRoute) -> Outer:
    """Answer by what is compiled, unless somebody looks into FastAPI or has put something in the place of another."""
    provider: Any = route.dependency_overrides_provider
    injects = bool(route.dependant.dependencies)

    async def respond(call: Call) -> Any:
        if call.request.scope.get(TELEMETRY) is not None or (injects and provider and provider.dependency_overrides):
            return await otherwise(call)
        return await compiled.respond(call)

    return respond


class _Entry:
    """Answers requests to one endpoint.

    Args:
        row: The endpoint.
        route: FastAPI's route of it.
        steps: Its outer steps round what answers a call.

    Attributes:
        shortly: The same where nobody looks into FastAPI, nor has put anything in the place of another.
    """

    __slots__ = ("_cache", "_ends_late", "_is_stream", "_keyed", "_row", "_steps", "_whole_body", "shortly")

    def __init__(self, row: Endpoint, route: Any, steps: Outer) -> None:
        self._row, self._steps, self.shortly = row, steps, steps
        self._cache, self._keyed = cache_of(row, route.dependant), keyed_of(row, route.dependant)
        self._whole_body = route.body_field is not None and not isinstance(route.body_field.field_info, Form)
        self._ends_late = has_endings(route.dependant)
        self._is_stream = row.is_stream

    def __repr__(self) -> str:
        return f"<Entry to {self._row.name!r}>"

    def begin(self, request: Request, name: str, inbound: Inbound | None, opened: Any) -> Call:
        """Return the call that a request is.

        Args:
            request: The request.
            name: The service's name.
            inbound: That it comes from within the process, if it does.
            opened: The server's side of it.

        Raises:
            UnacceptableClaims: if it comes from within the process, and is for another operation.
        """
        row, scope = self._row, request.scope
        if inbound is None:
            call = Call(row, "http", name, scope["method"], request, current_call())
        else:
            inbound.check(name, f"{request.method} {row.path}")
            call = Call(row, "internal", name, request.method, request, inbound.parent, inbound.internal)
        call.opened = opened
        if self._whole_body:
            call.whole_body = True
        if self._cache is not None:
            call.cache = self._cache
        if self._keyed is not None:
            call.keyed = self._keyed
        take_hints(call, scope)
        write = write_of(scope)
        if write is not None:
            write.row, write.scope, write.goes_on = row, scope, self._ends_late
        return call

    def finish(self, scope: Scope, response: Any, generators: Sequence[Any] = ()) -> Any:
        """Return an answer as it is given: what goes on after the handler is noted, and closed at its end."""
        streams = isinstance(response, StreamingResponse)
        if streams or getattr(response, "background", None) is not None:
            write = write_of(scope)
            if write is not None:
                write.goes_on = True
        return _Closing(response, generators) if streams else response

    async def handle(self, request: Request) -> Any:
        """Answer a request that has come by FastAPI's router."""
        scope = context.maybe_service()
        name = scope.name if scope is not None else ""
        generators: list[Any] = []
        if self._is_stream:
            _generators.set(generators)
        opened = request.scope.get("extensions", {}).get(OPENED)
        call = self.begin(request, name, inbound_of(request.scope), opened)
        return self.finish(request.scope, await self._steps(call), generators)


def _methods_at(route: APIRoute, scope: Scope) -> list[str]:
    """Return the methods that the path of a route answers: each has a route of its own (RFC 9110, section 15.5.6)."""
    beside = (one for one in scope["app"].router.routes if one.matches(scope)[0] is Match.PARTIAL)
    return sorted({method for one in (route, *beside) for method in getattr(one, "methods", None) or ()})


_generators: ContextVar[list[Any]] = ContextVar("evox_generators")


def note_generator(begun: Any) -> None:
    """Have a generator closed when the answer to the current request ends."""
    _generators.get().append(begun)


def _effective(route: APIRoute) -> Any:
    """Return a route as it is where it is being included: with the dependencies of routers above it.

    FastAPI tells only by a private variable; before it had that, it made a new route of its own for each inclusion.
    """
    variable: ContextVar[Any] | None = getattr(routing, "_effective_route_context_var", None)
    found = None if variable is None else variable.get()
    return found if found is not None and found.original_route is route else route


class _Closing:
    """A streaming answer whose generators are closed when it ends, however it ends; Starlette leaves that to chance."""

    def __init__(self, response: StreamingResponse, generators: Sequence[Any]) -> None:
        self._response = response
        self._generators = generators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            for generator in (self._response.body_iterator, *self._generators):
                if hasattr(generator, "aclose"):
                    await generator.aclose()

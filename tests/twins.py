"""Twins: one declaration as a service of Evox and as a plain FastAPI app, asked the same without sockets.

Requests go in and answers come out as bytes, as they stand on the wire: nothing between test and app normalises them.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import Service, ServiceBuilder
from evox.services.route import EvoxRoute
from evox.serving import Client
from evox.testing import running

__all__ = ["COMPILED", "Got", "Sent", "Twins", "call", "ran_compiled", "reached", "twins", "watched"]

COMPILED = True
"""Whether there is a compiled path: endpoints are held to the path that they should take only if there is."""
_FASTAPI, _REACHED = "tests.through_fastapi", "tests.reached"


@dataclass(frozen=True)
class Sent:
    """One request.

    Attributes:
        method: Its method.
        target: Path and query, percent-encoded, as they stand in the request line.
        headers: Names in small letters.
        body: In the parts in which it arrives.
        root_path: Where the app is mounted, as a server behind a proxy says.
    """

    method: str = "GET"
    target: bytes = b"/"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: tuple[bytes, ...] = ()
    root_path: str = ""

    def scope(self) -> dict[str, Any]:
        """Return it as servers hand it to an app."""
        path, _, query = self.target.partition(b"?")
        headers = [(b"host", b"twins"), *self.headers]
        if self.body:
            headers.append((b"content-length", b"%d" % sum(map(len, self.body))))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": self.root_path,
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("twins", 80),
            "extensions": {_FASTAPI: [], _REACHED: []},
        }


@dataclass(frozen=True)
class Got:
    """One answer.

    Attributes:
        status: Its status; 0 if there was none.
        headers: In the order of their names and values: in which order they are sent is nobody's promise.
        body: All of it.
        complete: Whether the app said that it was.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    complete: bool

    @property
    def said(self) -> Mapping[bytes, bytes]:
        """Its headers by name."""
        return dict(self.headers)


async def call(app: ASGIApp, sent: Sent, scope: Scope | None = None) -> Got:
    """Ask an app. What it raises is what a server would log, after the answer that its client got.

    Args:
        app: The app.
        sent: The request.
        scope: Used instead of the request's own, by those who look into it afterwards.
    """
    parts, answered = list(sent.body or (b"",)), anyio.Event()
    said: list[Message] = []

    async def receive() -> Message:
        if not parts:
            await answered.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        said.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    async def run() -> None:
        with suppress(Exception):  # it comes after the answer, and goes to the log of a server
            await app(sent.scope() if scope is None else scope, receive, send)

    async with anyio.create_task_group() as group:
        group.start_soon(run)  # in a context of its own, as servers do
    # Whether the connection goes on is the server's to say, and ours says it here.
    starts = [one for one in said if one["type"] == "http.response.start"]
    assert len(starts) <= 1
    status = starts[0]["status"] if starts else 0
    pairs = [(bytes(name), bytes(value)) for name, value in starts[0]["headers"]] if starts else []
    headers = tuple(sorted(pair for pair in pairs if pair[0] != b"connection"))
    body = b"".join(one.get("body", b"") for one in said if one["type"] == "http.response.body")
    return Got(status, headers, body, answered.is_set())


class _Reached(APIRoute):
    """FastAPI's route; it tells that a request was its own."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in (self.methods or ()):
            scope["extensions"][_REACHED].append(self.path)
        await super().handle(scope, receive, send)


@contextmanager
def watched() -> Iterator[None]:
    """Let each request say which path it took, for the time of a block."""
    handle = EvoxRoute.handle

    async def counting(self: EvoxRoute, scope: Scope, receive: Receive, send: Send) -> None:
        scope.get("extensions", {}).get(_FASTAPI, []).append(self.path)
        await handle(self, scope, receive, send)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EvoxRoute, "handle", counting)
        yield


def ran_compiled(scope: Scope) -> bool:
    """Whether a request that reached an endpoint of ours took the compiled path; within ``watched`` only."""
    return not scope["extensions"][_FASTAPI]


def reached(scope: Scope) -> bool:
    """Whether a request reached an endpoint of FastAPI's twin."""
    return bool(scope["extensions"][_REACHED])


def _allowing(got: Got, other: Got) -> Got:
    allowed = [set(one.said.get(b"allow", b"").split(b", ")) for one in (got, other)]
    assert allowed[0] >= allowed[1], allowed
    headers = [(name, other.said[name] if name == b"allow" else value) for name, value in got.headers]
    return replace(got, headers=tuple(headers))


@dataclass
class Twins:
    """Both, and what is known of how they answered.

    Attributes:
        service: Ours.
        ours: Its ASGI app, as it is served.
        theirs: FastAPI's.
        compiled: Of each request that reached an endpoint: whether ours took the compiled path.
    """

    service: Service
    ours: ASGIApp
    theirs: FastAPI
    compiled: list[bool] = field(default_factory=list)

    async def same(self, sent: Sent) -> Got:
        """Ask both the same, and return the answer."""
        scope, beside = sent.scope(), sent.scope()
        Client().enter(scope)
        got = await call(self.ours, sent, scope)
        other = await call(self.theirs, sent, beside)
        if got.status == other.status == 405:  # ours tells the methods of all handlers of a path
            got = _allowing(got, other)
        assert got == other, f"{sent}\n  ours   {got}\n  theirs {other}"
        if reached(beside) and not scope["path"].endswith("\n"):  # which FastAPI's patterns do not see
            self.compiled.append(ran_compiled(scope))
        return got

    async def get(self, target: str, **headers: str) -> Got:
        """Ask both by GET; a name in ``headers`` has underscores for dashes."""
        named = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        return await self.same(Sent("GET", target.encode(), named))

    async def post(self, target: str, body: bytes = b"{}", method: str = "POST") -> Got:
        """Ask both with a body of JSON."""
        return await self.same(Sent(method, target.encode(), ((b"content-type", b"application/json"),), (body,)))

    def held(self, *, compiled: bool = True) -> None:
        """Hold all requests that reached an endpoint so far to the path that they should take."""
        assert self.compiled, "no request has reached an endpoint"
        if COMPILED:
            assert set(self.compiled) == {compiled}, self.compiled


@asynccontextmanager
async def twins(*declare: Callable[[Any], Any], name: str = "twins", **options: Any) -> AsyncIterator[Twins]:
    """Declare the same twice, and run both.

    Args:
        *declare: Called with the service and with FastAPI's app: what both understand.
        name: The name and title.
        **options: Of both.
    """
    service = ServiceBuilder(name, **options)
    theirs = FastAPI(title=name, version=service.version, **options)
    theirs.router.route_class = _Reached
    for one in declare:
        one(service)
        one(theirs)
    with watched():
        async with running(service) as env:
            yield Twins(service, env.host(service), theirs)

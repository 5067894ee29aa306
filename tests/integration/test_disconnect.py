"""Clients leave before their answer is complete, by FIN and by RST, over real sockets and without, on both loops.

Clients here are plain sockets in the loop that also serves: what they send is in the kernel when ``send`` returns.
Nothing waits for a time: ``passed`` waits until the server has seen all that was done to its sockets before.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final, Self

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events
import httpx2
import pytest
from fastapi import BackgroundTasks, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Receive, Scope, Send

from evox import (
    DELETE,
    GET,
    HEAD,
    PATCH,
    POST,
    PUT,
    Body,
    Controller,
    Request,
    Response,
    Service,
    ServiceBuilder,
    WebSocket,
    events,
)
from evox.config import ServingSettings
from evox.orchestrator.gateway import Gateway
from evox.serving import InflightStatistics, Port, bind
from evox.testing import Env, running

PROMPTLY: Final = 0.5  # V6
SOON: Final = 5.0  # liveness only
WAYS: Final = ("fin", "rst")
VERBS: Final = {"GET": GET, "HEAD": HEAD, "POST": POST, "PUT": PUT, "PATCH": PATCH, "DELETE": DELETE}
BY_DEFAULT: Final[dict[str, Any]] = {}
CANCELLED: Final = [
    ("GET", BY_DEFAULT),
    ("HEAD", BY_DEFAULT),
    ("GET", {"on_disconnect": "cancel"}),
    ("POST", {"on_disconnect": "cancel"}),
    ("DELETE", {"on_disconnect": "cancel"}),
]
FINISHED: Final = [
    ("POST", BY_DEFAULT),
    ("PUT", BY_DEFAULT),
    ("PATCH", BY_DEFAULT),
    ("DELETE", BY_DEFAULT),
    ("GET", {"on_disconnect": "finish"}),
    ("HEAD", {"on_disconnect": "finish"}),
]


class Caller:
    """One connection from a client."""

    def __init__(self, url: str) -> None:
        address = httpx2.URL(url)
        self.socket = socket.create_connection((address.host, address.port or 80))
        self.socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, path: str, method: str = "GET", *headers: str, body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: evox", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    async def read(self) -> bytes:
        await anyio.wait_readable(self.socket)
        return self.socket.recv(65_536)

    async def answer(self) -> bytes:
        """Read one answer that has a length; return all of it."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += await self.read() or pytest.fail(f"no answer, but {got!r}")
        head, _, body = got.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += await self.read() or pytest.fail(f"half an answer: {got!r}")
        return head + b"\r\n\r\n" + body

    def leave(self, how: str) -> None:
        if how == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Caller2(Caller):
    """One HTTP/2 connection from a client."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def begin(self, path: str, method: str = "GET") -> int:
        stream = self.http.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "evox"), (":path", path)]
        self.http.send_headers(stream, head, end_stream=True)
        self.flush()
        return stream

    def reset(self, stream: int) -> None:
        self.http.reset_stream(stream)
        self.flush()

    async def ended(self, stream: int) -> None:
        """Read until a stream ends."""
        while True:
            for event in self.http.receive_data(await self.read()):
                if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    return
            self.flush()


class Seen:
    """What became of a handler that waits until it is told to go on."""

    def __init__(self) -> None:
        self.entered, self.go, self.ended = anyio.Event(), anyio.Event(), anyio.Event()
        self.finished = False

    async def wait(self) -> str:
        self.entered.set()
        try:
            await self.go.wait()
            self.finished = True
            return "finished"
        finally:
            self.ended.set()

    async def cancelled(self) -> bool:
        """Wait for the end, no longer than promised."""
        with anyio.fail_after(PROMPTLY):
            await self.ended.wait()
        return not self.finished


async def until(condition: Callable[[], bool], limit: float = SOON) -> None:
    """Wait for what no event tells: threads, descriptors, counts."""
    with anyio.move_on_after(limit):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)
    assert condition()


async def passed(env: Env) -> None:
    """Wait until the server has seen what happened to its sockets before: it has answered someone who came later."""
    for _ in range(2):
        with Caller(env.url("a")) as later, anyio.fail_after(SOON):
            later.ask("/health/live")
            await later.answer()


def statistics(env: Env) -> InflightStatistics:
    return env.host("a").inflight.statistics()


async def idle(env: Env) -> InflightStatistics:
    """Wait until no request is open."""
    with anyio.fail_after(SOON):
        await env.host("a").inflight.wait_idle()
    return statistics(env)


def waiting(seen: Seen, method: str = "GET", syntax: str = "function", **options: Any) -> Service:
    """Return a service whose ``/wait`` waits."""
    svc = ServiceBuilder("a")
    if syntax == "function":

        @svc.endpoint("/wait", methods=[method], **options)
        async def wait() -> str:
            return await seen.wait()
    else:

        @Controller("/wait")
        class Waits:
            @VERBS[method]("/", **options)
            async def wait(self) -> str:
                return await seen.wait()

        svc.register_controller(Waits)
    return svc


@pytest.fixture
def calls() -> Iterator[list[events.CallFinished]]:
    """Return the calls that finished so far."""
    seen: list[events.CallFinished] = []
    token = events.observe(lambda event: seen.append(event) if isinstance(event, events.CallFinished) else None)
    yield seen
    events._observers.reset(token)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("syntax", ["function", "class"])
@pytest.mark.parametrize(("method", "options"), CANCELLED)
async def test_V6_a_handler_is_cancelled_when_its_client_leaves(
    method: str, options: dict[str, Any], syntax: str, how: str
) -> None:
    seen = Seen()
    async with running(waiting(seen, method, syntax, **options), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave(how)
        assert await seen.cancelled()
        after = await idle(env)
        assert (after.left, after.failed) == (1, 0)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("syntax", ["function", "class"])
@pytest.mark.parametrize(("method", "options"), FINISHED)
async def test_V6_a_handler_finishes_although_its_client_has_left(
    method: str, options: dict[str, Any], syntax: str, how: str
) -> None:
    seen = Seen()
    async with running(waiting(seen, method, syntax, **options), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave(how)
        await passed(env)
        assert not seen.ended.is_set()
        seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left, after.failed) == (True, 1, 0)


async def test_V6_a_client_that_only_closes_its_own_direction_has_left() -> None:
    seen = Seen()
    async with running(waiting(seen), sockets=True) as env:
        with Caller(env.url("a")) as client:
            client.ask("/wait")
            await seen.entered.wait()
            client.socket.shutdown(socket.SHUT_WR)
            assert await seen.cancelled()


async def test_V6_a_write_is_answered_to_a_client_that_only_closes_its_own_direction() -> None:
    seen = Seen()
    async with running(waiting(seen, "POST"), sockets=True) as env:
        with Caller(env.url("a")) as client:
            client.ask("/wait", "POST")
            await seen.entered.wait()
            client.socket.shutdown(socket.SHUT_WR)
            await passed(env)
            seen.go.set()
            with anyio.fail_after(SOON):
                assert (await client.answer()).endswith(b'"finished"')


@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_request_sent_behind_another_does_not_hide_that_the_client_has_left(how: str) -> None:
    seen = Seen()
    async with running(waiting(seen), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait")
        await seen.entered.wait()
        client.ask("/wait")
        await passed(env)
        client.leave(how)
        assert await seen.cancelled()


async def test_V6_a_write_is_done_although_its_client_left_at_once() -> None:
    seen = Seen()
    seen.go.set()
    async with running(waiting(seen, "POST"), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", "POST")
        client.leave("fin")
        with anyio.fail_after(SOON):
            await seen.ended.wait()
        assert seen.finished


@pytest.mark.parametrize(("method", "option", "finished"), [("POST", "cancel", False), ("POST", "finish", True)])
async def test_V6_what_an_endpoint_says_counts_for_a_client_that_left_before_it_was_reached(
    method: str, option: str, finished: bool
) -> None:
    seen, arrived, onwards = Seen(), anyio.Event(), anyio.Event()
    svc = waiting(seen, method, on_disconnect=option)

    @svc.middleware("http")
    async def look_up(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.url.path == "/wait":
            arrived.set()
            await onwards.wait()
        return await call_next(request)

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await arrived.wait()
        client.leave("fin")
        await passed(env)
        onwards.set()
        await passed(env)
        goes_on = bool(env.host("a").inflight.unanswered())
        seen.go.set()
        after = await idle(env)
        assert (seen.entered.is_set(), goes_on, seen.finished, after.left) == (finished, finished, finished, 1)


@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_handler_behind_the_gateway_is_cancelled_too(how: str) -> None:
    seen = Seen()
    async with running(waiting(seen)) as env, anyio.create_task_group() as group:
        gateway = Gateway([env.host("a")])
        bound = bind("127.0.0.1", 0, service="gateway")
        port = Port(bound, gateway, ServingSettings(), service="gateway", connections=group)
        group.start_soon(port.serve)
        client = Caller(port.url)
        client.ask("/a/wait")
        await seen.entered.wait()
        client.leave(how)
        assert await seen.cancelled()
        assert (await idle(env)).left == 1
        await port.close()


class Pure:
    """Middleware that is nothing but ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Based(BaseHTTPMiddleware):
    """Middleware that runs the rest in a task of its own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


@pytest.mark.parametrize("middleware", [(Pure,), (Based,), (Based, Pure, Based)])
@pytest.mark.parametrize(("method", "finishes"), [("GET", False), ("POST", True)])
async def test_V6_middleware_of_the_user_changes_nothing(
    middleware: tuple[Any, ...], method: str, finishes: bool
) -> None:
    seen = Seen()
    svc = waiting(seen, method)
    for one in middleware:
        svc.add_middleware(one)
    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave("fin")
        if finishes:
            await passed(env)
            seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left, after.failed) == (finishes, 1, 0)


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", WAYS)
async def test_V6_a_handler_that_waits_for_a_body_ends_when_the_client_leaves_in_the_middle_of_it(
    framing: str, how: str, calls: list[events.CallFinished]
) -> None:
    svc, entered, ended = ServiceBuilder("a"), anyio.Event(), anyio.Event()

    @svc.post("/upload")
    async def upload(request: Request) -> int:
        entered.set()
        try:
            return len(await request.body())
        finally:
            ended.set()

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/upload", "POST", framing)
        client.socket.sendall(b"5\r\nhe")
        await entered.wait()
        client.leave(how)
        with anyio.fail_after(PROMPTLY):
            await ended.wait()
        after = await idle(env)
    # The client's fault, not the service's: no failure, no traceback in the log.
    assert (after.left, after.failed, [one.status for one in calls]) == (1, 0, [499])


async def test_V6_a_handler_is_not_called_with_half_a_body() -> None:
    svc, called = ServiceBuilder("a"), list[object]()

    @svc.post("/upload")
    async def upload(what: dict[str, Any] = Body()) -> None:
        called.append(what)

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/upload", "POST", "Content-Type: application/json", "Content-Length: 10")
        client.socket.sendall(b"{}")
        await until(lambda: statistics(env).requests == 1)
        client.leave("fin")
        after = await idle(env)
    assert (called, after.left, after.failed) == ([], 1, 0)


BACKGROUND: Final = [("GET", b""), ("POST", b""), ("POST", bytes(200_000))]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("method", "body"), BACKGROUND, ids=["get", "post", "unread body"])
async def test_V6_a_client_that_closes_after_its_answer_does_not_cut_background_tasks(
    method: str, body: bytes, how: str
) -> None:
    svc, task = ServiceBuilder("a"), Seen()

    @svc.endpoint("/order", methods=[method], on_disconnect="cancel")
    async def order(tasks: BackgroundTasks) -> str:
        tasks.add_task(task.wait)
        return "taken"

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/order", method, body=body)
        assert b" 200 " in await client.answer()
        await task.entered.wait()
        client.leave(how)
        await passed(env)
        assert not task.ended.is_set()
        task.go.set()
        after = await idle(env)
    assert (task.finished, after.left) == (True, 0)


class Late(Response):
    """Says that it is complete some time after its last byte, as middleware that passes a body on does."""

    def __init__(self, go: anyio.Event, **options: Any) -> None:
        super().__init__(b"whole", **options)
        self.go = go

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        assert self.background is not None
        await self.background()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_V6_the_last_byte_of_an_answer_with_a_length_is_its_end(
    method: str, calls: list[events.CallFinished]
) -> None:
    svc, task, go = ServiceBuilder("a"), Seen(), anyio.Event()

    @svc.endpoint("/order", methods=[method])
    async def order() -> Response:
        return Late(go, background=BackgroundTask(task.wait))

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/order", method)
        got = b""
        while not got.endswith(b"whole" if method == "GET" else b"\r\n\r\n"):
            got += await client.read()
        client.leave("fin")
        await passed(env)
        go.set()
        task.go.set()
        after = await idle(env)
    assert (task.finished, after.left, [one.status for one in calls]) == (True, 0, [200])


async def test_V6_a_handler_in_a_thread_stays_counted_until_its_thread_returns() -> None:
    svc, entered, release, returned = ServiceBuilder("a"), threading.Event(), threading.Event(), threading.Event()

    @svc.get("/thread")
    def thread() -> str:
        entered.set()
        release.wait(SOON)
        returned.set()
        return "done"

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/thread")
        await until(entered.is_set)
        client.leave("fin")
        await passed(env)
        open_now = env.host("a").inflight.unanswered()
        release.set()
        after = await idle(env)
    assert open_now == ["GET /thread"]
    assert (returned.is_set(), after.left, after.requests) == (True, 1, 0)


def streaming(ended: threading.Event) -> Service:
    """Return a service with endless answers, in all the forms that a user may write them in."""
    svc = ServiceBuilder("a")

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"part\n"
                await anyio.sleep(0.01)
        finally:
            ended.set()

    def parts_in_threads() -> Iterator[bytes]:
        try:
            while True:
                yield b"part\n"
                time.sleep(0.01)
        finally:
            ended.set()

    async def waits() -> AsyncIterator[bytes]:
        try:
            yield b"first\n"
            await anyio.sleep_forever()
        finally:
            ended.set()

    svc.get("/response")(lambda: StreamingResponse(parts()))
    svc.get("/response-in-threads")(lambda: StreamingResponse(parts_in_threads()))
    svc.get("/response-that-waits")(lambda: StreamingResponse(waits()))
    svc.get("/generator", response_class=StreamingResponse)(parts)
    svc.get("/generator-in-threads", response_class=StreamingResponse)(parts_in_threads)
    return svc


STREAMS: Final = ["/response", "/response-in-threads", "/response-that-waits", "/generator", "/generator-in-threads"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("path", STREAMS)
async def test_V6_a_streams_generator_is_closed_when_its_client_leaves(path: str, how: str) -> None:
    ended = threading.Event()
    async with running(streaming(ended), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask(path)
        await client.read()
        client.leave(how)
        await until(ended.is_set, PROMPTLY)
        after = await idle(env)
        assert (after.streams, after.left, after.failed) == (0, 1, 0)


# A plain generator in the user's own response is out of our reach: Python closes it when it is collected.
@pytest.mark.parametrize("path", [path for path in STREAMS if path != "/response-in-threads"])
async def test_V6_a_streams_generator_is_closed_when_its_client_leaves_without_sockets(path: str) -> None:
    ended = threading.Event()
    async with running(streaming(ended)) as env:
        async with env.client("a").stream("GET", path) as answer, aclosing(answer.aiter_raw()) as parts:
            await anext(parts)
        await until(ended.is_set, PROMPTLY)
        after = await idle(env)
        assert (after.streams, after.left, after.failed) == (0, 1, 0)


@pytest.mark.parametrize(("method", "finishes"), [("GET", False), ("POST", True)])
async def test_V6_a_request_given_up_without_sockets_ends_as_with_them(method: str, finishes: bool) -> None:
    seen = Seen()
    async with running(waiting(seen, method)) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(env.client("a").request, method, "/wait")
            await seen.entered.wait()
            group.cancel_scope.cancel()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert seen.ended.is_set() is not finishes
        seen.go.set()
        after = await idle(env)
        assert (seen.finished, after.left) == (finishes, 1)


UPGRADE: Final = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY: Final = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("doing", ["receive", "send"])
async def test_V6_a_websocket_handler_whose_client_leaves_gets_a_disconnect(doing: str, how: str) -> None:
    svc, caught, ended = ServiceBuilder("a"), list[BaseException](), anyio.Event()

    @svc.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        act: Callable[[], Awaitable[Any]]
        act = socket.receive_text if doing == "receive" else lambda: socket.send_text("news")
        try:
            while True:
                await act()
                await anyio.lowlevel.checkpoint()
        except BaseException as error:
            caught.append(error)
            raise
        finally:
            ended.set()

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/talk", "GET", *UPGRADE, KEY)
        assert b" 101 " in await client.read()
        client.leave(how)
        with anyio.fail_after(PROMPTLY):
            await ended.wait()
        after = await idle(env)
    assert [(type(one), getattr(one, "code", 0)) for one in caught] == [(WebSocketDisconnect, 1006)]
    assert (after.websockets, after.failed) == (0, 0)


@pytest.mark.parametrize(("method", "status"), [("GET", 499), ("HEAD", 499)])
async def test_V6_a_call_that_its_client_left_is_reported_with_499(
    method: str, status: int, calls: list[events.CallFinished]
) -> None:
    seen = Seen()
    async with running(waiting(seen, method), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/wait", method)
        await seen.entered.wait()
        client.leave("fin")
        await seen.cancelled()
        await idle(env)
    assert [(one.endpoint, one.status) for one in calls] == [("wait", status)]


H2C: Final = {"serving": {"h2c": True}}


def waiting_each(seen: dict[str, Seen]) -> Service:
    """Return a service whose ``/wait/NAME`` waits, by any method."""
    svc = ServiceBuilder("a")

    @svc.endpoint("/wait/{name}", methods=["GET", "POST"])
    async def wait(name: str) -> str:
        return await seen[name].wait()

    return svc


async def test_V6_the_reset_of_an_http2_stream_cancels_that_stream_only() -> None:
    seen = {"first": Seen(), "second": Seen(), "third": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        with Caller2(env.url("a")) as client:
            first, second, third = (
                client.begin("/wait/first"),
                client.begin("/wait/second"),
                client.begin("/wait/third"),
            )
            for one in seen.values():
                await one.entered.wait()
            client.reset(second)
            assert await seen["second"].cancelled()
            await passed(env)
            assert not seen["first"].ended.is_set()
            assert not seen["third"].ended.is_set()
            seen["first"].go.set()
            await client.ended(first)
            seen["third"].go.set()
            await client.ended(third)
        assert (await idle(env)).left == 1


async def test_V6_a_write_whose_http2_stream_is_reset_finishes() -> None:
    seen = {"only": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        with Caller2(env.url("a")) as client:
            stream = client.begin("/wait/only", "POST")
            await seen["only"].entered.wait()
            client.reset(stream)
            await passed(env)
            assert not seen["only"].ended.is_set()
            seen["only"].go.set()
            assert (await idle(env)).left == 1
        assert seen["only"].finished


@pytest.mark.parametrize("how", WAYS)
async def test_V6_the_end_of_an_http2_connection_cancels_all_its_streams(how: str) -> None:
    seen = {"first": Seen(), "second": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        client = Caller2(env.url("a"))
        for name, one in seen.items():
            client.begin(f"/wait/{name}")
            await one.entered.wait()
        client.leave(how)
        for one in seen.values():
            assert await one.cancelled()
        assert (await idle(env)).left == 2


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_V6_a_thousand_clients_that_leave_leave_nothing_behind() -> None:
    svc, entered, ended = ServiceBuilder("a"), list[int](), list[int]()

    @svc.get("/wait/{number}")
    async def wait(number: int) -> None:
        entered.append(number)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    async with running(svc, sockets=True) as env:
        await passed(env)
        await until(lambda: env.port("a").statistics().connections == 0)
        tasks, files = len(anyio.get_running_tasks()), open_files()
        for batch in range(20):
            clients = [Caller(env.url("a")) for _ in range(50)]
            for number, client in enumerate(clients):
                client.ask(f"/wait/{number}")
            await until(lambda batch=batch: len(entered) == 50 * (batch + 1))  # type: ignore[misc]
            for number, client in enumerate(clients):
                client.leave(WAYS[number % 2])
        await until(lambda: len(anyio.get_running_tasks()) <= tasks and open_files() <= files, 2.0)
        after = statistics(env)
        assert (len(ended), after.left, after.requests, after.failed) == (1000, 1000, 0, 0)

"""Slow clients byte by byte, and a service that tells how its handlers ended.

Limits are fractions of a second. On trio time is virtual: it jumps when neither a task nor a socket has had anything
to do for a moment. On asyncio it is real, so that what must *not* happen is given room.
"""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import anyio
import pytest
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send
from tests.lanes import running
from trio.testing import MockClock

from evox import Request, Service, WebSocket, service
from evox.testing import Env

SOON: Final = 8.0  # liveness only
MOMENT: Final = 0.01  # real seconds without anything to do, after which virtual time jumps
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPLOAD: Final = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
# More than what the kernel takes for a client that does not read.
HUGE: Final = 20_000_000


def backend_of(loop: str) -> Any:
    """Return the loop, with virtual time on trio."""
    return ("trio", {"clock": MockClock(autojump_threshold=MOMENT)}) if loop == "trio" else loop


class Endless(Response):
    """An answer without an end, that says when it is over all the same.

    Args:
        slow: Told of the end.
    """

    def __init__(self, slow: "Slow") -> None:
        super().__init__()
        del self.headers["content-length"]
        self._slow = slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while not self._slow.told_to_stop:
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        finally:
            self._slow.end("stream")


class Slow:
    """A service, and how its handlers ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.over = anyio.Event()
        self.told_to_stop = False
        self.service = self._build()

    def end(self, how: str) -> None:
        self.ended.append(how)
        self.over.set()

    def _build(self) -> Service:
        svc = service("slow").port(0)

        @svc.get("/")
        async def root() -> str:
            return "root"

        @svc.post("/upload")
        async def upload(request: Request) -> int:
            try:
                return len(await request.body())
            finally:
                self.end("upload")

        @svc.post("/thinking")
        async def thinking(request: Request) -> int:
            await anyio.sleep(1)
            size = len(await request.body())
            await anyio.sleep(1)
            return size

        @svc.get("/huge")
        async def huge() -> Response:
            return Response(bytes(HUGE))

        @svc.get("/large")
        async def large() -> Response:
            return Response(bytes(1_000_000))

        @svc.endpoint("/stream", methods=["GET", "POST"])
        async def stream() -> Response:
            return Endless(self)

        @svc.websocket("/talk")
        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                await socket.send_text(message["text"])
            self.end(f"disconnect {message['code']}")

        return svc.build()


@asynccontextmanager
async def serving(slow: Slow, **limits: Any) -> AsyncIterator[Env]:
    """Run the service with these limits; whatever is done to it has to be over soon."""
    with anyio.fail_after(SOON):
        async with running(slow.service, sockets=True, settings={"serving": limits}) as env:
            yield env


class Wire:
    """A client's socket, of which nothing is read unless it is asked for."""

    def __init__(self, env: Env, receive_buffer: int = 0) -> None:
        host, _, port = env.url("slow").removeprefix("http://").partition(":")
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((host, int(port)))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # virtual time must not overtake bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send a little."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    async def read(self) -> bytes:
        """Return what comes next; nothing once the server has closed."""
        await anyio.wait_readable(self._socket)
        try:
            return self._socket.recv(1_000_000)
        except ConnectionError:
            return b""

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        got = b""
        while data := await self.read():
            got += data
        return got

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of an answer that has a length."""
        got = await self.read()
        while b"\r\n\r\n" not in got:
            got += await self.read() or pytest.fail(f"no answer, but {got!r}")
        head, _, body = got.lower().partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += await self.read() or pytest.fail(f"half an answer: {got!r}")
        return int(head.split()[1]), body

    async def drip(self, data: bytes, every: float) -> bytes:
        """Send byte by byte until the server closes, and return what it said."""
        said = b""

        async def listen() -> None:
            nonlocal said
            said = await self.rest()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            for at in range(len(data)):
                self.send(data[at : at + 1])
                await anyio.sleep(every)
        return said


def complaints(env: Env) -> dict[str, int]:
    return dict(env.port("slow").statistics().complaints)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true that no event tells."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.01)


async def settled(env: Env, made: int = 1) -> None:
    """Wait until so many connections were made and none is left."""
    port = env.port("slow")
    await until(lambda: port.statistics().total >= made and not port.statistics().connections)


def problem(said: bytes) -> dict[str, Any]:
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    found: dict[str, Any] = json.loads(body)
    return found

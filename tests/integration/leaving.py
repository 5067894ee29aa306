"""Clients that leave before their answer is complete, and handlers that tell what became of them.

Clients here are plain sockets in the loop that also serves: what they send is in the kernel when ``send`` returns.
Nothing waits for a time: ``passed`` waits until the server has seen all that was done to its sockets before.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Self

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events
import httpx2
import pytest

from evox import (
    DELETE,
    GET,
    HEAD,
    PATCH,
    POST,
    PUT,
    Controller,
    Service,
    ServiceBuilder,
)
from evox.serving import InflightStatistics
from evox.testing import Env

PROMPTLY: Final = 0.5  # V6
SOON: Final = 5.0  # liveness only
WAYS: Final = ("fin", "rst")
VERBS: Final = {"GET": GET, "HEAD": HEAD, "POST": POST, "PUT": PUT, "PATCH": PATCH, "DELETE": DELETE}


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
        env.port("a").sweep()


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

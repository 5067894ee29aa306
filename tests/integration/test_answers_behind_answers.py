"""An answer that is read slowly comes whole: nothing goes between its parts, and its connection is not idle."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.responses import Response
from tests.lanes import running

from evox import Service, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")
SIZE = 20_000_000  # more than the kernel takes of an answer that is not read


def large() -> Service:
    svc: Service = service("large")

    @svc.get("/large")
    async def large() -> Response:
        return Response(b"A" * SIZE)

    @svc.get("/small")
    async def small() -> Response:
        return Response(b"B" * 10)

    return svc


@asynccontextmanager
async def asked(env: Env, svc: Service, *headers: bytes) -> AsyncIterator[SocketStream]:
    """Ask for the large answer, and read nothing of it until the connection was looked at several times."""
    host, port = env.url(svc).removeprefix("http://").split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(b"\r\n".join([b"GET /large HTTP/1.1", b"Host: x", *headers, b"", b""]))
        await anyio.sleep(0.5)
        yield stream


async def body_of(stream: SocketStream) -> int:
    """Return how many bytes of the large body came."""
    got, limit = 0, SIZE
    with anyio.fail_after(10):
        try:
            while got < limit:
                got += (await stream.receive(1_000_000)).count(b"A")
        except anyio.EndOfStream:
            pass
    return got


async def everything(stream: SocketStream) -> bytes:
    parts: list[bytes] = []
    with anyio.fail_after(10):
        try:
            while True:
                parts.append(await stream.receive(1_000_000))
        except anyio.EndOfStream:
            return b"".join(parts)


async def test_V4_a_request_sent_while_a_large_answer_waits_to_be_read_is_answered_behind_it() -> None:
    svc = large()
    async with running(svc, sockets=True) as env, asked(env, svc) as stream:
        await stream.send(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await anyio.sleep(0.2)
        answers = await everything(stream)
    first = answers.partition(b"\r\n\r\n")[2]
    assert len(first) > SIZE
    assert first[:SIZE].count(b"A") == SIZE
    assert first[SIZE:].startswith(b"HTTP/1.1 200")
    assert first.endswith(b"B" * 10)


async def test_V4_requests_whose_answers_were_read_slowly_are_over_when_these_were_read() -> None:
    svc = large()
    async with running(svc, sockets=True) as env:
        async with asked(env, svc) as stream:
            await stream.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await anyio.sleep(0.2)
            await everything(stream)
        with anyio.fail_after(3):
            while env.host(svc).inflight.statistics().requests:  # noqa: ASYNC110  nobody tells of it
                await anyio.sleep(0.01)


async def test_V4_an_answer_that_is_read_for_longer_than_a_connection_may_be_idle_comes_whole() -> None:
    svc = large()
    settings = {"serving": {"keep_alive": "300ms"}}
    async with running(svc, sockets=True, settings=settings) as env, asked(env, svc) as stream:
        await anyio.sleep(0.7)
        assert await body_of(stream) == SIZE


async def test_V4_an_answer_that_is_being_read_when_the_port_closes_comes_whole() -> None:
    svc = large()
    async with running(svc, sockets=True) as env, asked(env, svc) as stream, anyio.create_task_group() as group:
        group.start_soon(env.port(svc).close)
        await anyio.sleep(1.5)
        assert await body_of(stream) == SIZE

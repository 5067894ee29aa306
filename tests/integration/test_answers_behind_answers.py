"""The answer to a request comes behind all of the answer before it, however slowly the client reads that."""

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.responses import Response
from tests.lanes import running

from evox import Service, service

pytestmark = pytest.mark.usefixtures("http1")
SIZE = 20_000_000  # more than the kernel takes of an answer that is not read


async def everything(stream: SocketStream) -> bytes:
    parts: list[bytes] = []
    with anyio.fail_after(10):
        try:
            while True:
                parts.append(await stream.receive(1_000_000))
        except anyio.EndOfStream:
            return b"".join(parts)


async def test_V4_a_request_sent_while_a_large_answer_waits_to_be_read_is_answered_behind_it() -> None:
    svc: Service = service("large")

    @svc.get("/large")
    async def large() -> Response:
        return Response(b"A" * SIZE)

    @svc.get("/small")
    async def small() -> Response:
        return Response(b"B" * 10)

    async with running(svc, sockets=True) as env:
        host, port = env.url(svc).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await anyio.sleep(0.5)  # two looks at the connection, so that others could go on with it
            await stream.send(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await anyio.sleep(0.2)
            answers = await everything(stream)
    first = answers.partition(b"\r\n\r\n")[2]
    assert len(first) > SIZE
    assert first[:SIZE].count(b"A") == SIZE
    assert first[SIZE:].startswith(b"HTTP/1.1 200")
    assert first.endswith(b"B" * 10)

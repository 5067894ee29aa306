"""A body in chunks is held to its time, wherever in a chunk its client stops."""

import anyio
import pytest
from tests.lanes import running

from evox import Service, service

pytestmark = pytest.mark.usefixtures("http1")
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("begun", [b"", b"2", b"2\r", b"2\r\n", b"2\r\n{", b"2\r\n{}\r\n", b"2\r\n{}\r\n0\r\n"])
async def test_V4_a_body_in_chunks_that_stops_with_its_head_is_refused_in_time(begun: bytes) -> None:
    svc: Service = service("slow")

    @svc.post("/")
    async def root(item: dict[str, int]) -> dict[str, int]:
        return item

    async with running(svc, sockets=True, settings={"serving": {"body_timeout": "300ms"}}) as env:
        host, port = env.url(svc).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(HEAD + begun)
            with anyio.fail_after(3):
                assert (await stream.receive()).startswith(b"HTTP/1.1 408 ")

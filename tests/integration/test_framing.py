"""The table of framing in docs/serving.md, row by row: sent as bytes, answered as the table says, on both loops."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from tests.lanes import ONE_WAY, running

from evox import Request, Service, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

PAGE: Final = Path(__file__).parents[2] / "docs" / "serving.md"
CHUNKED: Final = b"Transfer-Encoding: chunked"
CHUNKS: Final = b"2\r\nok\r\n0\r\n\r\n"
BEHIND: Final = b"GET /behind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def get(*headers: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *headers, b"", b""])


def post(*headers: bytes, body: bytes = CHUNKS, version: bytes = b"1.1") -> bytes:
    return get(*headers, line=b"POST / HTTP/" + version) + body


REQUESTS: Final = {
    "Transfer-Encoding and Content-Length": post(CHUNKED, b"Content-Length: 2"),
    "Transfer-Encoding in HTTP/1.0": post(CHUNKED, version=b"1.0"),
    "`Transfer-Encoding: chunked, chunked`": post(b"Transfer-Encoding: chunked, chunked"),
    "`Transfer-Encoding: gzip, chunked`": post(b"Transfer-Encoding: gzip, chunked"),
    "`Transfer-Encoding: gzip`": post(b"Transfer-Encoding: gzip"),
    "two Content-Lengths that differ": post(b"Content-Length: 2", b"Content-Length: 3", body=b"oky"),
    "one Content-Length twice": post(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"),
    "`Content-Length: -2`": post(b"Content-Length: -2", body=b"ok"),
    "`Content-Length: +2`": post(b"Content-Length: +2", body=b"ok"),
    "`Content-Length: 0x2`": post(b"Content-Length: 0x2", body=b"ok"),
    "a Content-Length of 5,000 digits": post(b"Content-Length: " + b"1" * 5_000, body=b"ok"),
    "a chunk size that is no number": post(CHUNKED, body=b"zz\r\nok\r\n0\r\n\r\n"),
    "a chunk size with 0x": post(CHUNKED, body=b"0x2\r\nok\r\n0\r\n\r\n"),
    "a chunk size of 21 digits": post(CHUNKED, body=b"0" * 20 + CHUNKS),
    "no CRLF behind a chunk": post(CHUNKED, body=b"2\r\nok0\r\n\r\n"),
    "a chunk size that ends with a bare LF": post(CHUNKED, body=b"2\nok\r\n0\r\n\r\n"),
    "a chunked body that ends with a bare LF": post(CHUNKED, body=b"2\r\nok\r\n0\r\n\n"),
    "chunks with extensions, and trailers": post(CHUNKED, body=b"2;a=b\r\nok\r\n0\r\nA: b\r\n\r\n"),
    "a head whose lines end with a bare LF": get().replace(b"\r\n", b"\n"),
    "one header that ends with a bare LF": get(b"A: b\nC: d"),
    "a bare CR in a header": get(b"A: b\rC: d"),
    "a folded header": get(b"A: b", b" c"),
    "a space before the first header": get(host=b" Host: x"),
    "a space before a colon": get(b"A : b"),
    "a header without a name": get(b": b"),
    "a header without a colon": get(b"A"),
    "NUL in a header": get(b"A: b\0c"),
    "two Hosts": get(b"Host: y"),
    "no Host in HTTP/1.1": get(host=b""),
    "no Host in HTTP/1.0": get(line=b"GET / HTTP/1.0", host=b""),
    "`Host: x y`": get(host=b"Host: x y"),
    "`GET / HTTP/2.0`": get(line=b"GET / HTTP/2.0"),
    "`PRI * HTTP/2.0`, the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "`GET /`, which is HTTP/0.9": b"GET /\r\n",
    "`get / HTTP/1.1`": get(line=b"get / HTTP/1.1"),
    "a control character in the method": get(line=b"G\x01T / HTTP/1.1"),
    "two spaces in the request line": get(line=b"GET  / HTTP/1.1"),
    "`GET http://x/ HTTP/1.1`": get(line=b"GET http://x/ HTTP/1.1"),
    "`GET http://user@x/ HTTP/1.1`": get(line=b"GET http://user@x/ HTTP/1.1"),
    "`GET x:80 HTTP/1.1`": get(line=b"GET x:80 HTTP/1.1"),
    "`CONNECT x:80 HTTP/1.1`": get(line=b"CONNECT x:80 HTTP/1.1"),
    "a byte above 127 in the target": get(line=b"GET /\xff HTTP/1.1"),
    "a blank line before the request line": b"\r\n" + get(),
    "an Expect that nobody knows": get(b"Expect: 200-maybe"),
    "`Upgrade: h2c`, which is ignored": get(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"
    ),
}


def table() -> dict[str, int]:
    """Return the rows of the table, in the page's order."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Framing\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    return {request.strip(): int(status) for request, status in cells}


@ONE_WAY
def test_V4_the_table_of_framing_and_what_is_tested_are_the_same() -> None:
    assert list(table()) == list(REQUESTS)
    assert len(REQUESTS) >= 22


@asynccontextmanager
async def connected(svc: Service) -> AsyncIterator[tuple[Env, SocketStream]]:
    """Run a service, and connect to it."""
    async with running(svc, sockets=True) as env:
        host, port = env.url(svc).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            yield env, stream


async def everything(stream: SocketStream, data: bytes) -> bytes:
    """Send, and return all that is answered until the server closes."""
    await stream.send(data)
    answer = b""
    with anyio.fail_after(5):
        try:
            while True:
                answer += await stream.receive()
        except anyio.EndOfStream:
            return answer


def framed(asked: list[str]) -> Service:
    svc: Service = service("framed")

    @svc.endpoint("/", methods=["GET", "POST"])
    async def root(request: Request) -> str:
        asked.append((await request.body()).decode())
        return "root"

    @svc.get("/behind")
    async def behind() -> str:
        asked.append("behind")
        return "behind"

    return svc


@pytest.mark.parametrize("name", REQUESTS)
async def test_V4_a_request_is_answered_as_the_table_says_and_nothing_behind_a_refused_one_is(name: str) -> None:
    asked: list[str] = []
    svc, status = framed(asked), table()[name]
    async with connected(svc) as (env, stream):
        answer = await everything(stream, REQUESTS[name] + BEHIND)
        counts = env.port(svc).statistics().complaints
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status < 400:
        assert (asked[0], counts) == ("ok" if REQUESTS[name].startswith(b"POST") else "", {})
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (b"connection: close" in head.lower(), answer.count(b"HTTP/1.1 ")) == (True, 1)
    assert b'"status": %d' % status in body or b'"status":%d' % status in body
    assert "behind" not in asked
    assert counts == {"malformed": 1}


@pytest.mark.parametrize("name", [name for name, data in REQUESTS.items() if len(data) < 200])
async def test_V4_a_request_that_comes_byte_by_byte_is_answered_as_the_table_says(name: str) -> None:
    svc, status = framed([]), table()[name]
    async with connected(svc) as (_, stream):
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(REQUESTS[name])):
            await stream.send(REQUESTS[name][at : at + 1])
        answer = await everything(stream, BEHIND)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_V4_what_follows_a_last_request_is_neither_answered_nor_a_reason_to_refuse_it() -> None:
    asked: list[str] = []
    svc = framed(asked)
    async with connected(svc) as (_, stream):
        answer = await everything(stream, get(b"Connection: close") + b"\r\n\0" + BEHIND)
    assert (answer[:12], answer.count(b"HTTP/1.1 "), asked) == (b"HTTP/1.1 200", 1, [""])


async def test_V4_the_host_of_an_absolute_target_replaces_the_header() -> None:
    svc: Service = service("framed")

    @svc.get("/{path}")
    async def root(request: Request, path: str) -> str:
        return f"{request.headers.getlist('host')} {request.url}"

    async with connected(svc) as (_, stream):
        answer = await everything(stream, get(b"Connection: close", line=b"GET http://y:8/a?b=/ HTTP/1.1"))
    assert answer.endswith(b"\"['y:8'] http://y:8/a?b=/\"")

"""How much a client may send: heads and bodies over their caps, by announcement and by drips, on both loops."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import h2.config
import h2.connection
import h2.events
import pytest
from anyio.abc import SocketStream
from tests.hostile.frames import ws, ws_request
from tests.lanes import ONE_WAY, running

from evox import Request, Service, WebSocket, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

SOON: Final = 5.0  # liveness only
HEAD_BYTES, HEAD_COUNT, BODY_BYTES, MESSAGE_BYTES = 2_000, 20, 100_000, 1_000
SERVING: Final = {
    "header_bytes": HEAD_BYTES,
    "header_count": HEAD_COUNT,
    "body_bytes": BODY_BYTES,
    "websocket_bytes": MESSAGE_BYTES,
    "h2c": True,
}
CHUNK: Final = b"2710\r\n" + bytes(10_000) + b"\r\n"
LAST: Final = b"0\r\n\r\n"
WAYS: Final = pytest.mark.parametrize("drips", [False, True], ids=["one write", "drips"])


class Limited:
    """A service that counts the requests its handlers saw, and the bytes they read."""

    def __init__(self) -> None:
        self.entered = self.read = 0
        self.codes: list[int] = []
        self.service = self._build()

    def _build(self) -> Service:
        svc = service("limited").port(0)

        @svc.get("/")
        async def root() -> str:
            self.entered += 1
            return "root"

        @svc.post("/upload")
        async def upload(request: Request) -> int:
            self.entered += 1
            async for part in request.stream():
                self.read += len(part)
            return self.read

        @svc.post("/ignore")
        async def ignore() -> str:
            self.entered += 1
            return "ignored"

        @svc.websocket("/talk")
        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                await socket.send_text(str(len(message.get("bytes") or message["text"])))
            self.codes.append(message["code"])

        return svc.build()


@pytest.fixture
def limited() -> Limited:
    return Limited()


@pytest.fixture
async def env(limited: Limited) -> AsyncIterator[Env]:
    async with running(limited.service, sockets=True, settings={"serving": SERVING}) as env:
        yield env


async def dial(env: Env) -> SocketStream:
    host, _, port = env.url("limited").removeprefix("http://").partition(":")
    return await anyio.connect_tcp(host, int(port))


async def ask(env: Env, *parts: bytes) -> tuple[int, bytes]:
    """Send parts, read until the server closes, and return the status and everything that came."""
    got = b""
    with anyio.fail_after(SOON):
        async with await dial(env) as stream:
            for part in parts:
                try:
                    await stream.send(part)
                except anyio.BrokenResourceError:
                    break  # it has heard enough
            try:
                while True:
                    got += await stream.receive()
            except anyio.EndOfStream:
                pass
    return int(got.split(b" ", 2)[1]), got


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    found: dict[str, Any] = json.loads(body)
    return found


def get(*headers: bytes) -> bytes:
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: x", b"Connection: close", *headers, b"", b""])


def post(*headers: bytes, path: bytes = b"/upload") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers, b"", b""])


def filled(size: int) -> bytes:
    """Return a request with a head of so many bytes; the empty line that ends it is not counted."""
    return get(b"X-Fill: " + b"f" * (size - len(get(b"X-Fill: ")) + 2))


def counted(count: int) -> bytes:
    """Return a request with so many headers."""
    return get(*(b"X-%d: x" % number for number in range(count - 2)))


def dripped(data: bytes, drips: bool) -> list[bytes]:
    return [data[at : at + 97] for at in range(0, len(data), 97)] if drips else [data]


@WAYS
async def test_V4_a_head_over_header_bytes_is_431(env: Env, limited: Limited, drips: bool) -> None:
    status, answer = await ask(env, *dripped(filled(HEAD_BYTES + 1), drips))
    assert (status, limited.entered) == (431, 0)
    assert str(HEAD_BYTES) in problem(answer)["detail"]


@WAYS
async def test_V4_a_head_of_header_bytes_is_served(env: Env, drips: bool) -> None:
    assert (await ask(env, *dripped(filled(HEAD_BYTES), drips)))[0] == 200


@WAYS
async def test_V4_more_headers_than_header_count_are_431(env: Env, limited: Limited, drips: bool) -> None:
    status, answer = await ask(env, *dripped(counted(HEAD_COUNT + 1), drips))
    assert (status, limited.entered) == (431, 0)
    assert str(HEAD_COUNT) in problem(answer)["detail"]


@WAYS
async def test_V4_as_many_headers_as_header_count_are_served(env: Env, drips: bool) -> None:
    assert (await ask(env, *dripped(counted(HEAD_COUNT), drips)))[0] == 200


async def test_V4_a_head_that_never_ends_is_431_once_it_is_over(env: Env) -> None:
    status, answer = await ask(env, b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ", *[b"f" * 500] * 10)
    assert status == 431
    assert str(HEAD_BYTES) in problem(answer)["detail"]


async def test_V4_a_target_over_header_bytes_is_431(env: Env) -> None:
    assert (await ask(env, b"GET /" + b"f" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 431


async def test_V4_a_body_announced_over_body_bytes_is_413_before_any_of_it_is_sent(env: Env, limited: Limited) -> None:
    status, answer = await ask(env, post(b"Content-Length: %d" % (BODY_BYTES + 1)))
    assert (status, limited.entered) == (413, 0)
    assert str(BODY_BYTES) in problem(answer)["detail"]
    assert b"connection: close" in answer.lower()


async def test_V4_a_body_announced_over_body_bytes_is_413_where_nobody_reads_it(env: Env, limited: Limited) -> None:
    status, _ = await ask(env, post(b"Content-Length: %d" % (BODY_BYTES + 1), path=b"/ignore"))
    assert (status, limited.entered) == (413, 0)


async def test_V4_a_body_of_a_hundred_times_body_bytes_gets_its_413(env: Env, limited: Limited) -> None:
    size = 100 * BODY_BYTES
    status, _ = await ask(env, post(b"Content-Length: %d" % size), *[bytes(BODY_BYTES)] * 100)
    assert (status, limited.read) == (413, 0)


async def test_V4_a_body_that_will_be_refused_is_not_invited(env: Env) -> None:
    _, answer = await ask(env, post(b"Expect: 100-continue", b"Content-Length: %d" % (BODY_BYTES + 1)))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer.partition(b"\r\n\r\n")[0]


async def test_V4_a_body_within_body_bytes_is_invited(env: Env) -> None:
    with anyio.fail_after(SOON):
        async with await dial(env) as stream:
            await stream.send(post(b"Expect: 100-continue", b"Content-Length: 3"))
            invitation = await stream.receive()
            assert invitation.startswith(b"HTTP/1.1 100")
            await stream.send(b"abc")
            assert (await stream.receive()).startswith(b"HTTP/1.1 200")


async def test_V4_a_chunked_body_over_body_bytes_is_413_before_its_end(env: Env, limited: Limited) -> None:
    status, answer = await ask(env, post(b"Transfer-Encoding: chunked"), *[CHUNK] * 11)
    assert (status, limited.entered) == (413, 1)
    assert limited.read <= BODY_BYTES
    assert str(BODY_BYTES) in problem(answer)["detail"]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_V4_a_body_of_body_bytes_is_served(env: Env, limited: Limited, chunked: bool) -> None:
    if chunked:
        status, _ = await ask(env, post(b"Transfer-Encoding: chunked"), *[CHUNK] * 10, LAST)
    else:
        status, _ = await ask(env, post(b"Content-Length: %d" % BODY_BYTES), bytes(BODY_BYTES))
    assert (status, limited.read) == (200, BODY_BYTES)


@ONE_WAY
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_V4_body_bytes_holds_without_sockets(limited: Limited, announced: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)

    async with running(limited.service, settings={"serving": SERVING}) as env:
        client = env.client("limited")
        refused = await client.post("/upload", content=bytes(BODY_BYTES + 1) if announced else parts())
        served = await client.post("/upload", content=bytes(BODY_BYTES))
        assert (refused.status_code, refused.json()["status"], served.status_code) == (413, 413, 200)
        assert limited.read == BODY_BYTES
        assert env.host("limited").inflight.statistics().too_large == 1


async def test_V4_a_websocket_message_over_websocket_bytes_is_closed_with_1009(env: Env, limited: Limited) -> None:
    with anyio.fail_after(SOON):
        async with await dial(env) as stream:
            await stream.send(ws_request("/talk"))
            assert (await stream.receive()).startswith(b"HTTP/1.1 101")
            await stream.send(ws(2, bytes(MESSAGE_BYTES)))
            assert await stream.receive() == b"\x81\x041000"
            await stream.send(ws(2, bytes(MESSAGE_BYTES), fin=False) + ws(0, b"x"))
            assert (await stream.receive())[:4] == b"\x88\x02\x03\xf1"
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert limited.codes == [1009]


async def test_V4_websocket_bytes_are_bytes_and_no_characters(env: Env, limited: Limited) -> None:
    with anyio.fail_after(SOON):
        async with await dial(env) as stream:
            await stream.send(ws_request("/talk"))
            assert (await stream.receive()).startswith(b"HTTP/1.1 101")
            text = "€" * (MESSAGE_BYTES // 3)
            await stream.send(ws(1, text.encode()))
            assert await stream.receive() == b"\x81\x03333"
            await stream.send(ws(1, text.encode() + b"xx"))
            assert (await stream.receive())[:4] == b"\x88\x02\x03\xf1"


async def test_V4_each_limit_is_counted_under_its_reason(env: Env) -> None:
    await ask(env, counted(HEAD_COUNT + 1))
    await ask(env, filled(HEAD_BYTES + 1))
    await ask(env, post(b"Content-Length: %d" % (BODY_BYTES + 1)))
    await ask(env, post(b"Transfer-Encoding: chunked"), *[CHUNK] * 11)
    assert env.port("limited").statistics().complaints == {"head too large": 2}
    assert env.host("limited").inflight.statistics().too_large == 2


async def test_V4_a_log_line_names_the_peer_and_the_reason_and_more_of_them_write_no_more(
    env: Env, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "evox.serving")
    async with await dial(env) as stream:
        peer = stream.extra(anyio.abc.SocketAttribute.local_port)
        await stream.send(filled(HEAD_BYTES + 1))
        with anyio.fail_after(SOON):
            await stream.receive()
    for _ in range(5):
        await ask(env, filled(HEAD_BYTES + 1))
        await ask(env, post(b"Content-Length: %d" % (BODY_BYTES + 1)))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith(f"limited: client 127.0.0.1:{peer}: head too large")
    assert lines[1].startswith("limited: client 127.0.0.1:")
    assert "body too large" in lines[1]
    assert "POST /upload" in lines[1]


class Http2:
    """A client that speaks HTTP/2 from the first byte."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._http.initiate_connection()

    async def ask(self, *headers: tuple[str, str], body: bytes | None = None) -> int:
        """Send one request; return the status of its answer, which need not wait for the body to end."""
        number = self._http.get_next_available_stream_id()
        pseudo = [(":method", "GET" if body is None else "POST"), (":scheme", "http"), (":authority", "evox")]
        self._http.send_headers(
            number, [*pseudo, (":path", "/" if body is None else "/upload"), *headers], end_stream=body is None
        )
        left = body or b""
        while True:
            size = min(len(left), self._http.max_outbound_frame_size, self._http.local_flow_control_window(number))
            if size:
                self._http.send_data(number, left[:size])
                left = left[size:]
            await self._stream.send(self._http.data_to_send())
            if not size:
                for event in self._http.receive_data(await self._stream.receive()):
                    if isinstance(event, h2.events.ResponseReceived) and event.stream_id == number:
                        return int(dict(event.headers or ())[b":status"])


@ONE_WAY
async def test_V4_the_same_limits_hold_over_http_2_and_end_no_other_request(env: Env, limited: Limited) -> None:
    with anyio.fail_after(SOON):
        async with await dial(env) as stream:
            client = Http2(stream)
            assert await client.ask(("x-fill", "f" * HEAD_BYTES)) == 431
            assert await client.ask(*((f"x-{number}", "x") for number in range(HEAD_COUNT + 1))) == 431
            assert await client.ask(("content-length", str(BODY_BYTES + 1)), body=b"") == 413
            assert await client.ask(body=bytes(BODY_BYTES + 1)) == 413
            assert limited.read <= BODY_BYTES
            assert await client.ask() == 200
    assert env.port("limited").statistics().complaints == {"head too large": 2}
    assert env.host("limited").inflight.statistics().too_large == 2

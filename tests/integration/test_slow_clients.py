"""Slow attackers: heads and bodies in drips, answers never read, pings never answered, on both loops.

Limits are fractions of a second. On trio time is virtual: it jumps when neither a task nor a socket has had anything
to do for a moment. On asyncio it is real, so that what must *not* happen is given room.
"""

import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import anyio
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send
from tests.hostile.frames import ws, ws_close, ws_request
from trio.testing import MockClock

from evox import Request, Service, WebSocket, service
from evox.testing import Env, running

SOON: Final = 8.0  # liveness only
MOMENT: Final = 0.01  # real seconds without anything to do, after which virtual time jumps
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPLOAD: Final = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
# More than what the kernel takes for a client that does not read.
HUGE: Final = 20_000_000


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Return the loop, with virtual time on trio."""
    return ("trio", {"clock": MockClock(autojump_threshold=MOMENT)}) if request.param == "trio" else "asyncio"


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


@pytest.fixture
def slow() -> Slow:
    return Slow()


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


async def test_V4_a_head_in_drips_is_408_within_header_timeout(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.3) as env, Wire(env) as wire:
        began = anyio.current_time()
        said = await wire.drip(b"GET / HTTP/1.1\r\nHost: x\r\nX-Drip: " + b"d" * 500, 0.05)
        assert said.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in said.lower()
        assert problem(said)["status"] == 408
        assert 0.25 < anyio.current_time() - began < 2
        assert complaints(env) == {"head too slow": 1}


async def test_V4_a_second_head_in_drips_is_408_too(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.3) as env, Wire(env) as wire:
        wire.send(GET)
        assert await wire.answer() == (200, b'"root"')
        assert (await wire.drip(GET[:-2] + b"X-Drip: " + b"d" * 500, 0.05)).startswith(b"HTTP/1.1 408")


async def test_V4_half_a_head_and_then_silence_is_408(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.2) as env, Wire(env) as wire:
        wire.send(GET[:20])
        assert (await wire.rest()).startswith(b"HTTP/1.1 408")
        await settled(env)


async def test_V4_a_connection_that_sends_nothing_is_closed_within_header_timeout_and_told_nothing(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.2) as env, Wire(env) as wire:
        assert await wire.rest() == b""
        await settled(env)
        assert complaints(env) == {}


async def test_V4_a_connection_that_is_idle_for_keep_alive_is_closed_without_a_word(slow: Slow) -> None:
    async with serving(slow, keep_alive=0.4, header_timeout=0.1) as env, Wire(env) as wire:
        wire.send(GET)
        assert await wire.answer() == (200, b'"root"')
        began = anyio.current_time()
        assert await wire.rest() == b""
        assert 0.3 < anyio.current_time() - began < 2
        assert complaints(env) == {}


async def test_V4_a_body_in_drips_is_408_that_names_the_rate(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "evox.serving")
    async with serving(slow, body_timeout=0.3, body_rate=1000) as env, Wire(env) as wire:
        began = anyio.current_time()
        wire.send(UPLOAD)
        said = await wire.drip(b"d" * 1000, 0.05)
        assert said.startswith(b"HTTP/1.1 408")
        assert "1000 bytes a second" in problem(said)["detail"]
        assert 0.25 < anyio.current_time() - began < 3
        assert slow.ended == ["upload"]
        assert env.host("slow").inflight.statistics().too_slow == 1
    peer = "slow: client 127.0.0.1:"
    assert [record.getMessage().startswith(peer) for record in caplog.records] == [True]
    assert caplog.records[0].getMessage().endswith("body too slow: POST /upload")


async def test_V4_a_chunked_body_that_stops_is_408(slow: Slow) -> None:
    async with serving(slow, body_timeout=0.2) as env, Wire(env) as wire:
        wire.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 408")


async def test_V4_a_slow_body_at_the_rate_allowed_is_served(slow: Slow) -> None:
    async with serving(slow, body_timeout=0.5, body_rate=100) as env, Wire(env) as wire:
        wire.send(UPLOAD.replace(b"100000", b"2000"))
        for _ in range(20):
            wire.send(b"d" * 100)
            await anyio.sleep(0.05)
        assert await wire.answer() == (200, b"2000")
        assert env.host("slow").inflight.statistics().too_slow == 0


async def test_V4_a_handler_that_is_slow_to_read_is_not_blamed_on_its_client(slow: Slow) -> None:
    limits = {"body_timeout": 0.3, "body_rate": 1_000_000, "header_timeout": 0.3, "keep_alive": 0.3, "ping": 0.3}
    async with serving(slow, **limits) as env, Wire(env) as wire:
        wire.send(b"POST /thinking HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert await wire.answer() == (200, b"3")
        assert env.host("slow").inflight.statistics().too_slow == 0
        assert complaints(env) == {}


async def test_V4_an_answer_that_is_never_read_is_cut_after_write_timeout(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.3) as env, Wire(env, receive_buffer=4096) as wire:
        wire.send(GET.replace(b"/", b"/huge", 1))
        await settled(env)
        assert complaints(env) == {"does not read its answer": 1}
        assert env.host("slow").inflight.statistics().requests == 0
        assert len(await wire.rest()) < HUGE


async def test_V4_the_handler_of_a_stream_that_is_never_read_ends(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.3) as env, Wire(env, receive_buffer=4096) as wire:
        wire.send(GET.replace(b"/", b"/stream", 1))
        await slow.over.wait()
        await settled(env)
        assert slow.ended == ["stream"]
        assert env.host("slow").inflight.statistics().streams == 0


async def test_V4_others_are_served_while_a_client_does_not_read(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.4) as env, Wire(env, receive_buffer=4096) as wire:
        wire.send(GET.replace(b"/", b"/stream", 1))
        await until(lambda: env.host("slow").inflight.statistics().streams > 0)
        async with Wire(env) as other:
            for _ in range(10):
                other.send(GET)
                assert await other.answer() == (200, b'"root"')
        assert slow.ended == []
        await slow.over.wait()


async def test_V4_a_slow_reader_that_keeps_reading_gets_its_whole_answer(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.5) as env, Wire(env, receive_buffer=65_536) as wire:
        wire.send(GET.replace(b"/", b"/huge", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got = 0
        while data := await wire.read():
            got += len(data)
            await anyio.sleep(0.005)
        assert got > HUGE
        assert complaints(env) == {}


async def test_V4_a_websocket_that_answers_no_ping_is_cut_and_its_handler_told(slow: Slow) -> None:
    async with serving(slow, ping=0.2, header_timeout=0.1, keep_alive=0.1) as env, Wire(env) as wire:
        wire.send(ws_request("/talk"))
        assert (await wire.read()).startswith(b"HTTP/1.1 101")
        began = anyio.current_time()
        assert await wire.rest() == b"\x89\x00"
        assert 0.35 < anyio.current_time() - began < 2
        await slow.over.wait()
        assert slow.ended == ["disconnect 1006"]
        assert complaints(env) == {"silent": 1}


async def test_V4_a_websocket_that_answers_pings_lives_on(slow: Slow) -> None:
    async with serving(slow, ping=0.2, header_timeout=0.1, keep_alive=0.1) as env, Wire(env) as wire:
        wire.send(ws_request("/talk"))
        assert (await wire.read()).startswith(b"HTTP/1.1 101")
        for _ in range(5):
            assert await wire.read() == b"\x89\x00"
            wire.send(ws(10))
        wire.send(ws(1, b"still here"))
        assert (await wire.read()).removeprefix(b"\x89\x00") == b"\x81\x0astill here"
        wire.send(ws_close(1000))
        await slow.over.wait()
        assert slow.ended == ["disconnect 1000"]
        assert complaints(env) == {}


class Reader:
    """A client that speaks HTTP/2 from the first byte and whose windows never open.

    Attributes:
        resets: Streams that the server has reset.
        pinged: Whether the server has asked for a sign of life.
        gone: Whether the server has closed.
    """

    def __init__(self, wire: Wire, window: int = 0) -> None:
        self.wire = wire
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        values = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        self.http.local_settings = h2.settings.Settings(client=True, initial_values=values)
        self.http.initiate_connection()
        self.resets: list[int] = []
        self.pinged = self.gone = False

    def ask(self, path: str, method: str = "GET") -> int:
        number: int = self.http.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "evox"), (":path", path)]
        self.http.send_headers(number, head, end_stream=True)
        self.wire.send(self.http.data_to_send())
        return number

    async def read(self, *, answers: bool = True) -> int:
        """Take what comes once, and return the stream of an answer that has ended; 0 if none has."""
        ended, data = 0, await self.wire.read()
        self.gone = not data
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.StreamReset):
                self.resets.append(event.stream_id or 0)
            elif isinstance(event, h2.events.PingReceived):
                self.pinged = True
            elif isinstance(event, h2.events.StreamEnded):
                ended = event.stream_id or 0
        if answers:
            self.wire.send(self.http.data_to_send())
        return ended


async def test_V4_an_http_2_stream_whose_window_never_opens_is_reset_alone(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.3, h2c=True) as env, Wire(env) as wire:
        reader = Reader(wire)
        number = reader.ask("/stream")
        while not reader.resets:
            await reader.read()
        await slow.over.wait()
        assert (reader.resets, slow.ended) == ([number], ["stream"])
        assert complaints(env) == {"does not read its answer": 1}
        assert env.port("slow").statistics().connections == 1
        reader.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
        second = reader.ask("/")
        while await reader.read() != second:
            pass


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_V2_an_app_that_goes_on_writing_to_a_client_that_is_gone_holds_up_nobody(
    slow: Slow, version: str
) -> None:
    async with serving(slow, h2c=True) as env:
        async with Wire(env) as wire:
            if version == "2":
                Reader(wire).ask("/stream", "POST")  # which goes on when its client leaves
            else:
                wire.send(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await until(lambda: env.host("slow").inflight.statistics().streams > 0)
        async with Wire(env) as other:
            for _ in range(5):
                other.send(GET)
                assert await other.answer() == (200, b'"root"')
        assert slow.ended == []
        slow.told_to_stop = True
        await slow.over.wait()


async def test_V4_an_http_2_answer_that_fits_no_window_is_reset_too(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.3, h2c=True) as env, Wire(env) as wire:
        reader = Reader(wire, window=3)
        number = reader.ask("/")
        while not reader.resets:
            await reader.read()
        assert reader.resets == [number]
        await until(lambda: not env.host("slow").inflight.statistics().requests)


async def test_V4_an_http_2_client_that_stops_reading_its_socket_is_cut(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.3, h2c=True) as env, Wire(env, receive_buffer=4096) as wire:
        reader = Reader(wire, window=2**31 - 1)
        reader.http.increment_flow_control_window(2**30)
        reader.ask("/stream")
        await slow.over.wait()
        await settled(env)
        assert slow.ended == ["stream"]
        assert complaints(env)["does not read its answer"] >= 1


async def test_V4_an_http_2_client_that_answers_no_ping_is_cut(slow: Slow) -> None:
    async with serving(slow, ping=0.2, body_timeout=5, h2c=True) as env, Wire(env) as wire:
        reader = Reader(wire)
        reader.ask("/stream")
        while not reader.gone:
            await reader.read(answers=not reader.pinged)
        assert reader.pinged
        await slow.over.wait()
        assert complaints(env) == {"silent": 1}


async def test_V4_clients_that_are_gone_without_a_word_leave_nothing(slow: Slow) -> None:
    limits = {"header_timeout": 0.2, "keep_alive": 0.2, "body_timeout": 0.2, "ping": 0.1, "write_timeout": 0.2}
    beginnings = [b"", GET[:10], GET, UPLOAD + b"abc", ws_request("/talk"), GET.replace(b"/", b"/stream", 1)]
    async with serving(slow, **limits) as env:
        silent = [Wire(env, receive_buffer=4096) for _ in beginnings]
        for wire, beginning in zip(silent, beginnings, strict=True):
            wire.send(beginning)
        await settled(env, len(beginnings))
        now = env.host("slow").inflight.statistics()
        assert (now.requests, now.streams, now.websockets) == (0, 0, 0)
        assert sorted(slow.ended) == ["disconnect 1006", "stream", "upload"]
        for wire in silent:
            wire.close()

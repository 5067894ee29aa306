"""Server-sent events and WebSockets: what is sent arrives at once, who does not read is waited for, drains end both."""

import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc
import httpx2
import pytest
import wsproto
from fastapi import WebSocketDisconnect
from fastapi.responses import StreamingResponse
from tests.hostile import frames
from tests.lanes import running
from tests.support import LIVENESS, EvoxProcess, HttpSocket, Run
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Request,
    TextMessage,
)

from evox import Service, WebSocket, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

PART: Final = 65_536
# What two kernels keep for a client that does not read, and the buffers of both ends.
BOUND: Final = 16_000_000
STILL: Final = 0.3  # real seconds in which nothing more is produced
LIMIT: Final = 100_000


class Talk:
    """A service of streams and WebSockets, and how far they are."""

    def __init__(self) -> None:
        self.service: Service = service("talk")
        self.told = anyio.Event()
        self.go = anyio.Event()
        self.made = self.received = 0
        self.codes: list[int] = []
        self._streams()
        self._websockets()

    def _streams(self) -> None:
        @self.service.get("/events")
        async def events() -> StreamingResponse:
            return StreamingResponse(self.tell(), media_type="text/event-stream")

        @self.service.get("/flood")
        async def flood() -> StreamingResponse:
            return StreamingResponse(self.pour())

    def _websockets(self) -> None:
        @self.service.websocket("/ask")
        async def ask(socket: WebSocket) -> None:
            await socket.accept()
            for number in range(5):
                await socket.send_text(str(number))
                assert await socket.receive_text() == f"got {number}"
            await socket.close()

        @self.service.websocket("/flood")
        async def flooding(socket: WebSocket) -> None:
            await socket.accept()
            async for part in self.pour():
                await socket.send_bytes(part)
            await socket.close()

        @self.service.websocket("/deaf")
        async def deaf(socket: WebSocket) -> None:
            await socket.accept()
            await self.go.wait()
            async for part in socket.iter_bytes():
                self.received += len(part)

        @self.service.websocket("/echo")
        async def echo(socket: WebSocket) -> None:
            await socket.accept()
            try:
                while True:
                    await socket.send_text(await socket.receive_text())
            except WebSocketDisconnect as gone:
                self.codes.append(gone.code)

    async def tell(self) -> AsyncIterator[str]:
        for number in range(5):
            yield f"data: {number}\n\n"
            await self.told.wait()
            self.told = anyio.Event()

    async def pour(self) -> AsyncIterator[bytes]:
        for number in range(1_000):
            self.made += PART
            yield bytes([number % 256]) * PART

    async def until_still(self) -> int:
        """Wait until nothing more is produced, and return how much was."""
        with anyio.fail_after(LIVENESS):
            seen = -1
            while seen != self.made or not seen:
                seen = self.made
                await anyio.sleep(STILL)
        return seen


@asynccontextmanager
async def talking(**serving: Any) -> AsyncIterator[tuple[Talk, Env]]:
    talk = Talk()
    async with running(talk.service, sockets=True, settings={"serving": {"h2c": True, **serving}}) as env:
        yield talk, env


class Conversation:
    """A WebSocket client, whose frames may also be written by hand."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.stream = stream
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    async def say(self, event: Event) -> None:
        await self.stream.send(self._protocol.send(event))

    async def next(self) -> Event:
        with anyio.fail_after(LIVENESS):
            while True:
                for event in self._protocol.events():
                    return event
                try:
                    self._protocol.receive_data(await self.stream.receive())
                except anyio.EndOfStream:
                    self._protocol.receive_data(None)

    async def close_code(self) -> int:
        """Read to the close, and return its code."""
        while not isinstance(event := await self.next(), CloseConnection):
            pass
        return int(event.code)


@asynccontextmanager
async def conversation(talk: Talk, env: Env, path: str) -> AsyncIterator[Conversation]:
    async with await connect(talk, env) as stream:
        one = Conversation(stream)
        await one.say(Request(host="x", target=path))
        assert isinstance(await one.next(), AcceptConnection)
        yield one


async def connect(talk: Talk, env: Env) -> anyio.abc.SocketStream:
    url = httpx2.URL(env.url(talk.service))
    assert url.port is not None
    return await anyio.connect_tcp(url.host, url.port)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_V7_each_event_arrives_before_the_next_one_is_made(http2: bool) -> None:
    async with talking() as (talk, env):
        client = env.client(talk.service, http1=not http2, http2=http2, timeout=LIVENESS)
        async with client.stream("GET", "/events") as answer:
            lines = answer.aiter_lines()
            for number in range(5):
                assert [await anext(lines), await anext(lines)] == [f"data: {number}", ""]
                talk.told.set()
            assert [line async for line in lines] == []
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_V7_each_message_of_a_websocket_arrives_before_the_next_one_is_sent() -> None:
    async with talking() as (talk, env), conversation(talk, env, "/ask") as client:
        for number in range(5):
            message = await client.next()
            assert isinstance(message, TextMessage)
            assert message.data == str(number)
            await client.say(TextMessage(f"got {number}"))
        assert await client.close_code() == 1000


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_V7_a_stream_waits_for_a_client_that_does_not_read_and_loses_nothing(http2: bool) -> None:
    async with talking() as (talk, env):
        client = env.client(talk.service, http1=not http2, http2=http2, timeout=LIVENESS)
        async with client.stream("GET", "/flood") as answer:
            stopped = await talk.until_still()
            assert PART <= stopped < BOUND
            size, order = 0, []
            async for part in answer.aiter_bytes(PART):
                size += len(part)
                order.append(part[0])
        assert (size, order) == (1_000 * PART, [number % 256 for number in range(1_000)])


async def test_V7_a_websocket_waits_for_a_client_that_does_not_read_and_loses_nothing() -> None:
    async with talking() as (talk, env), conversation(talk, env, "/flood") as client:
        assert PART <= await talk.until_still() < BOUND
        size = 0
        while not isinstance(event := await client.next(), CloseConnection):
            assert isinstance(event, BytesMessage)
            size += len(event.data)
        assert (size, int(event.code)) == (1_000 * PART, 1000)


async def test_V7_a_client_that_floods_a_websocket_is_held_back_until_its_handler_receives() -> None:
    async with talking() as (talk, env), conversation(talk, env, "/deaf") as client:
        frame, sent = frames.ws(2, bytes(PART)), 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(1_000):
                await client.stream.send(frame)
                sent += PART
                talk.made = sent
            await client.stream.send(frames.ws_close(1000))

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            assert PART <= await talk.until_still() < BOUND
            talk.go.set()
        assert await client.close_code() == 1000
        await env.host(talk.service).inflight.wait_idle()  # the close is answered before its handler has read it all
        assert talk.received == 1_000 * PART


CLOSES: Final = {
    "an opcode that is none": (frames.ws(3), 1002),
    "a reserved bit": (frames.ws(1, b"x", rsv=2), 1002),
    "no mask": (frames.ws(1, b"x", mask=False), 1002),
    "a ping in pieces": (frames.ws(9, b"x", fin=False), 1002),
    "a ping of 126 bytes": (frames.ws(9, bytes(126)), 1002),
    "a piece of nothing": (frames.ws(0, b"x"), 1002),
    "a message inside a message": (frames.ws(1, b"x", fin=False) + frames.ws(1, b"y"), 1002),
    "a close code of one byte": (frames.ws(8, b"\x03"), 1002),
    "a close code that is none": (frames.ws_close(999), 1002),
    "a text that is no UTF-8": (frames.ws(1, b"\xff"), 1007),
    "a text that ends in a character": (frames.ws(1, b"\xc3"), 1007),
    "a reason that is no UTF-8": (frames.ws_close(1000, b"\xff"), 1007),
    "a message over the limit": (frames.ws(1, b"x" * (LIMIT + 1)), 1009),
    "a message over the limit in pieces": (
        frames.ws(1, b"x" * LIMIT, fin=False) + frames.ws(0, b"x", fin=False) + frames.ws(0, b"x"),
        1009,
    ),
}


@pytest.mark.parametrize("name", CLOSES)
async def test_V7_a_client_that_breaks_the_protocol_is_told_so_in_the_close(name: str) -> None:
    sent, code = CLOSES[name]
    async with (
        talking(websocket_bytes=LIMIT) as (talk, env),
        conversation(talk, env, "/echo") as client,
        conversation(talk, env, "/echo") as other,
    ):
        await client.stream.send(sent)
        assert await client.close_code() == code
        await other.say(TextMessage("still here"))
        said = await other.next()
        assert isinstance(said, TextMessage)
        assert said.data == "still here"
        assert talk.codes == [code]


async def test_V7_a_message_of_the_limit_is_received() -> None:
    async with talking(websocket_bytes=LIMIT) as (talk, env), conversation(talk, env, "/echo") as client:
        await client.stream.send(frames.ws(1, b"x" * LIMIT) * 2)
        size = 0
        while size < 2 * LIMIT:
            event = await client.next()
            assert isinstance(event, TextMessage)
            size += len(event.data)


GRACE = 0.8
SETTINGS = {
    "EVOX_SERVING__DRAIN_DELAY": "0.2s",
    "EVOX_SERVING__DRAIN_TIMEOUT": "3s",
    "EVOX_SERVING__STREAM_GRACE": f"{GRACE}s",
}
SERVICE = """
    from collections.abc import AsyncIterator

    import anyio
    from fastapi.responses import StreamingResponse

    from evox import WebSocket, service

    svc = service("news").port(0)
    sender, receiver = anyio.create_memory_object_stream[str](10)


    async def tell() -> AsyncIterator[str]:
        yield "data: begun\\n\\n"
        async for text in receiver:
            yield f"data: {text}\\n\\n"


    @svc.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(tell(), media_type="text/event-stream")


    @svc.websocket("/say")
    async def say(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await sender.send(text)
            await socket.send_text(f"said {text}")


    async def megabytes() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1_000_000)


    @svc.get("/endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(megabytes())
"""


@pytest.fixture
def news(evox_run: Run, backend: str) -> EvoxProcess:
    process: EvoxProcess = evox_run({"news.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    return process


def chunks(connection: socket.socket) -> Iterator[bytes]:
    """Yield the chunks of an answer as they come, without the head."""
    file = connection.makefile("rb")
    with file:
        while file.readline() not in (b"\r\n", b""):
            pass
        while (line := file.readline()) and (size := int(line, 16)):
            yield file.read(size)
            file.readline()


class Talker:
    """A WebSocket client that blocks."""

    def __init__(self, connection: HttpSocket) -> None:
        self._socket = connection.socket
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.say(Request(host="x", target="/say"))
        assert isinstance(self.next(), AcceptConnection)

    def say(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def next(self) -> Event:
        while True:
            for event in self._protocol.events():
                return event
            self._protocol.receive_data(self._socket.recv(65_536) or None)


def test_V7_events_and_messages_arrive_one_by_one_and_both_end_promptly_when_it_drains(news: EvoxProcess) -> None:
    with HttpSocket(news.address()) as reader, HttpSocket(news.address()) as writer:
        reader.send("/events")
        seen = chunks(reader.socket)
        assert next(seen) == b"data: begun\n\n"
        talker = Talker(writer)
        for text in ("one", "two", "three"):
            talker.say(TextMessage(text))
            assert next(seen) == f"data: {text}\n\n".encode()
            assert talker.next() == TextMessage(f"said {text}")
        signalled = news.kill(signal.SIGTERM)
        closed = talker.next()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1001
        assert time.monotonic() < signalled + GRACE
        assert list(seen) == []  # it is cut in the middle: no last chunk
        assert signalled + GRACE - 0.05 < time.monotonic() < signalled + GRACE + 1
        assert news.wait() == 0
    assert news.event("stopped")["cut_streams"] == ["GET /events"]


def test_V7_clients_that_do_not_read_an_endless_stream_do_not_grow_the_process(news: EvoxProcess) -> None:
    def resident() -> int:
        lines = Path(f"/proc/{news.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    before = resident()
    readers = [HttpSocket(news.address()) for _ in range(10)]
    try:
        for reader in readers:
            reader.send("/endless")
            assert reader.socket.recv(1)
        time.sleep(1)
        assert resident() - before < 60_000_000
    finally:
        for reader in readers:
            reader.socket.close()
    assert news.get("/health").status_code == 200

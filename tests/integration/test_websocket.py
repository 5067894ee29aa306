"""WebSockets over real sockets: conversation, refusal, and how they end when the process does."""

import signal
import time
from collections import deque
from typing import Self

import pytest
import wsproto
from tests.lanes import ONE_WAY
from tests.support import EvoxProcess, HttpSocket, Run
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

pytestmark = pytest.mark.usefixtures("http1")

TIMEOUT, GRACE = 2.0, 0.8
SETTINGS = {
    "EVOX_SERVING__DRAIN_DELAY": "0.2s",
    "EVOX_SERVING__DRAIN_TIMEOUT": f"{TIMEOUT}s",
    "EVOX_SERVING__STREAM_GRACE": f"{GRACE}s",
}
SERVICE = """
    import sys

    import anyio

    from evox import WebSocket, service
    from fastapi import WebSocketDisconnect

    svc = service("talk").port(0)


    @svc.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect as gone:
            sys.stderr.write(f"disconnected {gone.code}\\n")


    @svc.websocket("/bytes")
    async def binary(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_bytes(await socket.receive_bytes())


    @svc.websocket("/news")
    async def news(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text("news")
            await anyio.sleep(0.05)


    @svc.websocket("/silent")
    async def silent(socket: WebSocket) -> None:
        await socket.accept()
        await anyio.sleep(60)


    @svc.websocket("/flood")
    async def flood(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_bytes(bytes(100_000))


    @svc.websocket("/broken")
    async def broken(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("a bug of the user")


    @svc.websocket("/refused")
    async def refused(socket: WebSocket) -> None:
        await socket.close(4000)


    @svc.get("/quick")
    async def quick() -> str:
        return "quick"
"""


class Conversation:
    """A WebSocket client on one connection."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.http = HttpSocket(address)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: deque[Event] = deque()
        self.send(Request(host=f"{address[0]}:{address[1]}", target=path, extensions=[PerMessageDeflate()]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.socket.close()

    def send(self, event: Event) -> None:
        self.http.socket.sendall(self._protocol.send(event))

    def next(self) -> Event:
        """Return the next event; the end of the connection counts as close code 1006."""
        while not self._events:
            try:
                data = self.http.socket.recv(65536)
            except ConnectionError:
                data = b""
            self._protocol.receive_data(data or None)
            self._events.extend(self._protocol.events())
        return self._events.popleft()

    def accepted(self) -> None:
        assert isinstance(self.next(), AcceptConnection)

    def close_code(self) -> int:
        """Read to the close, and return its code."""
        while True:
            event = self.next()
            if isinstance(event, CloseConnection):
                return int(event.code)


def started(run: Run, backend: str) -> EvoxProcess:
    process: EvoxProcess = run({"talk.py": SERVICE}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    return process


@pytest.fixture
def talk(evox_run: Run, backend: str) -> EvoxProcess:
    """Return a running service with WebSockets."""
    return started(evox_run, backend)


@pytest.fixture
def lasting(shared_run: Run, backend: str) -> EvoxProcess:
    """Return one that tests share: none ends it."""
    return started(shared_run, backend)


def test_texts_go_back_and_forth(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/echo") as conversation:
        conversation.accepted()
        for text in ("one", "two", "ü" * 50_000):
            conversation.send(TextMessage(text))
            parts: list[str] = []
            while "".join(parts) != text:
                event = conversation.next()
                assert isinstance(event, Message)
                parts.append(event.data)


def test_bytes_go_back_and_forth(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/bytes") as conversation:
        conversation.accepted()
        conversation.send(BytesMessage(b"\0\xff"))
        event = conversation.next()
        assert isinstance(event, BytesMessage)
        assert event.data == b"\0\xff"


@ONE_WAY
def test_a_ping_is_answered(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/silent") as conversation:
        conversation.accepted()
        conversation.send(Ping(b"there?"))
        event = conversation.next()
        assert isinstance(event, Pong)
        assert event.payload == b"there?"


def test_the_service_sees_the_clients_close(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/echo") as conversation:
        conversation.accepted()
        conversation.send(CloseConnection(code=1000))
        assert conversation.close_code() == 1000
    lasting.wait_error("disconnected 1000")


@pytest.mark.parametrize("path", ["/refused", "/nowhere"])
def test_a_refused_websocket_is_403(lasting: EvoxProcess, path: str) -> None:
    with Conversation(lasting.address(), path) as conversation:
        event = conversation.next()
        assert isinstance(event, RejectConnection)
        assert event.status_code == 403


def test_a_handler_that_fails_closes_with_1011_and_the_service_goes_on(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/broken") as conversation:
        conversation.accepted()
        assert conversation.close_code() == 1011
    lasting.wait_error("a bug of the user")
    assert lasting.get("/quick").status_code == 200


@pytest.mark.parametrize("path", ["/echo", "/news"])
def test_V3_a_websocket_is_told_to_go_away_when_the_drain_begins(talk: EvoxProcess, path: str) -> None:
    with Conversation(talk.address(), path) as conversation:
        conversation.accepted()
        signalled = talk.kill(signal.SIGTERM)
        assert conversation.close_code() == 1001
        assert time.monotonic() < signalled + GRACE
        assert talk.wait() == 0


def test_V3_a_websocket_whose_handler_does_neither_send_nor_receive_is_cut_with_1001(talk: EvoxProcess) -> None:
    with Conversation(talk.address(), "/silent") as conversation:
        conversation.accepted()
        signalled = talk.kill(signal.SIGTERM)
        assert conversation.close_code() == 1001
        assert talk.wait() == 0
        assert signalled + GRACE < time.monotonic() < signalled + GRACE + 1.0
    assert talk.event("stopped")["cut_streams"] == ["WebSocket /silent"]


@ONE_WAY
def test_V3_a_websocket_client_that_does_not_read_delays_no_shutdown(talk: EvoxProcess) -> None:
    with Conversation(talk.address(), "/flood") as conversation:
        conversation.accepted()
        time.sleep(0.3)  # until the server can send no more
        signalled = talk.kill(signal.SIGTERM)
        assert talk.wait() == 0
        assert time.monotonic() < signalled + TIMEOUT + 1.0


@ONE_WAY
def test_V3_a_websocket_client_that_does_not_answer_the_close_delays_no_shutdown(talk: EvoxProcess) -> None:
    with Conversation(talk.address(), "/echo") as conversation:
        conversation.accepted()
        signalled = talk.kill(signal.SIGTERM)
        assert talk.wait() == 0
        assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_V3_a_websocket_asked_for_during_the_drain_ends_with_1001(talk: EvoxProcess) -> None:
    with Conversation(talk.address(), "/silent") as first:
        first.accepted()
        address = talk.address()
        with HttpSocket(address) as connection:
            talk.kill(signal.SIGTERM)
            talk.event("draining")
            connection.get("/quick")
        with Conversation(address, "/echo") as late:
            event = late.next()
            refused = isinstance(event, RejectConnection)
            assert refused or late.close_code() == 1001
    assert talk.wait() == 0


def test_V2_a_malformed_frame_ends_its_own_connection_only(lasting: EvoxProcess) -> None:
    with Conversation(lasting.address(), "/echo") as one, Conversation(lasting.address(), "/echo") as other:
        one.accepted()
        other.accepted()
        one.http.socket.sendall(b"\xff\xff" + bytes(20))
        assert one.close_code() in (1002, 1006)
        other.send(TextMessage("still here"))
        event = other.next()
        assert isinstance(event, TextMessage)
        assert event.data == "still here"


def test_V2_a_client_that_leaves_without_a_close_is_seen_as_1006(talk: EvoxProcess) -> None:
    with Conversation(talk.address(), "/echo") as conversation:
        conversation.accepted()
    talk.wait_error("disconnected 1006")
    assert talk.end() == 0

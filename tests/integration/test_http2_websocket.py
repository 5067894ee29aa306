"""WebSockets inside HTTP/2 (RFC 8441): they open, talk and end as they do over HTTP/1.1, on both loops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import h2.events
import h2.settings
import pytest
from tests.hostile.frames import ws, ws_close
from tests.integration.http2 import Peer, connected

from evox import Service, WebSocket, service
from evox.testing import running

SOON = 5.0


class Talk:
    """A service that echoes, and tells how its WebSockets ended."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.ended = anyio.Event()
        self.service: Service = service("talk").port(0)

        @self.service.websocket("/talk")
        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                await socket.send_text(message["text"])
                if message["text"] == "bye":
                    await socket.close(1000)
                    break
            else:
                self.codes.append(message["code"])
            self.ended.set()

        @self.service.get("/")
        async def root() -> str:
            return "root"


@pytest.fixture
def talk() -> Talk:
    return Talk()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[tuple[Peer, int]]:
    """Open a WebSocket in an HTTP/2 connection; yield the client's side and the stream."""
    async with (
        running(talk.service, sockets=True, settings={"serving": {"h2c": True}}) as env,
        connected(env, talk.service) as peer,
    ):
        settings = (await peer.next(h2.events.RemoteSettingsChanged)).changed_settings
        assert settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL].new_value == 1
        number = peer.protocol.get_next_available_stream_id()
        head = {
            ":method": "CONNECT",
            ":protocol": "websocket",
            ":scheme": "http",
            ":authority": "x",
            ":path": "/talk",
            "sec-websocket-version": "13",
        }
        peer.protocol.send_headers(number, list(head.items()))
        await peer.flush()
        assert dict((await peer.next(h2.events.ResponseReceived)).headers or [])[b":status"] == b"200"
        yield peer, number
        with anyio.fail_after(SOON):
            await talk.ended.wait()
        # The connection goes on, and nothing of the WebSocket is left in it.
        assert await peer.answer(await peer.get("/")) == ("200", b'"root"')


async def said(peer: Peer, number: int, *, end: bool = True) -> bytes:
    """Return what the server says on the stream, to its end or in one piece. A reset is no end."""
    got = b""
    while True:
        event = await peer.next(h2.events.Event)
        assert not isinstance(event, h2.events.StreamReset)
        if isinstance(event, h2.events.DataReceived) and event.stream_id == number:
            got += event.data or b""
            if not end:
                return got
        if isinstance(event, h2.events.StreamEnded) and event.stream_id == number:
            return got


async def say(peer: Peer, number: int, data: bytes) -> None:
    peer.protocol.send_data(number, data)
    await peer.flush()


async def test_V6_a_close_by_the_client_is_answered_and_ends_the_stream(talk: Talk) -> None:
    async with talking(talk) as (peer, number):
        await say(peer, number, ws(1, b"hello"))
        assert await said(peer, number, end=False) == b"\x81\x05hello"
        await say(peer, number, ws_close(1000))
        assert await said(peer, number) == b"\x88\x02\x03\xe8"
    assert talk.codes == [1000]


async def test_V6_a_close_by_the_handler_ends_the_stream(talk: Talk) -> None:
    async with talking(talk) as (peer, number):
        await say(peer, number, ws(1, b"bye"))
        got = await said(peer, number, end=False)
        await say(peer, number, ws_close(1000))
        assert got + await said(peer, number) == b"\x81\x03bye\x88\x02\x03\xe8"


async def test_V6_a_client_that_ends_the_stream_without_a_close_has_left(talk: Talk) -> None:
    async with talking(talk) as (peer, number):
        peer.protocol.end_stream(number)
        await peer.flush()
        assert await said(peer, number) == b""
    assert talk.codes == [1006]


async def test_V6_a_client_that_resets_the_stream_has_left(talk: Talk) -> None:
    async with talking(talk) as (peer, number):
        peer.protocol.reset_stream(number)
        await peer.flush()
    assert talk.codes == [1006]

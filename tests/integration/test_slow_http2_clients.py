"""Slow attackers that speak HTTP/2: windows that never open, sockets never read, pings never answered."""

from typing import Any

import anyio
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from tests.hostile.frames import GET as HEAD
from tests.hostile.frames import MAGIC, OPENING, POST, block, chopped, headers
from tests.integration.slow import GET, Slow, Wire, backend_of, complaints, serving, settled, until


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return backend_of(request.param)


@pytest.fixture
def slow() -> Slow:
    return Slow()


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

    async def read(self, *, answers: bool = True, takes: int = 0) -> int:
        """Take what comes once, and return the stream of an answer that has ended; 0 if none has.

        Args:
            answers: Whether to answer what the protocol wants answered.
            takes: A stream whose window is given back.
        """
        ended, data = 0, await self.wire.read()
        self.gone = not data
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.StreamReset):
                self.resets.append(event.stream_id or 0)
            elif isinstance(event, h2.events.PingReceived):
                self.pinged = True
            elif isinstance(event, h2.events.StreamEnded):
                ended = event.stream_id or 0
            elif isinstance(event, h2.events.DataReceived) and takes:
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, takes)
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


@pytest.mark.parametrize(
    "begun",
    [MAGIC[:10], MAGIC + b"\0\0", OPENING + headers(1, HEAD)[:-1], OPENING + chopped(1, block(HEAD), 10)[:-12]],
    ids=["half a preface", "no settings", "half a frame", "no end of head"],
)
async def test_V4_an_http_2_head_that_is_never_finished_ends_within_header_timeout(slow: Slow, begun: bytes) -> None:
    async with serving(slow, header_timeout=0.3, h2c=True) as env, Wire(env) as wire:
        began = anyio.current_time()
        wire.send(begun)
        await wire.rest()
        assert 0.25 < anyio.current_time() - began < 2
        await settled(env)
        assert complaints(env) == {"head too slow": 1}


async def test_V4_other_streams_do_not_give_an_unfinished_head_more_time(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.3, h2c=True) as env, Wire(env) as wire:
        reader = Reader(wire, window=65_535)
        reader.ask("/stream")
        await until(lambda: env.host("slow").inflight.statistics().streams > 0)
        await wire.drip(headers(3, POST)[:-1], 0.05)
        await settled(env)
        assert complaints(env) == {"head too slow": 1}


async def test_V4_each_http_2_head_has_its_own_time_wherever_its_bytes_are_cut(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.3, h2c=True) as env, Wire(env) as wire:
        wire.send(OPENING)
        rest = b""
        for number in range(1, 21, 2):  # every write ends within a head, and each head takes 0.1 s
            head = headers(number, HEAD)
            wire.send(rest + head[:-4])
            rest = head[-4:]
            await anyio.sleep(0.1)
        wire.send(rest)
        await until(lambda: env.host("slow").inflight.statistics().total == 10)
        assert complaints(env) == {}


async def test_V4_an_http_2_client_that_never_asks_is_closed_after_keep_alive(slow: Slow) -> None:
    async with serving(slow, keep_alive=0.6, header_timeout=0.2, h2c=True) as env, Wire(env) as wire:
        began = anyio.current_time()
        wire.send(OPENING)
        await wire.rest()
        assert 0.5 < anyio.current_time() - began < 3
        assert complaints(env) == {}


async def test_V4_each_part_of_an_http_2_answer_has_its_own_time(slow: Slow) -> None:
    async with serving(slow, write_timeout=0.4, h2c=True) as env, Wire(env) as wire:
        reader = Reader(wire, window=65_535)
        number, began = reader.ask("/large"), anyio.current_time()
        while not (reader.resets or await reader.read(takes=number)):  # noqa: ASYNC110  so slow is this client
            await anyio.sleep(0.05)
        assert reader.resets == []
        assert anyio.current_time() - began > 0.4

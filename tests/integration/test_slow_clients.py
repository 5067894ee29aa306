"""Slow attackers: heads and bodies in drips, answers never read, pings never answered, on both loops."""

import logging
from typing import Any

import anyio
import pytest
from tests.hostile.frames import ws, ws_close, ws_request
from tests.integration.slow import (
    GET,
    HUGE,
    UPLOAD,
    Slow,
    Wire,
    backend_of,
    complaints,
    problem,
    serving,
    settled,
    until,
)

pytestmark = pytest.mark.usefixtures("http1")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return backend_of(request.param)


@pytest.fixture
def slow() -> Slow:
    return Slow()


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


async def test_V4_half_a_head_behind_a_whole_one_is_408_as_soon_as_any_other(slow: Slow) -> None:
    async with serving(slow, header_timeout=0.2, keep_alive=60) as env, Wire(env) as wire:
        wire.send(GET + GET[:20])
        assert await wire.answer() == (200, b'"root"')
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

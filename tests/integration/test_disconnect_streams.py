"""Clients leave streams: answers without an end, WebSockets, and the streams of an HTTP/2 connection."""

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from fastapi import WebSocketDisconnect
from fastapi.responses import StreamingResponse
from tests.integration.leaving import PROMPTLY, WAYS, Caller, Caller2, Seen, idle, passed, until
from tests.lanes import ONE_WAY, running

from evox import (
    Service,
    ServiceBuilder,
    WebSocket,
)

pytestmark = pytest.mark.usefixtures("http1")


def streaming(ended: threading.Event) -> Service:
    """Return a service with endless answers, in all the forms that a user may write them in."""
    svc = ServiceBuilder("a")

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"part\n"
                await anyio.sleep(0.01)
        finally:
            ended.set()

    def parts_in_threads() -> Iterator[bytes]:
        try:
            while True:
                yield b"part\n"
                time.sleep(0.01)
        finally:
            ended.set()

    async def waits() -> AsyncIterator[bytes]:
        try:
            yield b"first\n"
            await anyio.sleep_forever()
        finally:
            ended.set()

    svc.get("/response")(lambda: StreamingResponse(parts()))
    svc.get("/response-that-waits")(lambda: StreamingResponse(waits()))
    svc.get("/generator", response_class=StreamingResponse)(parts)
    svc.get("/generator-in-threads", response_class=StreamingResponse)(parts_in_threads)
    return svc


# A plain generator in the user's own response is out of our reach: Python closes it when it is collected.
STREAMS: Final = ["/response", "/response-that-waits", "/generator", "/generator-in-threads"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("path", STREAMS)
async def test_V6_a_streams_generator_is_closed_when_its_client_leaves(path: str, how: str) -> None:
    ended = threading.Event()
    async with running(streaming(ended), sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask(path)
        await client.read()
        client.leave(how)
        await until(ended.is_set, PROMPTLY)
        after = await idle(env)
        assert (after.streams, after.left, after.failed) == (0, 1, 0)


@ONE_WAY
@pytest.mark.parametrize("path", STREAMS)
async def test_V6_a_streams_generator_is_closed_when_its_client_leaves_without_sockets(path: str) -> None:
    ended = threading.Event()
    async with running(streaming(ended)) as env:
        async with env.client("a").stream("GET", path) as answer, aclosing(answer.aiter_raw()) as parts:
            await anext(parts)
        await until(ended.is_set, PROMPTLY)
        after = await idle(env)
        assert (after.streams, after.left, after.failed) == (0, 1, 0)


UPGRADE: Final = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY: Final = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("doing", ["receive", "send"])
async def test_V6_a_websocket_handler_whose_client_leaves_gets_a_disconnect(doing: str, how: str) -> None:
    svc, caught, ended = ServiceBuilder("a"), list[BaseException](), anyio.Event()

    @svc.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        act: Callable[[], Awaitable[Any]]
        act = socket.receive_text if doing == "receive" else lambda: socket.send_text("news")
        try:
            while True:
                await act()
                await anyio.lowlevel.checkpoint()
        except BaseException as error:
            caught.append(error)
            raise
        finally:
            ended.set()

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/talk", "GET", *UPGRADE, KEY)
        assert b" 101 " in await client.read()
        client.leave(how)
        with anyio.fail_after(PROMPTLY):
            await ended.wait()
        after = await idle(env)
    assert [(type(one), getattr(one, "code", 0)) for one in caught] == [(WebSocketDisconnect, 1006)]
    assert (after.websockets, after.failed) == (0, 0)


H2C: Final = {"serving": {"h2c": True}}


def waiting_each(seen: dict[str, Seen]) -> Service:
    """Return a service whose ``/wait/NAME`` waits, by any method."""
    svc = ServiceBuilder("a")

    @svc.endpoint("/wait/{name}", methods=["GET", "POST"])
    async def wait(name: str) -> str:
        return await seen[name].wait()

    return svc


@ONE_WAY
async def test_V6_the_reset_of_an_http2_stream_cancels_that_stream_only() -> None:
    seen = {"first": Seen(), "second": Seen(), "third": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        with Caller2(env.url("a")) as client:
            first, second, third = (
                client.begin("/wait/first"),
                client.begin("/wait/second"),
                client.begin("/wait/third"),
            )
            for one in seen.values():
                await one.entered.wait()
            client.reset(second)
            assert await seen["second"].cancelled()
            await passed(env)
            assert not seen["first"].ended.is_set()
            assert not seen["third"].ended.is_set()
            seen["first"].go.set()
            await client.ended(first)
            seen["third"].go.set()
            await client.ended(third)
        assert (await idle(env)).left == 1


@ONE_WAY
async def test_V6_a_write_whose_http2_stream_is_reset_finishes() -> None:
    seen = {"only": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        with Caller2(env.url("a")) as client:
            stream = client.begin("/wait/only", "POST")
            await seen["only"].entered.wait()
            client.reset(stream)
            await passed(env)
            assert not seen["only"].ended.is_set()
            seen["only"].go.set()
            assert (await idle(env)).left == 1
        assert seen["only"].finished


@ONE_WAY
@pytest.mark.parametrize("how", WAYS)
async def test_V6_the_end_of_an_http2_connection_cancels_all_its_streams(how: str) -> None:
    seen = {"first": Seen(), "second": Seen()}
    async with running(waiting_each(seen), sockets=True, settings=H2C) as env:
        client = Caller2(env.url("a"))
        for name, one in seen.items():
            client.begin(f"/wait/{name}")
            await one.entered.wait()
        client.leave(how)
        for one in seen.values():
            assert await one.cancelled()
        assert (await idle(env)).left == 2

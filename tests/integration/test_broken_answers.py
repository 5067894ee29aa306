"""Answers that end in the middle: their client is told, over either protocol, and limits hold while they are sent."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import h2.errors
import h2.events
import pytest
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from tests.integration.http2 import connected
from tests.integration.slow import SOON, Wire, backend_of
from tests.lanes import ONE_WAY, running

from evox import Service, service
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")

ECHO = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = b"2710\r\n" + bytes(10_000) + b"\r\n"


class Echo(Response):
    """Sends back what comes, as it comes. Starlette's own streams read the request themselves, to see its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (message := await receive())["type"] == "http.request":
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
            if not more:
                return


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return backend_of(request.param)


@pytest.fixture
def svc() -> Service:
    svc = service("slow").port(0)

    @svc.post("/echo")
    async def echo() -> Response:
        return Echo()

    @svc.get("/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionRefusedError("the source is gone")

        return StreamingResponse(parts(), headers={"content-length": "8"})

    @svc.get("/")
    async def root() -> str:
        return "root"

    return svc


def serving(svc: Service, **limits: Any) -> Any:
    return running(svc, sockets=True, settings={"serving": {"h2c": True, **limits}})


async def test_V4_a_body_read_during_its_answer_is_held_to_body_bytes(svc: Service) -> None:
    async with serving(svc, body_bytes=100_000) as env, Wire(env) as wire:
        for part in (ECHO, *[PART] * 11):
            wire.send(part)
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(SOON):
            said = await wire.rest()
        assert said.startswith(b"HTTP/1.1 200")
        assert not said.endswith(b"0\r\n\r\n")
        assert statistics(env).too_large == 1


async def test_V4_a_body_read_during_its_answer_is_held_to_its_time(svc: Service) -> None:
    async with serving(svc, body_timeout=0.3, body_rate=1000) as env, Wire(env) as wire:
        wire.send(ECHO)
        began = anyio.current_time()
        with anyio.fail_after(SOON):
            said = await wire.drip(b"1\r\nd\r\n" * 1000, 0.02)
        assert anyio.current_time() - began < 3
        assert not said.endswith(b"0\r\n\r\n")
        assert statistics(env).too_slow == 1


async def test_V4_a_body_within_its_limits_is_echoed_to_its_end(svc: Service) -> None:
    async with serving(svc, body_bytes=100_000) as env, Wire(env) as wire:
        wire.send(ECHO.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        for part in (*[PART] * 10, b"0\r\n\r\n"):
            wire.send(part)
        with anyio.fail_after(SOON):
            said = await wire.rest()
        assert said.endswith(b"0\r\n\r\n") or b"\r\ncontent-length: 100000\r\n" in said
        assert len(said) > 100_000
        assert statistics(env).failed == 0


@ONE_WAY
async def test_V4_over_http_2_such_a_stream_is_reset_alone(svc: Service) -> None:
    async with serving(svc, body_timeout=0.2) as env, connected(env, svc) as peer:
        number = await peer.post("/echo")
        await peer.send(number, 100, end=False)
        reset = await peer.next(h2.events.StreamReset)
        assert (reset.stream_id, statistics(env).too_slow) == (number, 1)
        assert await peer.answer(await peer.get("/")) == ("200", b'"root"')


@ONE_WAY
async def test_V2_an_answer_that_fails_in_the_middle_resets_its_http_2_stream(svc: Service) -> None:
    async with running(svc, sockets=True, raise_errors=False, settings={"serving": {"h2c": True}}) as env:
        async with connected(env, svc) as peer:
            number = await peer.get("/half")
            reset = await peer.next(h2.events.StreamReset)
            assert (reset.stream_id, reset.error_code) == (number, h2.errors.ErrorCodes.INTERNAL_ERROR)
            assert await peer.answer(await peer.get("/")) == ("200", b'"root"')
        assert statistics(env).failed == 1


async def test_V2_an_answer_that_fails_in_the_middle_closes_its_http_1_connection(svc: Service) -> None:
    async with running(svc, sockets=True, raise_errors=False) as env, Wire(env) as wire:
        wire.send(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
        with anyio.fail_after(SOON):
            assert (await wire.rest()).endswith(b"\r\n\r\nhalf")


def statistics(env: Env) -> Any:
    return env.host("slow").inflight.statistics()


async def test_parts_that_two_tasks_of_an_app_send_at_once_do_not_run_into_each_other() -> None:
    class Both(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

            async def give(letter: bytes) -> None:
                for _ in range(4):
                    await send({"type": "http.response.body", "body": letter * 1_000_000, "more_body": True})

            async with anyio.create_task_group() as group:
                group.start_soon(give, b"a")
                group.start_soon(give, b"b")
            await send({"type": "http.response.body", "body": b""})

    svc: Service = service("both")

    @svc.get("/")
    async def both() -> Both:
        return Both()

    async with running(svc, sockets=True) as env, env.client(svc).stream("GET", "/") as response:
        parts = [part async for part in response.aiter_raw(1_000_000)]
    assert sorted(set(parts)) == [b"a" * 1_000_000, b"b" * 1_000_000]
    assert (parts.count(parts[0]), len(parts)) == (4, 8)

"""R2: what is no ``Exception`` and gets out of user code is an error of that code, and ends nothing beside it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.lowlevel
import httpx2
import pytest
from fastapi import Depends
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, StreamingResponse
from tests.lanes import ONE_WAY, running

from evox import Service, WebSocket, proxy, service
from evox.errors import CallFailed, Escaped

pytestmark = pytest.mark.usefixtures("http1")


class Panic(BaseException):
    """As those of libraries written in Rust."""


async def awaits_what_is_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(10))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


async def gathers_what_is_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(10))
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.gather(task, asyncio.sleep(0))


async def leaves() -> None:
    raise SystemExit(3)


async def panics() -> None:
    await anyio.lowlevel.checkpoint()
    raise Panic("out of cheese")


async def cancels_by_the_wrong_name() -> None:
    raise asyncio.CancelledError


async def fails_in_a_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(panics)


ANYWHERE = [leaves, panics, cancels_by_the_wrong_name, fails_in_a_group]
WAYS = [
    *(("trio", one) for one in ANYWHERE),
    *(("asyncio", one) for one in [*ANYWHERE, awaits_what_is_cancelled, gathers_what_is_cancelled]),
]
ways = pytest.mark.parametrize(("anyio_backend", "stray"), WAYS, ids=lambda one: getattr(one, "__name__", one))
Stray = Callable[[], Awaitable[None]]


def shop(stray: Stray) -> Service:
    svc: Service = service("shop")

    @svc.get("/handler")
    async def handler() -> None:
        await stray()

    @svc.post("/handler")
    async def unsafe() -> None:
        await stray()

    @svc.get("/dependency")
    async def dependency(made: None = Depends(stray)) -> None: ...

    @svc.get("/kept", cache="1h")
    async def kept() -> None:
        await stray()

    @svc.post("/idempotent", idempotency="1h")
    async def idempotent() -> None:
        await stray()

    @svc.get("/after")
    async def after() -> JSONResponse:
        return JSONResponse("answered", background=BackgroundTask(stray))

    @svc.get("/slow")
    async def slow() -> str:
        await anyio.sleep(0.3)
        return "slow"

    @svc.get("/job")
    async def job() -> str:
        svc.start_soon(stray)
        return "started"

    return svc


@ways
async def test_R2_a_request_is_answered_500_and_those_beside_it_as_ever(
    stray: Stray, caplog: pytest.LogCaptureFixture
) -> None:
    svc = shop(stray)
    async with running(svc, sockets=True, raise_errors=False) as env:
        client, slow = env.client(svc), []

        async def asks() -> None:
            slow.append((await env.client(svc).get("/slow")).json())

        async with anyio.create_task_group() as group:
            group.start_soon(asks)
            for one in ("GET /handler", "POST /handler", "GET /dependency", "GET /kept", "POST /idempotent"):
                caplog.clear()
                method, path = one.split()
                answer = await client.request(method, path, headers={"idempotency-key": "a"})
                assert answer.status_code == 500
                (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
                assert "EVX-609" in record.getMessage()
            assert (await client.get("/after")).json() == "answered"
        assert slow == ["slow"]
        assert (await client.get("/slow")).json() == "slow"
        assert (await client.get("/health/ready")).status_code == 200


@ways
@ONE_WAY
async def test_R2_a_job_and_a_background_task_are_failures_and_their_service_goes_on(stray: Stray) -> None:
    svc, runs, thrice = shop(stray), [], anyio.Event()

    @svc.background_task(interval="50ms", on_error="log")
    async def repeats() -> None:
        runs.append(1)
        if len(runs) == 3:
            thrice.set()
        await stray()

    async with running(svc, sockets=True, raise_errors=False) as env:
        client = env.client(svc)
        assert (await client.get("/job")).json() == "started"
        with anyio.fail_after(5):
            await thrice.wait()
        assert (await client.get("/slow")).json() == "slow"
        assert (await client.get("/health/ready")).status_code == 200
        nursery = env.service(svc).nursery
        assert nursery is not None
        assert nursery.statistics().failed == 1


@ways
@ONE_WAY
async def test_R2_a_health_check_fails_and_a_start_that_ends_so_has_failed(stray: Stray) -> None:
    svc: Service = service("shop")
    svc.health_check("odd")(stray)
    async with running(svc, sockets=True, raise_errors=False) as env:
        assert (await env.client(svc).get("/health")).status_code == 503
        assert (await env.client(svc).get("/health/live")).status_code == 200
    other: Service = service("other")
    other.on_startup(stray)
    with pytest.raises(Escaped):
        async with running(other):
            raise AssertionError("it started")


@ways
@ONE_WAY
async def test_R2_a_call_within_the_process_has_failed(stray: Stray) -> None:
    svc, caller = shop(stray), service("caller")

    @caller.get("/")
    async def calls() -> str:
        try:
            return str(await proxy.shop.handler.get())
        except CallFailed as error:
            return f"it failed by {type(error.__cause__).__name__}"

    async with running(svc, caller, raise_errors=False) as env:
        assert (await env.client(caller).get("/")).json() == "it failed by Escaped"


@pytest.mark.parametrize(
    ("anyio_backend", "stray"),
    # A task of asyncio that raises SystemExit ends the loop, and a stream is one that Starlette has started.
    [one for one in WAYS if one != ("asyncio", leaves)],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_R2_a_stream_and_a_websocket_end_alone(stray: Stray) -> None:
    svc: Service = service("shop")

    @svc.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            await stray()

        return StreamingResponse(parts())

    @svc.app.websocket("/ws")
    async def speaks(socket: WebSocket) -> None:
        await socket.accept()
        await stray()

    @svc.get("/ok")
    async def ok() -> str:
        return "ok"

    async with running(svc, sockets=True, raise_errors=False) as env:
        client = env.client(svc)
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/stream")
        with pytest.raises(Exception, match=r"EVX-609|ended|closed"):
            async with env.websocket(svc, "/ws") as socket:
                await socket.receive()
        assert (await client.get("/ok")).json() == "ok"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_R2_who_leaves_takes_shared_work_along_and_nobody_else() -> None:
    """The usual way to do something once for several requests, in which the first one's client leaves."""
    svc: Service = service("shop")
    running_now: dict[str, asyncio.Task[str]] = {}

    async def fetch() -> str:
        await asyncio.sleep(1)
        return "fetched"

    @svc.get("/shared")
    async def shared() -> str:
        task = running_now.get("it")
        if task is None or task.done():
            task = running_now["it"] = asyncio.create_task(fetch())
        return await task

    @svc.get("/ok")
    async def ok() -> str:
        await anyio.sleep(0.5)
        return "ok"

    seen: dict[str, int] = {}
    async with running(svc, sockets=True, raise_errors=False) as env:

        async def asks(path: str) -> None:
            seen[path] = (await env.client(svc).get(path)).status_code

        host, port = env.url(svc).removeprefix("http://").split(":")
        async with anyio.create_task_group() as group, await anyio.connect_tcp(host, int(port)) as first:
            await first.send(b"GET /shared HTTP/1.1\r\nHost: x\r\n\r\n")
            await anyio.sleep(0.1)
            group.start_soon(asks, "/shared")
            group.start_soon(asks, "/ok")
            await anyio.sleep(0.2)
        assert seen == {"/shared": 500, "/ok": 200}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_R2_a_request_that_cancels_its_own_task_is_answered_and_leaves_nothing_to_the_next() -> None:
    svc: Service = service("shop")

    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @svc.get("/own")
    async def own() -> None:
        cancel()
        await anyio.sleep(5)

    @svc.get("/swallows")
    async def swallows() -> str:
        cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return "swallowed"

    @svc.get("/stray")
    async def stray() -> None:
        await awaits_what_is_cancelled()

    async with running(svc, sockets=True, raise_errors=False) as env:
        client = env.client(svc)
        for path, status in (("/own", 500), ("/swallows", 200), ("/stray", 500), ("/own", 500)):
            assert (await client.get(path)).status_code == status


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_R2_a_request_that_cancels_its_own_task_at_its_end_takes_no_other_connection_along() -> None:
    svc: Service = service("shop")

    @svc.get("/own")
    async def own() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "own"

    @svc.get("/ok")
    async def ok() -> str:
        await anyio.sleep(0.2)
        return "ok"

    async with running(svc, sockets=True, raise_errors=False) as env:
        beside: list[str] = []

        async def asks() -> None:
            beside.append((await env.client(svc).get("/ok")).json())

        async with anyio.create_task_group() as group:
            group.start_soon(asks)
            await anyio.sleep(0.1)
            with contextlib.suppress(httpx2.TransportError):
                await env.client(svc).get("/own")
        assert beside == ["ok"]
        assert (await env.client(svc).get("/ok")).json() == "ok"


@ONE_WAY
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_R2_a_job_that_cancels_its_own_task_has_failed_and_its_service_goes_on() -> None:
    svc: Service = service("shop")

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(5)

    @svc.get("/job")
    async def job() -> str:
        svc.start_soon(cancels)
        return "started"

    async with running(svc, sockets=True, raise_errors=False) as env:
        for _ in range(3):
            assert (await env.client(svc).get("/job")).json() == "started"


@ONE_WAY
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_start_under_another_server_is_cancelled_as_its_caller_likes() -> None:
    svc: Service = service("shop")

    @svc.on_startup
    async def hangs() -> None:
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), svc.app.router.lifespan_context(svc.app):
            raise AssertionError("it started")


def test_a_stray_says_what_it_was_and_what_to_do() -> None:
    error = Escaped("GET /", SystemExit(3))
    assert "SystemExit" in error.what
    assert "ends programs" in error.why
    assert "shield" in Escaped("GET /", asyncio.CancelledError()).fix

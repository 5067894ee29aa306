"""One seat for a chain of calls (P10): what rides on it, and what holds none."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.from_thread
import httpx2
import pytest
from fastapi import BackgroundTasks, Depends
from starlette.responses import StreamingResponse

from evox import Service, ServiceBuilder, WebSocket, context, service
from evox.scheduling import Priority, gather
from evox.testing import Env, running

LIVENESS = 5.0


def narrow(name: str = "a") -> ServiceBuilder:
    """Return a service with one seat and no queue: whoever needs a second one is rejected."""
    return service(name).concurrency(total=1, high=1, medium=1, low=1, queue=0)


def in_use(env: Env, svc: Service) -> int:
    return env.service(svc).scheduler.statistics().in_use


def calling(svc: Service) -> httpx2.AsyncClient:
    """Return a client that calls a service in this process and task."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(svc.app), base_url="http://inside")


async def test_P10_with_every_cap_at_one_nested_calls_and_gathers_finish() -> None:
    svc = narrow()

    @svc.get("/leaf/{number}", priority="low")
    async def leaf(number: int) -> int:
        return number

    @svc.get("/sync/{number}", priority="low")
    def sync(number: int) -> int:
        return number

    @svc.get("/middle", priority="medium")
    async def middle() -> list[int]:
        async with calling(svc) as client:

            async def one(path: str) -> int:
                return int((await client.get(path)).text)

            paths = [f"/{kind}/{number}" for kind in ("leaf", "sync") for number in range(4)]
            return await gather(*(one(path) for path in paths), concurrency=3)

    @svc.get("/root", priority="high")
    async def root() -> Any:
        async with calling(svc) as client:
            return (await client.get("/middle")).json()

    async with running(svc) as env:
        with anyio.fail_after(LIVENESS):
            answer = await env.client(svc).get("/root")
        seen = env.service(svc).scheduler.statistics()
    assert answer.json() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [one.arrived for one in seen.levels] == [1, 0, 0]
    assert seen.in_use == 0


async def test_P10_a_sync_handler_that_calls_another_from_its_thread_rides_too() -> None:
    svc = narrow()

    @svc.get("/leaf")
    def leaf() -> str:
        return "leaf"

    @svc.get("/root")
    def root() -> str:
        async def call() -> str:
            async with calling(svc) as client:
                return str((await client.get("/leaf")).json())

        return anyio.from_thread.run(call)

    async with running(svc) as env:
        with anyio.fail_after(LIVENESS):
            assert (await env.client(svc).get("/root")).json() == "leaf"


async def test_P10_a_job_that_a_handler_starts_is_on_nobodys_seat() -> None:
    svc, found, go = narrow(), list[Any](), anyio.Event()

    async def job() -> None:
        found.append(context.maybe_seat())
        await go.wait()

    @svc.get("/x")
    async def x() -> int:
        svc.start_soon(job)
        await anyio.wait_all_tasks_blocked()
        return in_use(env, svc)

    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).json() == 1
        assert (found, in_use(env, svc)) == ([None], 0)
        go.set()


async def test_P10_a_task_that_outlives_its_request_has_no_seat_any_more() -> None:
    svc, found, go = narrow(), list[bool](), anyio.Event()

    async def leftover() -> None:
        found.append(context.maybe_seat() is not None)
        await go.wait()
        found.append(context.maybe_seat() is not None)

    async with running(svc) as env, anyio.create_task_group() as group:
        seat = env.service(svc).scheduler.enter(Priority.HIGH)
        token = context.enter_seat(seat)
        group.start_soon(leftover)
        context.leave_seat(token)
        await anyio.wait_all_tasks_blocked()
        seat.release()
        go.set()
    assert found == [True, False]


async def test_P10_background_tasks_of_fastapi_hold_no_seat() -> None:
    svc, go, held = narrow(), anyio.Event(), list[int]()

    async def after() -> None:
        held.append(in_use(env, svc))
        await go.wait()

    @svc.get("/x")
    async def x(background: BackgroundTasks) -> str:
        background.add_task(after)
        return "x"

    @svc.get("/y")
    async def y() -> str:
        return "y"

    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/x")
        assert (await client.get("/y")).status_code == 200
        assert held == [0]
        go.set()


@pytest.mark.parametrize("kind", ["generator", "sync generator", "response"])
async def test_P10_a_stream_holds_no_seat(kind: str) -> None:
    svc, go = narrow(), anyio.Event()
    thread = threading.Event()

    if kind == "generator":

        @svc.get("/stream")
        async def generator() -> AsyncIterator[str]:
            yield "first"
            await go.wait()

    elif kind == "sync generator":

        @svc.get("/stream")
        def sync() -> Iterator[str]:
            yield "first"
            thread.wait(LIVENESS)

    else:

        @svc.get("/stream")
        async def response() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"first"
                await go.wait()

            return StreamingResponse(parts())

    @svc.get("/x")
    async def x() -> str:
        return "x"

    async with running(svc) as env:
        client = env.client(svc)
        async with client.stream("GET", "/stream") as stream:
            parts = stream.aiter_bytes()
            assert b"first" in await anext(parts)
            assert (in_use(env, svc), (await client.get("/x")).status_code) == (0, 200)
            go.set()
            thread.set()
            with suppress(StopAsyncIteration):
                await anext(parts)


async def test_P10_a_websocket_holds_no_seat() -> None:
    svc = narrow()

    @svc.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(in_use(env, svc)))
        await websocket.receive_text()

    @svc.get("/x")
    async def x() -> str:
        return "x"

    async with running(svc) as env, env.websocket(svc, "/ws") as session:
        assert await session.receive() == "0"
        assert (await env.client(svc).get("/x")).status_code == 200
        await session.send_text("bye")


async def test_a_dependency_runs_on_the_seat() -> None:
    svc = narrow()

    async def resource() -> int:
        return in_use(env, svc)

    @svc.get("/x")
    async def x(held: int = Depends(resource)) -> int:
        return held

    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).json() == 1


async def test_sync_handlers_of_one_level_leave_those_of_another_their_threads() -> None:
    """More of them than anyio has threads for everybody."""
    svc = service("a").concurrency(total=60, high=60, low=50)
    go, entered = threading.Event(), list[int]()

    @svc.get("/low/{number}", priority="low")
    def low(number: int) -> None:
        entered.append(number)
        go.wait(LIVENESS)

    @svc.get("/high", priority="high")
    def high() -> int:
        return len(entered)

    async with running(svc) as env, anyio.create_task_group() as group:
        client = env.client(svc)
        for number in range(60):
            group.start_soon(client.get, f"/low/{number}")
        with anyio.fail_after(LIVENESS):
            while len(entered) < 50:
                await anyio.wait_all_tasks_blocked()
            assert (await client.get("/high")).json() == 50
        go.set()
    assert len(entered) == 60


async def test_sync_dependencies_of_one_level_leave_those_of_another_their_threads() -> None:
    svc = service("a").concurrency(total=60, high=60, low=50)
    go, entered = threading.Event(), list[int]()

    def slow(number: int) -> None:
        entered.append(number)
        go.wait(LIVENESS)

    def quick() -> int:
        return len(entered)

    @svc.get("/low/{number}", priority="low", dependencies=[Depends(slow)])
    async def low(number: int) -> None: ...

    @svc.get("/high", priority="high")
    async def high(found: int = Depends(quick)) -> int:
        return found

    async with running(svc) as env, anyio.create_task_group() as group:
        client = env.client(svc)
        for number in range(50):
            group.start_soon(client.get, f"/low/{number}")
        with anyio.fail_after(LIVENESS):
            while len(entered) < 50:
                await anyio.wait_all_tasks_blocked()
            assert (await client.get("/high")).json() == 50
        go.set()

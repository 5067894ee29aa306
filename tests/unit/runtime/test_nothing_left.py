"""After the end nothing of ours is left: no task, no descriptor, no thread at work."""

import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import evox
from evox import ServiceBuilder, WebSocket
from evox.errors import StartupFailed
from evox.runtime import State
from evox.testing import running

OURS = (str(Path(evox.__file__).parent), __file__)


def busy_service(name: str) -> ServiceBuilder:
    """Return a service with some of everything that could be left behind."""
    svc = ServiceBuilder(name)
    svc.on_startup(lambda: None)
    svc.on_shutdown(lambda: None)

    @svc.get("/")
    async def read() -> dict[str, str]:
        svc.start_soon(anyio.sleep, 0.001)
        return {"name": name}

    @svc.get("/thread")
    def in_a_thread() -> dict[str, str]:
        return {"name": name}

    @svc.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()

    @svc.background_task(interval=0.01)
    def sweep() -> None: ...

    svc.background_task(anyio.sleep_forever)
    return svc


async def without_sockets() -> None:
    services = [busy_service("users"), busy_service("items")]
    async with running(*services) as env:
        for svc in services:
            assert (await env.client(svc).get("/")).status_code == 200
            assert (await env.client(svc).get("/thread")).status_code == 200
        async with env.websocket("users", "/ws") as socket:
            await socket.send_text("x")


async def with_sockets() -> None:
    services = [busy_service("users"), busy_service("items")]
    async with running(*services, sockets=True) as env:
        for svc in services:
            client = env.client(svc)
            assert (await client.get("/")).status_code == 200
            assert (await client.get("/thread")).status_code == 200


async def with_a_connection_that_stays_open() -> None:
    async with running(busy_service("users"), sockets=True) as env:
        port = int(env.url("users").rpartition(":")[2])
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 200")
    await stream.aclose()


async def with_a_request_that_is_cut() -> None:
    svc = busy_service("users")

    @svc.get("/stuck")
    async def stuck() -> None:
        await anyio.sleep_forever()

    async with running(svc) as env, anyio.create_task_group() as group:
        group.start_soon(env.client("users").get, "/stuck")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


async def with_a_crash() -> None:
    svc = busy_service("users").restart(backoff=0.001)
    crashed: list[int] = []

    @svc.background_task(on_error="fail_service")
    async def crash() -> None:
        crashed.append(1)
        if len(crashed) > 1:
            await anyio.sleep_forever()
        await anyio.sleep(0.001)
        raise ValueError("crash")

    async with running(svc, busy_service("items"), raise_errors=False) as env:
        lifecycle = env.host("users").lifecycle
        while lifecycle.statistics().starts < 2:
            await lifecycle.wait_state(*(set(State) - {lifecycle.state}))


async def with_a_failed_start() -> None:
    bad = ServiceBuilder("bad")

    @bad.on_startup
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(StartupFailed):
        async with running(busy_service("users"), bad, busy_service("items")):
            pass


async def with_an_error_of_the_block() -> None:
    async def block() -> None:
        async with running(busy_service("users"), sockets=True) as env:
            await env.client("users").get("/")
            raise LookupError

    with pytest.raises(LookupError):
        await block()


SCENES = [
    without_sockets,
    with_sockets,
    with_a_connection_that_stays_open,
    with_a_request_that_is_cut,
    with_a_crash,
    with_a_failed_start,
    with_an_error_of_the_block,
]
every_scene = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
Scene = Callable[[], Awaitable[None]]


def descriptors() -> set[str]:
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.add(f"{entry.name} -> {entry.readlink()}")
        except FileNotFoundError:
            continue  # the one that listed the folder
    return links


def at_work() -> list[str]:
    """Return the threads, other than this one, that run code of Evox or of this test."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = []
    for ident, top in sys._current_frames().items():
        frame: Any = top
        while frame is not None and ident != threading.get_ident():
            if frame.f_code.co_filename.startswith(OURS):
                found.append(f"{names.get(ident)} in {frame.f_code.co_qualname}")
            frame = frame.f_back
    return found


@every_scene
async def test_R1_no_task_of_ours_is_left(scene: Scene) -> None:
    before = {task.id for task in anyio.get_running_tasks()}
    await scene()
    assert [task for task in anyio.get_running_tasks() if task.id not in before] == []


@every_scene
async def test_R1_no_descriptor_is_left(scene: Scene) -> None:
    await scene()  # what the loop and the libraries open once for all is open after this
    before = descriptors()
    await scene()
    assert descriptors() - before == set()


@every_scene
async def test_R1_no_thread_is_at_work(scene: Scene) -> None:
    await scene()
    assert at_work() == []


async def test_R1_the_idle_threads_of_the_loop_do_not_grow_from_run_to_run() -> None:
    await without_sockets()
    before = threading.active_count()
    for _ in range(10):
        await without_sockets()
    assert threading.active_count() < before + 10  # a few may come, as hooks meet by chance; not one a run

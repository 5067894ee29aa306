"""Connections to Valkey that break, in every way they can: each is replaced, and never are more open than may be.

What broke: a place in the driver's pool was lost with each connection that broke while lent, until there was none.
"""

import gc
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.faults.slow_proxy import slow_proxy
from tests.valkey_server import ValkeyServer

from evox import ServiceBuilder, data_io
from evox.errors import BackendUnavailable, WriteOutcomeUnknown
from evox.testing import running

SOAK = bool(os.environ.get("EVOX_SOAK"))
TIMES = 25 if SOAK else 6
CONNECTIONS = 4
SOON = 5.0
pytestmark = [
    pytest.mark.timeout(300 if SOAK else 60),
    # coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    made = ValkeyServer(appendonly="yes").start()
    yield made
    made.remove()


async def told(server: ValkeyServer, *words: str) -> str:
    return await anyio.to_thread.run_sync(server.ask, *words)


def sockets() -> int:
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            found += str(one.readlink()).startswith("socket:")
    return found


@asynccontextmanager
async def shop(url: str, *, timeout: float = 2, load: int = 0) -> AsyncIterator[Any]:
    """Run a service with few connections, and tasks that write and read all the time, whatever comes of it."""
    settings = {"data": {"backend": url, "timeout": timeout, "connections": CONNECTIONS, "l1_ttl": 0.2}}
    async with running(ServiceBuilder("shop"), settings=settings) as env, anyio.create_task_group() as group:

        async def work(task: int) -> None:
            while True:
                try:
                    await data_io.write(f"load:{task}", task)
                    assert await data_io.read(f"load:{task}") == task
                except (BackendUnavailable, WriteOutcomeUnknown):
                    await anyio.sleep(0.01)

        for task in range(load):
            group.start_soon(work, task)
        yield lambda: env.service("shop").data.statistics().backends[0]
        group.cancel_scope.cancel()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(SOON):
        while True:  # nobody tells when a server answers again, or a socket is closed
            if await is_so():
                return
            await anyio.sleep(0.02)


async def works() -> bool:
    try:
        await data_io.write("probe", 1)
        return bool(await data_io.read("probe") == 1)
    except (BackendUnavailable, WriteOutcomeUnknown):
        return False


async def until_it_works() -> None:
    await until(works)


async def until_it_hears(server: ValkeyServer) -> None:
    async def hears() -> bool:
        return (await told(server, "PUBSUB", "NUMSUB", "evox:c")).endswith(":1\r\n")

    await until(hears)


async def check(server: ValkeyServer, statistics: Any, before: int) -> None:
    """Of the server's clients are ours: those of the pool, the one that listens, and the one that asks."""
    found = statistics()
    assert found.available
    number, _, rest = found.detail.partition(" ")
    assert 1 <= int(number) <= CONNECTIONS, found
    assert rest.startswith(f"of {CONNECTIONS} connections")
    listed = await told(server, "CLIENT", "LIST")
    assert listed.count("id=") <= CONNECTIONS + 2, listed

    async def are_closed() -> bool:
        return sockets() <= before + CONNECTIONS + 1

    await until(are_closed)


@pytest.mark.parametrize("load", [0, 20])
async def test_a_subscription_that_is_lost_costs_no_connection(server: ValkeyServer, load: int) -> None:
    before = sockets()
    async with shop(server.url, load=load) as statistics:
        for _ in range(TIMES):
            await until_it_hears(server)
            await told(server, "CLIENT", "KILL", "TYPE", "pubsub")
            await until_it_works()
        await until_it_hears(server)
        await check(server, statistics, before)


async def test_a_server_that_goes_and_comes_back_costs_no_connection(server: ValkeyServer) -> None:
    before = sockets()
    async with shop(server.url, load=20) as statistics:
        for number in range(TIMES):
            await until_it_works()
            await anyio.to_thread.run_sync(server.kill if number % 2 else server.stop)
            with pytest.raises((BackendUnavailable, WriteOutcomeUnknown)):
                await data_io.write("probe", 0)
            await anyio.to_thread.run_sync(server.start)
            await until_it_works()
            await check(server, statistics, before)
        await until_it_hears(server)


async def test_connections_that_the_server_closes_under_load_cost_nothing(server: ValkeyServer) -> None:
    before = sockets()
    async with shop(server.url, load=20) as statistics:
        for _ in range(TIMES):
            await until_it_works()
            await told(server, "CLIENT", "KILL", "TYPE", "normal")
            await until_it_works()
            await check(server, statistics, before)


async def test_operations_that_are_cancelled_at_any_moment_cost_nothing(server: ValkeyServer) -> None:
    before, rand = sockets(), random.Random(7)
    async with shop(server.url) as statistics:

        async def hasty(number: int) -> None:
            with anyio.move_on_after(rand.random() * 0.01):
                await data_io.write(f"k{number}", number)
                assert await data_io.read(f"k{number}") == number

        for _ in range(TIMES * 4):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(hasty, number)
        for number in range(20):
            await data_io.write(f"k{number}", number)
            assert await data_io.read(f"k{number}") == number
        await check(server, statistics, before)


async def test_a_server_that_does_not_answer_for_a_while_costs_nothing(server: ValkeyServer) -> None:
    before = sockets()
    async with shop(server.url, timeout=0.2, load=20) as statistics:
        for _ in range(TIMES):
            await until_it_works()
            await anyio.to_thread.run_sync(server.pause)
            try:
                for _ in range(3):
                    with anyio.fail_after(SOON), pytest.raises((WriteOutcomeUnknown, BackendUnavailable)):
                        await data_io.write("probe", 0)
                    assert sockets() <= before + 2 * CONNECTIONS + 2
            finally:
                await anyio.to_thread.run_sync(server.resume)
            await until_it_works()
            await check(server, statistics, before)


async def test_a_connection_that_is_forgotten_on_the_way_is_replaced_though_nobody_waits_for_it_to_the_end(
    server: ValkeyServer,
) -> None:
    async with slow_proxy(server.port) as proxy, shop(f"valkey://127.0.0.1:{proxy.port}/0", timeout=0.3) as statistics:
        for _ in range(TIMES):
            await data_io.write("probe", 1)
            proxy.forget()
            with anyio.fail_after(SOON):
                answered = False
                while not answered:
                    with anyio.move_on_after(0.05):  # less than the backend's own timeout
                        answered = await data_io.read("probe") == 1
            assert int(statistics().detail.partition(" ")[0]) <= CONNECTIONS


@pytest.mark.parametrize("then", ["written", "deleted", "read"])
async def test_D10_what_comes_after_a_write_that_was_cancelled_is_not_overtaken_by_it(
    server: ValkeyServer, then: str
) -> None:
    """What broke: the write was still on its way over one connection while the next was done over another."""
    async with slow_proxy(server.port) as proxy, shop(f"valkey://127.0.0.1:{proxy.port}/0", timeout=SOON) as statistics:
        while not statistics().detail.startswith(f"{CONNECTIONS} of"):
            async with anyio.create_task_group() as busy:
                for number in range(CONNECTIONS):
                    busy.start_soon(data_io.write, f"other:{number}", 1)
        slow = proxy.slow_down()
        with anyio.move_on_after(0.05) as late:
            await data_io.write("probe", "cancelled")
        assert late.cancelled_caught
        found: list[Any] = []

        async def after() -> None:
            if then == "written":
                await data_io.write("probe", "later")
            elif then == "deleted":
                await data_io.delete("probe")
            found.append(await data_io.read("probe"))

        async with anyio.create_task_group() as waiting:
            waiting.start_soon(after)
            with anyio.move_on_after(0.1):  # time to overtake, if it could
                await anyio.sleep_forever()
            slow.set()
        assert found == [{"written": "later", "deleted": None, "read": "cancelled"}[then]]
        assert await data_io.read("probe") == found[0]

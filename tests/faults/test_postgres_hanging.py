"""A PostgreSQL that hangs or is slow: who waits for it is told in time, and nobody else notices."""

import gc
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import capabilities
from tests.faults.slow_proxy import slow_proxy
from tests.postgres_server import PostgresServer

from evox import ServiceBuilder, data_intent, data_io, inject
from evox.data.backends.postgres_connection import CANCEL
from evox.errors import BackendUnavailable
from evox.testing import running

plain = data_intent.define("hanging_value")
pytestmark = pytest.mark.timeout(60)
TIMEOUT = 0.5
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server of this module's own."""
    made = PostgresServer().start()
    yield made
    made.remove()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Let the server hang for a block; a watchdog lets it go on even if this process stands still."""
    each = f"[os.kill(one, {int(signal.SIGCONT)}) for one in {server.processes()}]"
    wakes = f"import os, time; time.sleep({PATIENCE}); {each}"
    with subprocess.Popen([sys.executable, "-c", wakes]) as watchdog:
        try:
            server.freeze()
            yield
        finally:
            server.thaw()
            watchdog.kill()


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Note the times at which a task beside the block gets its turn."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        yield ticks
        ticks.append(time.monotonic())
        group.cancel_scope.cancel()


def longest(ticks: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(ticks))


async def until_it_works() -> None:
    with anyio.fail_after(PATIENCE):
        while True:  # nobody tells when a server answers again
            try:
                await data_io.write(plain, "again", 1)
            except BackendUnavailable:
                await anyio.sleep(0.05)
            else:
                return


async def test_a_server_that_hangs_holds_up_only_who_waits_for_it(server: PostgresServer) -> None:
    # libpq's PQcancel was asked to end the statement: it waits for the server, and keeps the GIL meanwhile.
    settings = {"data": {"backend": server.url, "timeout": TIMEOUT, "connections": 3}}
    async with running(ServiceBuilder("shop"), settings=settings):
        await data_io.write(plain, "a", 1)
        took: list[float] = []

        async def ask() -> None:
            begun = time.monotonic()
            with pytest.raises(BackendUnavailable) as caught:
                await data_io.read(plain, "a")
            took.append(time.monotonic() - begun)
            assert "evox:evox@" not in str(caught.value)

        with frozen(server):
            async with ticking() as ticks, anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(ask)
        assert longest(ticks) < 1
        assert max(took) < TIMEOUT + CANCEL + 1
        await until_it_works()
        assert await data_io.read(plain, "a") == 1


async def test_a_transaction_on_a_server_that_hangs_can_be_left(server: PostgresServer) -> None:
    settings = {"data": {"database": server.url, "timeout": TIMEOUT}}
    async with running(ServiceBuilder("shop"), settings=settings):
        db = inject.db()
        await db.execute("CREATE TABLE IF NOT EXISTS stock (n INTEGER)")
        begun = time.monotonic()
        with frozen(server):
            async with ticking() as ticks:
                with anyio.move_on_after(TIMEOUT):
                    async with db.transaction():
                        await db.execute("INSERT INTO stock VALUES (1)")
                took = time.monotonic() - begun
        assert longest(ticks) < 1
        assert took < TIMEOUT + CANCEL + 1
        with anyio.fail_after(PATIENCE):
            assert await db.fetch_all("SELECT n FROM stock") == []


async def test_a_statement_that_is_cancelled_ends_on_the_server_too(server: PostgresServer) -> None:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
    with psycopg.connect(server.url, autocommit=True) as watching:

        async def until(number: int) -> None:
            while True:  # nobody tells what a server does
                if await anyio.to_thread.run_sync(lambda: watching.execute(asked).fetchone()) == (number,):
                    return
                await anyio.sleep(0.01)

        async with running(ServiceBuilder("shop"), settings={"data": {"database": server.url, "timeout": 5}}):
            db = inject.db()
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as group:
                    for _ in range(3):
                        group.start_soon(db.fetch_one, "SELECT pg_sleep(60)")
                    await until(3)
                    group.cancel_scope.cancel()
                await until(0)  # it has been told, and needs a moment to do it
            assert await db.fetch_one("SELECT 1 AS one") == {"one": 1}


async def test_D10_a_statement_that_is_cancelled_on_its_way_does_not_overtake_the_next(server: PostgresServer) -> None:
    """What broke: the server heard that it is to end before it had heard of it, and did it later than the next one."""
    async with slow_proxy(server.port) as proxy, anyio.create_task_group() as group:
        url = server.url.replace(f":{server.port}/", f":{proxy.port}/")
        async with running(ServiceBuilder("shop"), settings={"data": {"database": url, "timeout": 5}}):
            db = inject.db()
            await db.execute("CREATE TABLE IF NOT EXISTS late (n int)")
            await db.execute("DELETE FROM late")
            await db.execute("INSERT INTO late VALUES (0)")
            slow = proxy.slow_down()

            async def arrive() -> None:
                await anyio.sleep(0.3)  # the time in which the next one could be done
                slow.set()

            group.start_soon(arrive)
            with anyio.move_on_after(0.05) as scope:
                await db.execute("UPDATE late SET n = 1")
            assert scope.cancelled_caught
            await db.execute("UPDATE late SET n = 2")
            assert await db.fetch_one("SELECT n FROM late") == {"n": 2}
            await slow.wait()
            await anyio.sleep(0.2)  # time to be done late, if it could
            assert await db.fetch_one("SELECT n FROM late") == {"n": 2}


async def test_where_libpq_cannot_ask_without_blocking_the_connection_is_closed(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "has_cancel_safe", lambda: False)
    async with running(ServiceBuilder("shop"), settings={"data": {"database": server.url, "timeout": 5}}):
        db = inject.db()
        await db.execute("SELECT 1")
        with frozen(server):
            async with ticking() as ticks:
                with anyio.move_on_after(0.2):
                    await db.fetch_one("SELECT 2")
        assert longest(ticks) < 1
        assert await db.fetch_one("SELECT 1 AS one") == {"one": 1}

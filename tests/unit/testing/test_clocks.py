"""Virtual time: hours of a service's life pass in no time, and a program is run to its end."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

import evox.testing
from evox import ServiceBuilder, inject
from evox.runtime import State
from evox.testing import run_virtual, running

HOUR = 3600.0
QUICK = 10.0  # seconds of real time: a bound on liveness, not a measurement


@pytest.fixture
def anyio_backend() -> Any:
    return evox.testing.virtual_trio()


async def test_an_hour_passes_at_once() -> None:
    began, real = anyio.current_time(), time.monotonic()
    await anyio.sleep(HOUR)
    assert anyio.current_time() - began == pytest.approx(HOUR)
    assert time.monotonic() - real < QUICK


async def test_an_interval_task_keeps_its_interval_for_a_day() -> None:
    svc, times = ServiceBuilder("a"), list[float]()

    @svc.background_task(interval="1h")
    async def hourly() -> None:
        times.append(anyio.current_time())

    real = time.monotonic()
    async with running(svc):
        await anyio.sleep(24 * HOUR + 1)
    assert [round(after - before) for before, after in pairwise(times)] == [3600] * 24
    assert time.monotonic() - real < QUICK


async def test_clients_without_sockets_work_in_virtual_time() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/slow")
    async def slow() -> str:
        await anyio.sleep(HOUR)
        return "done"

    async with running(svc) as env:
        began = anyio.current_time()
        assert (await env.client(svc).get("/slow", timeout=None)).json() == "done"
        assert anyio.current_time() - began == pytest.approx(HOUR)


async def test_leaving_the_block_does_not_wait_for_a_restart_that_is_due_later() -> None:
    svc = ServiceBuilder("a").restart(backoff="30s")

    @svc.background_task(on_error="fail_service")
    async def fails() -> None:
        raise ValueError("the real error")

    async with running(svc, raise_errors=False) as env:
        await env.host(svc).lifecycle.wait_state(State.RESTARTING)
        began = anyio.current_time()
    assert anyio.current_time() - began < 1


async def test_leaving_the_block_takes_no_time_when_nothing_goes_on() -> None:
    svc = ServiceBuilder("a")

    @svc.background_task(interval="1h")
    async def hourly() -> None: ...

    @svc.background_task()
    async def consumer() -> None:
        await anyio.sleep_forever()

    async with running(svc):
        await anyio.sleep(1)
        began = anyio.current_time()
    assert anyio.current_time() - began == pytest.approx(0)


def test_run_virtual_gives_the_result() -> None:
    async def main() -> float:
        began = anyio.current_time()
        await anyio.sleep(24 * HOUR)
        return anyio.current_time() - began

    assert run_virtual(main) == pytest.approx(24 * HOUR)


def test_run_virtual_raises_what_its_function_raises() -> None:
    async def main() -> None:
        await anyio.sleep(HOUR)
        raise ValueError("the real error")

    with pytest.raises(ValueError, match="the real error"):
        run_virtual(main)


def test_run_virtual_runs_services() -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(lambda: "x")

    async def main() -> Any:
        async with running(svc) as env:
            await anyio.sleep(HOUR)
            reply = await env.client(svc).get("/health")
            return reply.json()["status"]

    assert run_virtual(main) == "pass"


def test_two_virtual_clocks_are_apart() -> None:
    async def main() -> float:
        await anyio.sleep(HOUR)
        return anyio.current_time()

    assert run_virtual(main) == run_virtual(main)


def test_a_statement_of_sqlite_takes_no_virtual_time(tmp_path: Path) -> None:
    """What broke: the clock jumped over the limits of hooks and endpoints while SQLite worked in its thread."""
    svc = ServiceBuilder("shop")

    @svc.on_startup
    async def make_table() -> None:
        await inject.db().execute("CREATE TABLE sold (product TEXT)")

    @svc.background_task(interval="1m")
    async def sell() -> None:
        await inject.db().execute("INSERT INTO sold VALUES ('lamp')")

    @svc.get("/sold", timeout="1s")
    async def sold() -> int:
        return len(await inject.db().fetch_all("SELECT * FROM sold"))

    async def main() -> int:
        settings = {"data": {"database": f"sqlite:///{tmp_path}/shop.db"}}
        async with running(svc, settings=settings) as env:
            await anyio.sleep(59 * 60 + 30)
            return int((await env.client(svc).get("/sold")).json())

    assert run_virtual(main) == 60

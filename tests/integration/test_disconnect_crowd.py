"""What clients that left leave behind: nothing, and a thread that goes on stays counted."""

import os
import threading

import anyio
import anyio.lowlevel
import pytest
from tests.integration.leaving import (
    SOON,
    WAYS,
    Caller,
    idle,
    passed,
    statistics,
    until,
)
from tests.lanes import running

from evox import (
    ServiceBuilder,
)

pytestmark = pytest.mark.usefixtures("http1")


async def test_V6_a_handler_in_a_thread_stays_counted_until_its_thread_returns() -> None:
    svc, entered, release, returned = ServiceBuilder("a"), threading.Event(), threading.Event(), threading.Event()

    @svc.get("/thread")
    def thread() -> str:
        entered.set()
        release.wait(SOON)
        returned.set()
        return "done"

    async with running(svc, sockets=True) as env:
        client = Caller(env.url("a"))
        client.ask("/thread")
        await until(entered.is_set)
        client.leave("fin")
        await passed(env)
        open_now = env.host("a").inflight.unanswered()
        release.set()
        after = await idle(env)
    assert open_now == ["GET /thread"]
    assert (returned.is_set(), after.left, after.requests) == (True, 1, 0)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_V6_a_thousand_clients_that_leave_leave_nothing_behind() -> None:
    svc, entered, ended = ServiceBuilder("a"), list[int](), list[int]()

    @svc.get("/wait/{number}")
    async def wait(number: int) -> None:
        entered.append(number)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    async with running(svc, sockets=True) as env:
        await passed(env)
        await until(lambda: env.port("a").statistics().connections == 0)
        tasks, files = len(anyio.get_running_tasks()), open_files()
        for batch in range(20):
            clients = [Caller(env.url("a")) for _ in range(50)]
            for number, client in enumerate(clients):
                client.ask(f"/wait/{number}")
            await until(lambda batch=batch: len(entered) == 50 * (batch + 1))  # type: ignore[misc]
            for number, client in enumerate(clients):
                client.leave(WAYS[number % 2])
        await until(lambda: len(anyio.get_running_tasks()) <= tasks and open_files() <= files, 2.0)
        after = statistics(env)
        assert (len(ended), after.left, after.requests, after.failed) == (1000, 1000, 0, 0)

"""A day on the virtual clock: interval tasks of three services run as often as they should, and nothing is left."""

import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.events import Event, TaskFinished, observe
from evox.testing import running, virtual_trio

DAY = 24 * 3600
TASKS = {"minutely": 60, "five-minutely": 300, "hourly": 3600}
JITTER = 60


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


def working(name: str, runs: Counter[str], *, takes: float = 0) -> ServiceBuilder:
    """Return a service with three interval tasks, the hourly one with jitter, each of which takes some seconds."""
    svc = ServiceBuilder(name)

    def declare(task: str, interval: int) -> None:
        @svc.background_task(interval=interval, name=task, jitter=JITTER if task == "hourly" else 0)
        async def work() -> None:
            await anyio.sleep(takes)
            runs[f"{name}/{task}"] += 1

    for task, interval in TASKS.items():
        declare(task, interval)

    @svc.get("/")
    async def read() -> dict[str, str]:
        return {"name": name}

    return svc


def expected(interval: int, *, takes: float = 0) -> int:
    """Runs that end within a day, when the last moment of the day is left out."""
    return int((DAY - 1 - takes) // (interval + takes)) + 1


NAMES = ["users", "items", "orders"]


async def a_day(runs: Counter[str], *, takes: float = 0) -> None:
    async with running(*(working(name, runs, takes=takes) for name in NAMES)) as env:
        await anyio.sleep(DAY - 1)
        for name in NAMES:
            statistics = env.service(name).statistics()
            assert [task.failures for task in statistics.background] == [0, 0, 0]
            assert {task.name: task.runs for task in statistics.background} == {
                task: runs[f"{name}/{task}"] for task in TASKS
            }


async def test_R6_in_24_virtual_hours_each_task_runs_as_often_as_its_interval_says() -> None:
    runs: Counter[str] = Counter()
    await a_day(runs)
    assert runs == {f"{name}/{task}": expected(interval) for name in NAMES for task, interval in TASKS.items()}
    assert expected(60) == 1440


async def test_R6_intervals_begin_at_the_end_of_a_run_all_day_long() -> None:
    runs: Counter[str] = Counter()
    await a_day(runs, takes=2)
    exact = {task: expected(interval, takes=2) for task, interval in TASKS.items() if task != "hourly"}
    assert {name: {task: runs[f"{name}/{task}"] for task in exact} for name in NAMES} == dict.fromkeys(NAMES, exact)


async def test_R6_jitter_stays_within_its_bounds_all_day_long() -> None:
    times: list[float] = []
    svc = ServiceBuilder("users")

    @svc.background_task(interval=3600, jitter=JITTER)
    async def hourly() -> None:
        times.append(anyio.current_time())

    async with running(svc):
        await anyio.sleep(DAY)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert all(3600 <= wait <= 3600 + JITTER for wait in waits)
    assert len(set(waits)) > 1


async def test_R6_requests_are_answered_all_day_long() -> None:
    runs: Counter[str] = Counter()
    async with running(*(working(name, runs) for name in NAMES)) as env:
        clients = [env.client(name) for name in NAMES]
        for _ in range(24):
            await anyio.sleep(3600)
            assert [(await client.get("/")).status_code for client in clients] == [200, 200, 200]


async def test_R6_observers_hear_of_every_run() -> None:
    runs: Counter[str] = Counter()
    heard: Counter[str] = Counter()

    def listen(event: Event) -> None:
        if isinstance(event, TaskFinished):
            heard[f"{event.service}/{event.task}"] += 1

    token = observe(listen)
    await a_day(runs)
    token.var.reset(token)
    assert heard == runs


async def test_R6_a_task_that_fails_every_hour_is_restarted_all_day_long() -> None:
    svc = ServiceBuilder("users")
    runs: list[float] = []

    @svc.background_task(interval=60)
    async def flaky() -> None:
        runs.append(anyio.current_time())
        if len(runs) % 60 == 0:
            raise ValueError("once an hour")

    async with running(svc, raise_errors=False) as env:
        await anyio.sleep(DAY - 1)
        (task,) = env.service(svc).statistics().background
    assert (task.state, task.failures) == ("waiting", len(runs) // 60)
    assert len(runs) >= 1440


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_R1_after_a_day_no_task_thread_or_descriptor_is_left() -> None:
    await a_day(Counter())
    tasks = {task.id for task in anyio.get_running_tasks()}
    descriptors, threads = open_descriptors(), threading.active_count()
    await a_day(Counter())
    assert {task.id for task in anyio.get_running_tasks()} == tasks
    assert (open_descriptors(), threading.active_count()) == (descriptors, threads)

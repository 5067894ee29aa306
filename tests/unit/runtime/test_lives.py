"""Lives of one service, on a virtual clock: each runs all its hooks, and a crash in any place is only one crash."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.runtime import State
from evox.testing import Env, running, virtual_trio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


def answering(name: str) -> ServiceBuilder:
    svc = ServiceBuilder(name)

    @svc.get("/")
    async def read() -> dict[str, str]:
        return {"name": name}

    return svc


def crashing(times: float, *, after: float = 1.0, **restart: Any) -> ServiceBuilder:
    """Return the service "users", which a task takes down some seconds after each of its first starts."""
    svc, starts = answering("users").restart(**({"max_restarts": 1000, "backoff": 0.5} | restart)), Counter[str]()

    @svc.background_task(on_error="fail_service")
    async def crash() -> None:
        starts["of the task"] += 1
        if starts["of the task"] > times:
            await anyio.sleep_forever()
        await anyio.sleep(after)
        raise ValueError("crash")

    return svc


async def status(env: Env, name: str) -> int:
    return (await env.client(name).get("/")).status_code


async def test_R2_crashes_that_lie_apart_never_make_a_service_given_up() -> None:
    users = crashing(20, after=61, max_restarts=1, backoff=1, window=60)
    async with running(users, raise_errors=False) as env:
        await anyio.sleep(20 * 65)
        assert env.host("users").lifecycle.state is State.READY
        assert env.host("users").lifecycle.statistics().starts == 21


async def test_R2_a_restart_whose_start_up_fails_is_one_crash_more_and_not_the_end() -> None:
    users, ups = crashing(1, backoff=1), Counter[str]()

    @users.on_startup
    async def connect() -> None:
        ups["tried"] += 1
        if ups["tried"] in (2, 3):
            raise ConnectionError("the database is away")

    async with running(users, answering("items"), raise_errors=False) as env:
        await anyio.sleep(60)
        assert (env.host("users").lifecycle.state, ups["tried"]) == (State.READY, 4)
        assert env.host("items").lifecycle.statistics().starts == 1


async def test_R2_each_life_runs_all_hooks_of_its_own_to_their_end() -> None:
    users, log = crashing(2, backoff=1), list[str]()
    users.on_startup(telling(log, "up"))
    users.on_shutdown(telling(log, "down"))
    async with running(users, raise_errors=False):
        await anyio.sleep(60)
    assert log == ["up", "down"] * 3


async def test_R2_each_life_leaves_its_lifespans_and_they_have_time_to_clean_up() -> None:
    users, log = crashing(2, backoff=1), list[str]()

    @users.lifespan
    async def pool() -> AsyncIterator[None]:
        await telling(log, "in")()
        try:
            yield
        finally:
            await telling(log, "out")()

    async with running(users, raise_errors=False):
        await anyio.sleep(60)
    assert log == ["in", "out"] * 3


def telling(log: list[str], text: str) -> Callable[[], Awaitable[None]]:
    async def hook() -> None:
        await anyio.sleep(0.1)
        log.append(text)

    return hook


async def test_R2_while_a_crashed_life_runs_its_hooks_no_request_reaches_it() -> None:
    """Even if it crashed at the very moment it was ready: what the hooks close must not be asked."""
    users, handled = crashing(1, after=0, backoff=1), Counter[str]()
    closing = anyio.Event()

    @users.on_shutdown
    async def close() -> None:
        closing.set()
        await anyio.sleep(5)

    async with running(users, raise_errors=False) as env:
        await closing.wait()
        handled[str(await status(env, "users"))] += 1
    assert handled == {"503": 1}


async def test_R2_a_crash_of_a_lifespans_own_task_takes_its_service_down_alone() -> None:
    users, lives = answering("users").restart(backoff=1), Counter[str]()

    async def crash() -> None:
        await anyio.sleep(3)
        raise ValueError("in a task of the user's own")

    @users.lifespan
    async def pool() -> AsyncIterator[None]:
        lives["began"] += 1
        async with anyio.create_task_group() as group:
            if lives["began"] == 1:
                group.start_soon(crash)
            yield

    async with running(users, answering("items"), raise_errors=False) as env:
        await anyio.sleep(30)
        assert (env.host("users").lifecycle.state, lives["began"]) == (State.READY, 2)
        assert env.host("items").lifecycle.statistics().starts == 1


async def test_R2_a_failing_job_ends_neither_its_service_nor_its_siblings() -> None:
    users = answering("users")

    async def fail() -> None:
        raise ValueError("in a job")

    async with running(users, answering("items"), raise_errors=False) as env:
        users.start_soon(fail)
        await anyio.sleep(5)
        assert [await status(env, name) for name in ("users", "items")] == [200, 200]
        assert env.service("users").statistics().jobs.failed == 1
        assert [env.host(name).lifecycle.statistics().starts for name in ("users", "items")] == [1, 1]

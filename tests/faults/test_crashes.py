"""Crashes of one service of three, in virtual time: it comes back or is given up, and its siblings notice nothing."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.events import Event, ServiceCrashed, observe
from evox.runtime import State
from evox.testing import Env, running, virtual_trio

SIBLINGS = ["items", "orders"]
EVERYONE = ["users", *SIBLINGS]


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


def answering(name: str) -> ServiceBuilder:
    svc = ServiceBuilder(name)

    @svc.get("/")
    async def read() -> dict[str, str]:
        return {"name": name}

    @svc.get("/slow")
    async def slow() -> dict[str, str]:
        await anyio.sleep(5)
        return {"name": name}

    return svc


def trio_of(users: ServiceBuilder) -> list[ServiceBuilder]:
    return [users, *(answering(name) for name in SIBLINGS)]


class Crashes:
    """What a background task does: fail some seconds after each of its first starts, then go on in peace."""

    def __init__(self, times: float, *, after: float = 1.0) -> None:
        self.times, self.after, self.starts = times, after, 0
        self.began: list[float] = []

    async def __call__(self) -> None:
        self.starts += 1
        self.began.append(anyio.current_time())
        if self.starts > self.times:
            await anyio.sleep_forever()
        await anyio.sleep(self.after)
        raise ValueError(f"crash {self.starts}")


def crashing(times: float, *, after: float = 1.0, **restart: Any) -> ServiceBuilder:
    """Return the service "users" whose failing task takes it down."""
    svc = answering("users").restart(**({"max_restarts": 1000, "backoff": 0.5} | restart))
    svc.background_task(on_error="fail_service", name="crash")(Crashes(times, after=after))
    return svc


class Load:
    """Asks services again and again, and counts the answers."""

    def __init__(self, env: Env, names: list[str], path: str = "/", *, every: float = 0.05) -> None:
        self.env, self.names, self.path, self.every = env, names, path, every
        self.answers: dict[str, Counter[int]] = {name: Counter() for name in names}
        self.retry_after: list[str | None] = []

    async def __call__(self) -> None:
        async with anyio.create_task_group() as group:
            for name in self.names:
                group.start_soon(self._ask, name)

    def assert_only(self, status: int) -> None:
        """Check that each service answered, and always with this."""
        assert [set(counter) for counter in self.answers.values()] == [{status}] * len(self.names)

    async def _ask(self, name: str) -> None:
        client = self.env.client(name)
        while True:
            response = await client.get(self.path)
            self.answers[name][response.status_code] += 1
            if response.status_code == 503:
                self.retry_after.append(response.headers.get("retry-after"))
            await anyio.sleep(self.every)


async def under_load(load: Load, until: Callable[[], Awaitable[object]]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(load)
        await until()
        group.cancel_scope.cancel()


async def status(env: Env, name: str, path: str = "/") -> int:
    return (await env.client(name).get(path)).status_code


async def health(env: Env, name: str) -> tuple[int, dict[str, Any]]:
    response = await env.client(name).get("/health", headers={"accept": "application/json"})
    return response.status_code, response.json()


async def test_R2_a_crash_in_a_background_task_restarts_it_alone_and_loses_no_request() -> None:
    users, work = answering("users"), Crashes(3)
    users.background_task(backoff=1, name="consume")(work)
    async with running(*trio_of(users), raise_errors=False) as env:
        load = Load(env, EVERYONE)
        await under_load(load, lambda: anyio.sleep(30))
        load.assert_only(200)
        assert env.host("users").lifecycle.statistics().starts == 1
        (task,) = env.service("users").statistics().background
    assert (task.state, task.failures, work.starts) == ("running", 3, 4)


async def test_R4_a_crashing_background_task_is_restarted_with_growing_waits() -> None:
    users, work = answering("users"), Crashes(3)
    users.background_task(backoff=1, name="consume")(work)
    async with running(users, raise_errors=False):
        await anyio.sleep(30)
    waits = [later - earlier - work.after for earlier, later in zip(work.began, work.began[1:], strict=False)]
    assert all(0.8 * full <= wait <= full for wait, full in zip(waits, [1, 2, 4], strict=True))


async def test_R4_a_background_task_that_fails_too_often_is_marked_failed_and_health_says_so() -> None:
    users = answering("users")
    users.background_task(max_restarts=2, backoff=1, name="consume")(Crashes(math.inf))
    async with running(*trio_of(users), raise_errors=False) as env:
        await anyio.sleep(60)
        code, body = await health(env, "users")
        assert (code, body["status"]) == (200, "warn")
        assert body["checks"] == {"background:consume": [{"status": "fail"}]}
        assert (await status(env, "users", "/health/ready"), await status(env, "users")) == (200, 200)
        assert [(await health(env, name))[1]["status"] for name in SIBLINGS] == ["pass", "pass"]
        assert env.service("users").statistics().background[0].last_error == "ValueError: crash 3"


async def test_R2_fail_service_takes_its_service_down_alone_and_it_comes_back() -> None:
    async with running(*trio_of(crashing(1, backoff=10)), raise_errors=False) as env:
        lifecycle = env.host("users").lifecycle
        assert await status(env, "users") == 200
        await lifecycle.wait_state(State.RESTARTING)
        down = await env.client("users").get("/")
        assert (down.status_code, down.headers["content-type"]) == (503, "application/problem+json")
        assert 8 <= int(down.headers["retry-after"]) <= 10
        assert [await status(env, name) for name in SIBLINGS] == [200, 200]
        assert (await status(env, "users", "/health"), await status(env, "users", "/health/live")) == (503, 200)
        await lifecycle.wait_state(State.READY)
        assert (await status(env, "users"), await status(env, "users", "/health")) == (200, 200)
        assert lifecycle.statistics().starts == 2


async def test_R2_requests_in_flight_of_a_service_that_goes_down_get_503_and_those_of_others_finish() -> None:
    answers: dict[str, int] = {}

    async with running(*trio_of(crashing(1, backoff=10)), raise_errors=False) as env:

        async def ask(name: str) -> None:
            response = await env.client(name).get("/slow")
            answers[name] = response.status_code
            if name == "users":
                assert response.headers["retry-after"]

        async with anyio.create_task_group() as group:
            for name in EVERYONE:
                group.start_soon(ask, name)
    assert answers == {"users": 503, "items": 200, "orders": 200}


async def test_R2_after_100_crashes_of_one_service_the_others_have_lost_no_request() -> None:
    users = crashing(100, after=0.1, max_restarts=1000, backoff=0.05, window=0.3)
    async with running(*trio_of(users), raise_errors=False) as env:
        load = Load(env, EVERYONE)
        lifecycle = env.host("users").lifecycle

        async def until_the_101st_start() -> None:
            while lifecycle.statistics().starts < 101:
                await lifecycle.wait_state(*(set(State) - {lifecycle.state}))
            await anyio.sleep(5)

        await under_load(load, until_the_101st_start)
        assert [set(load.answers[name]) for name in EVERYONE] == [{200, 503}, {200}, {200}]
        assert all(text is not None and int(text) >= 1 for text in load.retry_after)
        assert sum(load.answers["items"].values()) > 100
        assert [await status(env, name) for name in EVERYONE] == [200, 200, 200]


async def test_R2_crashes_of_the_service_are_told_to_observers_with_their_count_and_wait() -> None:
    seen: list[ServiceCrashed] = []

    def listen(event: Event) -> None:
        if isinstance(event, ServiceCrashed):
            seen.append(event)

    token = observe(listen)
    async with running(crashing(math.inf, max_restarts=1, backoff=1), raise_errors=False) as env:
        await env.host("users").wait_given_up()
    token.var.reset(token)
    assert [(event.service, event.restarts) for event in seen] == [("users", 1), ("users", 2)]
    assert [event.restart_in is None for event in seen] == [False, True]


async def test_R2_a_service_that_crashes_too_often_is_given_up_and_its_siblings_are_fine() -> None:
    users = crashing(math.inf, max_restarts=2, backoff=1, window=60)
    async with running(*trio_of(users), raise_errors=False) as env:
        load = Load(env, SIBLINGS)
        await under_load(load, env.host("users").wait_given_up)
        assert env.host("users").lifecycle.state is State.FAILED
        code, body = await health(env, "users")
        assert (code, body["status"], body["notes"]) == (503, "fail", ["state: FAILED"])
        assert await status(env, "users", "/health/live") == 503
        down = await env.client("users").get("/")
        assert (down.status_code, "retry-after" in down.headers) == (503, True)
        await anyio.sleep(3600)
        assert env.host("users").lifecycle.statistics().starts == 3
        assert [await status(env, name) for name in SIBLINGS] == [200, 200]
        load.assert_only(200)


async def test_R2_a_crash_while_requests_are_drained_cuts_no_request_of_a_sibling() -> None:
    users, answers = answering("users"), Counter[int]()

    @users.background_task(on_error="fail_service")
    async def crash() -> None:
        await users.wait_draining()
        raise ValueError("crash during the drain")

    items = answering("items")

    @items.get("/short")
    async def short() -> dict[str, str]:
        await anyio.sleep(0.5)
        return {}

    async def ask(env: Env) -> None:
        answers[(await env.client("items").get("/short")).status_code] += 1

    async with anyio.create_task_group() as clients, running(users, items, raise_errors=False) as env:
        clients.start_soon(ask, env)
        await anyio.wait_all_tasks_blocked()
    assert answers == {200: 1}

"""What goes wrong is seen at once with its reason, and that it is over too. Time is virtual, so all of it is exact."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallError
from evox.observe import Snapshot
from evox.testing import Env, run_virtual, running


class Weather:
    """What may go wrong."""

    def __init__(self) -> None:
        self.bad = False

    def blow(self, what: str) -> None:
        if self.bad:
            raise ConnectionError(what)


def shop(weather: Weather) -> tuple[ServiceBuilder, ServiceBuilder]:
    users = ServiceBuilder("users").concurrency(total=1, high=1, medium=1, low=1, queue={"low": 1}, max_wait="1s")
    orders = ServiceBuilder("orders")

    @users.get("/rates", cache="1ms", fallback="aggressive", max_stale="1h")
    async def rates() -> int:
        weather.blow("the rate server is gone")
        return 1

    @users.get("/slow", priority="low")
    async def slow() -> None:
        await anyio.sleep(0.5)

    @users.get("/broken")
    async def broken() -> None:
        weather.blow("it is broken")

    @users.background_task(interval="1s", on_error="log")
    async def tidy() -> None:
        weather.blow("the disk is full")

    @users.health_check("database")
    async def database() -> None:
        weather.blow("no database")

    @orders.get("/orders")
    async def get_orders() -> str:
        try:
            await proxy.users.broken()
        except CallError:
            return "no"
        return "yes"

    return users, orders


async def seen(env: Env) -> Snapshot:
    return Snapshot.model_validate((await env.client("users").get("/_evox/snapshot")).json())


def reasons(found: Snapshot, *, over: bool) -> dict[str, str]:
    return {one.kind: one.reason for one in found.incidents if (one.until is not None) is over}


async def cause(env: Env, kind: str) -> None:
    """Let something go wrong."""
    client = env.client("users")
    if kind == "queue":
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.get, "/slow")
    elif kind == "breaker":
        for _ in range(20):
            await env.client("orders").get("/orders")
    elif kind == "task":
        await anyio.sleep(1.1)
    else:
        await client.get({"source": "/rates", "endpoint": "/broken", "check": "/health/ready"}[kind])


REASONS = {
    "source": "old copies are served: ConnectionError: the rate server is gone",
    "queue": "the queue of level low is full: calls are turned away",
    "task": "ConnectionError: the disk is full",
    "endpoint": "ConnectionError: it is broken",
    "check": "ConnectionError: no database",
    "breaker": "calls to it are stopped: 10 of the last 10 calls failed",
}


@pytest.mark.parametrize("kind", REASONS)
def test_what_goes_wrong_is_seen_with_its_reason_and_then_that_it_is_over(kind: str) -> None:
    async def main() -> None:
        weather = Weather()
        users, orders = shop(weather)
        async with running(users, orders, raise_errors=False) as env:
            assert (await env.client("users").get("/rates")).status_code == 200
            await anyio.sleep(0.1)
            assert (await seen(env)).findings == []

            weather.bad = True
            await cause(env, kind)
            found = await seen(env)
            assert reasons(found, over=False)[kind] == REASONS[kind]
            assert [one for one in found.findings if one.why.startswith(REASONS[kind])]
            assert found.level in ("warn", "fail")

            weather.bad = False
            await anyio.sleep(31)  # a source that has failed is left alone for 30 s
            await cause(env, "task" if kind == "queue" else kind)
            found = await seen(env)
            assert reasons(found, over=False) == {}
            assert reasons(found, over=True)[kind] == REASONS[kind]
            assert (found.findings, found.level) == ([], "pass")

    run_virtual(main)


async def test_a_service_that_crashes_is_red_until_it_is_back() -> None:
    fragile, crash, start = ServiceBuilder("fragile").restart(backoff="10ms"), anyio.Event(), []

    @fragile.background_task(on_error="fail_service")
    async def fall() -> None:
        start.append(1)
        if len(start) == 1:
            await crash.wait()
            raise RuntimeError("it fell")
        await anyio.sleep_forever()

    async with running(fragile, raise_errors=False) as env:
        crash.set()
        await env.host("fragile").lifecycle.wait_state("RESTARTING")  # type: ignore[arg-type]
        reply = await env.client("fragile").get("/_evox/snapshot")  # seen while it is down
        found = Snapshot.model_validate(reply.json())
        assert (found.level, reasons(found, over=False)["crash"]) == ("fail", "RuntimeError: it fell")
        await env.host("fragile").lifecycle.wait_state("READY")  # type: ignore[arg-type]
        found = Snapshot.model_validate((await env.client("fragile").get("/_evox/snapshot")).json())
        assert (found.level, reasons(found, over=True)["crash"]) == ("pass", "RuntimeError: it fell")
        assert found.services[0].starts == 2


async def test_O1_a_drain_is_seen_at_once() -> None:
    plain = ServiceBuilder("plain")
    async with running(plain) as env:
        env.host(plain).drain()
        client = env.client(plain)
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
        found = Snapshot.model_validate((await client.get("/_evox/snapshot")).json())
        assert [(one.level, one.what) for one in found.findings] == [("warn", "it is draining")]


@pytest.mark.parametrize("count", [10_000])
async def test_ten_thousand_error_texts_are_bounded(count: int, make_error: Callable[[int], Exception]) -> None:
    many = ServiceBuilder("many")
    async with running(many, raise_errors=False) as env:
        from evox import events

        for number in range(count):
            events.notify(events.CallFailed("many", f"order_{number}", make_error(number)))
        found: Any = (await env.client(many).get("/_evox/errors")).json()
        assert len(found["incidents"]) == 200
        assert len((await env.client(many).get("/_evox/snapshot")).content) < 300_000


@pytest.fixture
def make_error() -> Callable[[int], Exception]:
    return lambda number: ValueError(f"order {number} " + "x" * number)


@pytest.mark.parametrize("kind", ["source", "check", "breaker"])
def test_what_nobody_asks_any_more_is_not_said_to_fail_for_ever(kind: str) -> None:
    async def main() -> None:
        weather = Weather()
        users, orders = shop(weather)
        async with running(users, orders, raise_errors=False) as env:
            await env.client("users").get("/rates")
            await anyio.sleep(0.1)
            weather.bad = True
            await cause(env, kind)
            weather.bad = False
            await anyio.sleep(200)
            assert kind in reasons(await seen(env), over=False)
            await anyio.sleep(101)
            found = await seen(env)
            assert kind in reasons(found, over=True)
            assert (found.findings, found.level) == ([], "pass")
            assert all(one.ready for one in found.services)

    run_virtual(main)


def test_a_service_that_was_restarted_has_no_failures_of_its_life_before() -> None:
    async def main() -> None:
        weather = Weather()
        users, orders = shop(weather)
        fall, lives = anyio.Event(), []

        @users.background_task(on_error="fail_service")
        async def live() -> None:
            lives.append(1)
            if len(lives) == 1:
                await fall.wait()
                raise RuntimeError("it fell")
            await anyio.sleep_forever()

        async with running(users, orders, raise_errors=False) as env:
            await env.client("users").get("/rates")
            await anyio.sleep(0.1)
            weather.bad = True
            for kind in ("source", "check"):
                await cause(env, kind)
            assert {"source", "check"} <= reasons(await seen(env), over=False).keys()
            weather.bad = False
            fall.set()
            await env.host("users").lifecycle.wait_state("RESTARTING")  # type: ignore[arg-type]
            await env.host("users").lifecycle.wait_state("READY")  # type: ignore[arg-type]
            assert reasons(await seen(env), over=False) == {}

    run_virtual(main)

"""Stopping, on a virtual clock: hooks are given their time and no more, however it came to the end."""

import math
import signal
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.runtime import State
from evox.testing import running, virtual_trio

FAST = {"runtime": {"shutdown_timeout": "10s"}}


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


async def stop(*services: Any, during: Callable[[Any], Any] | None = None, **options: Any) -> float:
    """Run services, do something, and return how many seconds it then takes to end them."""
    async with running(*services, settings=FAST, **options) as env:
        if during is not None:
            await during(env)
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
    return round(anyio.current_time() - began, 3)


async def test_R3_a_service_without_work_ends_at_once() -> None:
    assert await stop(ServiceBuilder("users")) == 0


@pytest.mark.parametrize("takes", [3.0, 9.0])
async def test_R3_a_shutdown_hook_has_its_time(takes: float) -> None:
    svc = ServiceBuilder("users")
    done: list[str] = []

    @svc.on_shutdown
    async def close() -> None:
        await anyio.sleep(takes)
        done.append("closed")

    assert await stop(svc) == takes
    assert done == ["closed"]


async def test_R3_a_shutdown_hook_that_hangs_is_cut_at_the_limit() -> None:
    svc = ServiceBuilder("users")
    svc.on_shutdown(anyio.sleep_forever)
    assert await stop(svc) == 10


async def test_R3_a_shutdown_hook_that_hangs_costs_no_other_service_its_own_time() -> None:
    done: list[str] = []
    bad, good = ServiceBuilder("bad"), ServiceBuilder("good")
    bad.on_shutdown(anyio.sleep_forever)

    @good.on_shutdown
    async def close() -> None:
        await anyio.sleep(9)
        done.append("closed")

    assert await stop(good, bad) == 19
    assert done == ["closed"]


async def test_R3_an_error_of_the_block_ends_all_in_order_and_comes_out_as_it_is() -> None:
    order: list[str] = []
    a, b = ServiceBuilder("a"), ServiceBuilder("b")

    async def slowly(text: str) -> None:
        await anyio.sleep(3)
        order.append(text)

    @a.on_shutdown
    async def close_a() -> None:
        await slowly("a")

    @b.on_shutdown
    async def close_b() -> None:
        await slowly("b")

    with pytest.raises(LookupError, match="of the block"):
        async with running(a, b):
            raise LookupError("of the block")
    assert order == ["b", "a"]


async def test_R3_when_the_block_is_cancelled_hooks_still_run_to_their_end() -> None:
    svc = ServiceBuilder("users")
    done: list[str] = []

    @svc.on_shutdown
    async def close() -> None:
        await anyio.sleep(3)
        done.append("closed")

    with anyio.move_on_after(5) as scope:
        async with running(svc):
            await anyio.sleep_forever()
    assert (scope.cancelled_caught, done) == (True, ["closed"])


async def test_R3_a_service_that_waits_for_its_restart_is_not_waited_for() -> None:
    svc = ServiceBuilder("users").restart(backoff="25s", max_restarts=9)

    @svc.background_task(on_error="fail_service", start_after=1)
    async def crash() -> None:
        raise ValueError("crash")

    async def crashed(env: Any) -> None:
        await env.host(svc).lifecycle.wait_state(State.RESTARTING)

    assert await stop(svc, during=crashed, raise_errors=False) == 0


async def test_R3_a_service_that_was_given_up_is_not_waited_for() -> None:
    svc = ServiceBuilder("users").restart(max_restarts=0)

    @svc.background_task(on_error="fail_service", start_after=1)
    async def crash() -> None:
        raise ValueError("crash")

    async def given_up(env: Any) -> None:
        await env.host(svc).wait_given_up()

    assert await stop(svc, during=given_up, raise_errors=False) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_R5_embedding_installs_no_signal_handlers(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    async with running(ServiceBuilder("users")):
        assert signal.getsignal(number) is before
    assert signal.getsignal(number) is before


async def test_R3_the_whole_is_bounded_when_everything_hangs() -> None:
    svc = ServiceBuilder("users")
    svc.on_shutdown(anyio.sleep_forever)

    @svc.background_task(grace=math.nextafter(1e9, 0))
    async def stubborn() -> None:
        await anyio.sleep_forever()

    async def start(env: Any) -> None:
        svc.start_soon(anyio.sleep_forever)

    assert await stop(svc, during=start) <= 30

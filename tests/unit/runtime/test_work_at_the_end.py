"""Work at the end of a service, on a virtual clock: tasks have their grace, jobs are waited for, then hooks run."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.errors import OutsideRuntime
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


async def test_R4_an_interval_task_is_not_waited_for_between_its_runs() -> None:
    svc = ServiceBuilder("users")

    @svc.background_task(interval="1h")
    async def sweep() -> None: ...

    assert await stop(svc) == 0


async def test_R4_a_run_that_is_under_way_may_finish_within_its_grace() -> None:
    svc = ServiceBuilder("users")
    done: list[str] = []

    @svc.background_task(interval="1h")
    async def sweep() -> None:
        await anyio.sleep(4)
        done.append("swept")

    assert await stop(svc) == 4
    assert done == ["swept"]


async def test_R4_a_run_that_goes_on_past_its_grace_is_cancelled_before_the_hooks_run() -> None:
    svc = ServiceBuilder("users")
    order: list[str] = []

    @svc.background_task(interval="1h", grace=7)
    async def sweep() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            order.append("cancelled")

    svc.on_shutdown(track(order, "hook"))
    assert await stop(svc) == 7
    assert order == ["cancelled", "hook"]


def track(log: list[str], text: str) -> Callable[[], Any]:
    async def hook() -> None:
        log.append(text)

    return hook


async def test_R4_a_consumer_is_cancelled_at_once() -> None:
    svc = ServiceBuilder("users")
    svc.background_task(anyio.sleep_forever)
    assert await stop(svc) == 0


async def test_a_consumer_with_grace_can_end_by_itself_when_told_to() -> None:
    svc = ServiceBuilder("users")
    done: list[str] = []

    @svc.background_task(grace=8)
    async def consume() -> None:
        await svc.wait_draining()
        await anyio.sleep(2)
        done.append("flushed")

    assert await stop(svc) == 2
    assert done == ["flushed"]


async def test_a_job_is_waited_for_before_the_hooks_run() -> None:
    svc = ServiceBuilder("users")
    order: list[str] = []

    async def mail() -> None:
        await anyio.sleep(6)
        order.append("mailed")

    svc.on_shutdown(track(order, "hook"))

    async def start(env: Any) -> None:
        svc.start_soon(mail)

    assert await stop(svc, during=start) == 6
    assert order == ["mailed", "hook"]


async def test_a_job_that_does_not_end_is_cut_and_the_hooks_still_have_their_time() -> None:
    svc = ServiceBuilder("users")
    order: list[str] = []

    @svc.on_shutdown
    async def close() -> None:
        await anyio.sleep(9)
        order.append("closed")

    async def start(env: Any) -> None:
        svc.start_soon(anyio.sleep_forever)

    assert await stop(svc, during=start) == 19
    assert order == ["closed"]


async def test_a_shutdown_hook_can_start_a_job_and_it_is_waited_for() -> None:
    svc = ServiceBuilder("users")
    order: list[str] = []

    async def last_words() -> None:
        await anyio.sleep(3)
        order.append("said")

    @svc.on_shutdown
    async def close() -> None:
        svc.start_soon(last_words)

    assert await stop(svc) == 3
    assert order == ["said"]


async def test_a_job_after_the_end_is_refused() -> None:
    svc = ServiceBuilder("users")
    async with running(svc):
        pass
    with pytest.raises(OutsideRuntime):
        svc.start_soon(anyio.sleep_forever)

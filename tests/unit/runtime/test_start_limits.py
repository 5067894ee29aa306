"""Limits of the start, on a virtual clock: a hook that hangs is seen, and what had started is undone in good time."""

import functools
import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.errors import StartupFailed, StartupTimeout
from evox.runtime import State
from evox.testing import running, virtual_trio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


async def started(*services: Any, **options: Any) -> None:
    async with running(*services, **options):
        pass


@pytest.mark.parametrize(
    ("settings", "own", "limit"),
    [({}, None, 30.0), ({"runtime": {"start_timeout": "7s"}}, None, 7.0), ({}, "5s", 5.0)],
)
async def test_R3_a_start_that_hangs_ends_at_its_limit(settings: dict[str, Any], own: str | None, limit: float) -> None:
    svc = ServiceBuilder("users")
    svc.on_startup(anyio.sleep_forever)
    if own is not None:
        svc.start_timeout(own)
    began = anyio.current_time()
    with pytest.raises(StartupTimeout, match="sleep_forever"):
        await started(svc, settings=settings)
    assert anyio.current_time() - began == pytest.approx(limit)


async def test_R3_the_limit_is_for_each_service_and_not_for_all_together() -> None:
    services = [ServiceBuilder(f"svc-{n}") for n in range(4)]
    for svc in services:
        svc.on_startup(functools.partial(anyio.sleep, 20))
    async with running(*services) as env:
        assert [env.host(svc).lifecycle.state for svc in services] == [State.READY] * 4


def half_started(log: list[str], second: Callable[[], Any], *, takes: float = 2.0) -> ServiceBuilder:
    """Return a service whose first start-up hook succeeds; the shutdown hook that belongs to it takes its time."""
    svc = ServiceBuilder("users")

    @svc.on_startup
    async def first() -> None: ...

    @svc.on_shutdown
    async def undo() -> None:
        await anyio.sleep(takes)
        log.append("undone")

    svc.on_startup(second)
    return svc


async def test_R3_what_did_start_is_shut_down_after_a_start_that_hung() -> None:
    log: list[str] = []
    with pytest.raises(StartupTimeout):
        await started(half_started(log, anyio.sleep_forever))
    assert log == ["undone"]


async def test_R3_what_did_start_has_the_whole_time_for_shutdown_after_a_start_that_failed_late() -> None:
    log: list[str] = []

    async def late() -> None:
        await anyio.sleep(29)
        raise ValueError("the real error")

    with pytest.raises(StartupFailed):
        await started(half_started(log, late))
    assert log == ["undone"]


async def test_R3_a_shutdown_hook_that_hangs_after_a_failed_start_hides_neither_the_error_nor_the_end() -> None:
    async def second() -> None:
        raise ValueError("the real error")

    began = anyio.current_time()
    with pytest.raises(StartupFailed):
        await started(half_started([], second, takes=math.inf))
    assert anyio.current_time() - began <= 30

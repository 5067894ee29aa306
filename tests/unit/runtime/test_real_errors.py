"""In tests, whatever fails ends the test at once with its own error; nothing has to be dug out of groups or logs."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.errors import StartupFailed
from evox.runtime import State
from evox.testing import running, virtual_trio

virtual = pytest.mark.parametrize("anyio_backend", [pytest.param(virtual_trio, id="virtual")], indirect=True)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both loops, unless a test asks for virtual time."""
    return request.param() if callable(request.param) else request.param


class RealError(Exception):
    """What a user's code raises."""


async def fail() -> None:
    await anyio.lowlevel.checkpoint()
    raise RealError


def interval_task(svc: ServiceBuilder) -> None:
    svc.background_task(interval="1h")(fail)


def consumer(svc: ServiceBuilder) -> None:
    svc.background_task(fail)


def task_of_a_lenient_policy(svc: ServiceBuilder) -> None:
    svc.background_task(interval="1h", on_error="log")(fail)


def task_that_fails_its_service(svc: ServiceBuilder) -> None:
    svc.background_task(on_error="fail_service")(fail)


def sync_task(svc: ServiceBuilder) -> None:
    @svc.background_task
    def work() -> None:
        raise RealError


def job(svc: ServiceBuilder) -> None:
    @svc.on_startup
    async def start() -> None:
        svc.start_soon(fail)


def lifespan_task(svc: ServiceBuilder) -> None:
    @svc.lifespan
    async def pool() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            yield


FAILURES: list[Callable[[ServiceBuilder], None]] = [
    interval_task,
    consumer,
    task_of_a_lenient_policy,
    task_that_fails_its_service,
    sync_task,
    job,
    lifespan_task,
]
every_failure = pytest.mark.parametrize("declare", FAILURES, ids=lambda declare: declare.__name__)


@every_failure
async def test_R2_the_real_error_ends_the_block(declare: Callable[[ServiceBuilder], None]) -> None:
    svc = ServiceBuilder("users")
    declare(svc)
    with anyio.fail_after(5), pytest.raises(RealError) as caught:
        async with running(svc, ServiceBuilder("items")):
            await anyio.sleep_forever()
    assert type(caught.value) is RealError


@virtual
@pytest.mark.parametrize("declare", [one for one in FAILURES if one is not sync_task], ids=lambda one: one.__name__)
async def test_R2_the_real_error_ends_the_block_at_once(declare: Callable[[ServiceBuilder], None]) -> None:
    svc = ServiceBuilder("users")
    declare(svc)
    began = anyio.current_time()
    with pytest.raises(RealError):
        async with running(svc, ServiceBuilder("items")):
            await anyio.sleep_forever()
    assert anyio.current_time() - began < 1


@every_failure
async def test_R2_hooks_of_all_services_run_all_the_same(declare: Callable[[ServiceBuilder], None]) -> None:
    log: list[str] = []
    svc, other = ServiceBuilder("users"), ServiceBuilder("items")
    svc.on_shutdown(lambda: log.append("users"))
    other.on_shutdown(lambda: log.append("items"))
    declare(svc)
    with anyio.fail_after(5), pytest.raises(RealError):
        async with running(svc, other):
            await anyio.sleep_forever()
    assert sorted(log) == ["items", "users"]


async def test_R2_an_error_while_the_block_waits_for_an_answer_ends_it_too() -> None:
    svc = ServiceBuilder("users")
    asked = anyio.Event()

    @svc.get("/")
    async def slow() -> None:
        asked.set()
        await anyio.sleep_forever()

    @svc.background_task
    async def consume() -> None:
        await asked.wait()
        raise RealError

    with anyio.fail_after(5), pytest.raises(RealError):
        async with running(svc) as env:
            await env.client("users").get("/")


async def test_R2_two_errors_at_once_are_both_in_the_group() -> None:
    svc = ServiceBuilder("users")
    gate = anyio.Event()

    async def one(error: Exception) -> None:
        await gate.wait()
        raise error

    async def block() -> None:
        async with running(svc):
            svc.start_soon(one, RealError())
            svc.start_soon(one, LookupError())
            await anyio.wait_all_tasks_blocked()
            gate.set()
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert caught.group_contains(RealError)
    assert caught.group_contains(LookupError)


async def test_R2_an_error_at_start_up_names_the_hook_and_has_the_real_one_as_its_cause() -> None:
    svc = ServiceBuilder("users")
    svc.on_startup(fail)
    with pytest.raises(StartupFailed, match="startup hook 'fail'") as caught:
        async with running(svc):
            raise AssertionError("it did not start")
    assert isinstance(caught.value.__cause__, RealError)


async def test_R2_an_unhandled_error_of_a_request_is_a_500_or_the_real_error_for_a_client_that_asks_for_it() -> None:
    svc = ServiceBuilder("users")
    svc.get("/")(fail)
    async with running(svc) as env:
        assert (await env.client(svc).get("/")).status_code == 500
        with pytest.raises(RealError):
            await env.client(svc, raise_errors=True).get("/")
        assert env.host(svc).lifecycle.state is State.READY

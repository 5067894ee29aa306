"""Background tasks from outside: statistics at each moment, threads for sync functions, and what can be called."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from evox.runtime import BackgroundTask, RestartPolicy, Runner, call
from evox.testing import virtual_trio

virtual = pytest.mark.parametrize("anyio_backend", [pytest.param(virtual_trio, id="virtual")], indirect=True)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both loops, unless a test asks for virtual time."""
    return request.param() if callable(request.param) else request.param


class Wall:
    """A wall clock that goes with the loop's, from 1000 on."""

    def __init__(self) -> None:
        self.zero = anyio.current_time()

    def __call__(self) -> float:
        return round(1000 + anyio.current_time() - self.zero, 6)


async def at_each(moments: list[float], one: Runner) -> list[Any]:
    """Return the statistics at some seconds after the start, then stop."""
    seen = []
    async with anyio.create_task_group() as group:
        group.start_soon(one.run)
        now = 0.0
        for moment in moments:
            await anyio.sleep(moment - now)
            now = moment
            seen.append(one.statistics())
        one.cancel()
    return [*seen, one.statistics()]


@virtual
async def test_R4_statistics_tell_state_last_run_last_error_and_next_run() -> None:
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)
        await anyio.sleep(4)
        if len(runs) == 2:
            raise ValueError("no")

    task = BackgroundTask("sweep", work, interval=10.0, start_after=2.0, restart=RestartPolicy(backoff=3.0, jitter=0.0))
    one = Runner(task, "users", threads=anyio.CapacityLimiter(1), wall=Wall())
    waiting, running, between, failed, end = await at_each([1, 3, 7, 21], one)
    assert (waiting.state, waiting.runs, waiting.last_run, waiting.next_run) == ("waiting", 0, None, 1002.0)
    assert (running.state, running.runs, running.last_run, running.next_run) == ("running", 0, 1002.0, None)
    assert (between.state, between.runs, between.last_duration, between.next_run) == ("waiting", 1, 4.0, 1016.0)
    assert (failed.state, failed.runs, failed.failures, failed.next_run) == ("backing off", 2, 1, 1023.0)
    assert (failed.last_run, failed.last_error) == (1016.0, "ValueError: no")
    assert (end.state, end.next_run, end.name, end.interval) == ("stopped", None, "sweep", 10.0)


@virtual
async def test_its_repr_tells_service_task_state_and_counts() -> None:
    async def work() -> None: ...

    one = Runner(BackgroundTask("sweep", work), "users", threads=anyio.CapacityLimiter(1))
    await one.run()
    assert repr(one) == "<Runner users/sweep finished, 1 runs, 0 failures>"


async def test_R4_a_sync_function_runs_in_a_thread_under_the_services_own_limiter() -> None:
    threads = anyio.CapacityLimiter(1)
    seen: list[tuple[bool, int]] = []

    def work() -> None:
        seen.append((threading.current_thread() is threading.main_thread(), int(threads.borrowed_tokens)))

    await Runner(BackgroundTask("sweep", work), "users", threads=threads).run()
    assert seen == [(False, 1)]
    assert threads.borrowed_tokens == 0


async def test_R4_sync_functions_do_not_wait_for_threads_of_others() -> None:
    """Handlers fill the loop's default limiter; a service's tasks have their own."""
    default = anyio.to_thread.current_default_thread_limiter()
    others = [object() for _ in range(int(default.total_tokens))]
    for other in others:
        default.acquire_on_behalf_of_nowait(other)
    try:
        with anyio.fail_after(5):
            await Runner(BackgroundTask("sweep", lambda: None), "users", threads=anyio.CapacityLimiter(1)).run()
    finally:
        for other in others:
            default.release_on_behalf_of(other)


async def test_R4_a_sync_function_is_never_run_twice_at_once() -> None:
    at_once: list[int] = []
    most: list[int] = []
    enough = anyio.Event()

    def work() -> None:
        at_once.append(1)
        most.append(len(at_once))
        if len(most) == 5:
            anyio.from_thread.run_sync(enough.set)
        at_once.pop()

    one = Runner(BackgroundTask("sweep", work, interval=0.001, grace=5.0), "users", threads=anyio.CapacityLimiter(9))
    async with anyio.create_task_group() as group:
        group.start_soon(one.run)
        with anyio.fail_after(10):
            await enough.wait()
        one.stop()
    assert set(most) == {1}


async def test_the_error_of_a_sync_function_is_answered_like_any_other() -> None:
    def work() -> None:
        raise ValueError("in a thread")

    one = Runner(BackgroundTask("sweep", work, on_error="log"), "users", threads=anyio.CapacityLimiter(1))
    await one.run()
    assert (one.failed, one.statistics().last_error) == (True, "ValueError: in a thread")


async def add(a: int, b: int) -> int:
    await anyio.lowlevel.checkpoint()
    return a + b


class Adder:
    async def __call__(self, a: int, b: int) -> int:
        return await add(a, b)

    def sync(self, a: int, b: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return a + b

    async def method(self, a: int, b: int) -> int:
        return await add(a, b)


def undeclared(a: int, b: int) -> Any:
    return add(a, b)


@functools.wraps(add)
def wrapped(*args: int) -> Any:
    return add(*args)


FORMS: dict[str, Callable[..., Any]] = {
    "coroutine function": add,
    "partial of one": functools.partial(add),
    "object with async call": Adder(),
    "async method": Adder().method,
    "sync method": Adder().sync,
    "sync function giving an awaitable": undeclared,
    "sync wrapper of a coroutine function": wrapped,
}


@pytest.mark.parametrize("form", FORMS)
async def test_whatever_can_be_called_is_called(form: str) -> None:
    assert await call(FORMS[form], 1, 2, threads=anyio.CapacityLimiter(1)) == 3


async def test_an_abandoned_thread_does_not_hold_up_cancellation() -> None:
    release, ended = threading.Event(), threading.Event()
    began = anyio.Event()

    def work() -> None:
        anyio.from_thread.run_sync(began.set)
        release.wait(10)
        ended.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: call(work, threads=anyio.CapacityLimiter(1), abandon=True))
            await began.wait()
            group.cancel_scope.cancel()
        assert not ended.is_set()
        release.set()
        assert await anyio.to_thread.run_sync(ended.wait, 5)

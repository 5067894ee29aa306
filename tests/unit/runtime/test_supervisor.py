"""Supervisor: failures are answered with backoff and jitter, never in a hot loop, and cancellation passes through."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox.runtime import Intensity, RestartPolicy, supervise
from evox.testing import virtual_trio

both_loops = pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
PLAIN = RestartPolicy(max_restarts=5, window=60.0, backoff=0.5, max_backoff=30.0, jitter=0.0)


@pytest.fixture
def anyio_backend() -> Any:
    """Virtual time, unless a test asks for both loops."""
    return virtual_trio()


class Failing:
    """Fails so many times, each after some seconds, then returns."""

    def __init__(self, times: int, *, after: float = 0.0) -> None:
        self.times, self.after = times, after
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(anyio.current_time())
        await anyio.sleep(self.after)
        if len(self.starts) <= self.times:
            raise ValueError(f"failure {len(self.starts)}")

    def waits(self) -> list[float]:
        """Seconds from the end of each run to the start of the next."""
        return [round(b - a - self.after, 6) for a, b in zip(self.starts, self.starts[1:], strict=False)]


class Told:
    """Takes note of failures."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, float | None]] = []

    def __call__(self, error: Exception, failures: int, delay: float | None) -> None:
        self.calls.append((str(error), failures, delay))


def test_R2_the_wait_doubles_with_each_failure_up_to_its_maximum() -> None:
    waits = [PLAIN.delay(n, rand=lambda: 0.0) for n in range(1, 9)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(("rand", "expected"), [(0.0, 4.0), (0.5, 3.6), (1.0, 3.2)])
def test_R2_jitter_takes_a_random_part_off_the_wait(rand: float, expected: float) -> None:
    assert RestartPolicy(backoff=1.0, jitter=0.2).delay(3, rand=lambda: rand) == pytest.approx(expected)


def test_R2_waits_are_random_by_themselves() -> None:
    policy = RestartPolicy(backoff=1.0, jitter=0.2)
    waits = {policy.delay(1) for _ in range(50)}
    assert len(waits) > 1
    assert all(0.8 <= wait <= 1.0 for wait in waits)


@pytest.mark.parametrize("failures", [10**3, 10**9])
def test_the_wait_stays_at_its_maximum_however_many_failures(failures: int) -> None:
    assert PLAIN.delay(failures) == 30.0


def test_R2_intensity_is_exceeded_by_one_failure_more_than_tolerated() -> None:
    intensity = Intensity(RestartPolicy(max_restarts=2, window=60))
    counts = [(intensity.record(float(now)), intensity.exceeded()) for now in range(3)]
    assert counts == [(1, False), (2, False), (3, True)]


def test_R2_failures_older_than_the_window_do_not_count() -> None:
    intensity = Intensity(RestartPolicy(max_restarts=1, window=10))
    assert [intensity.record(now) for now in (0.0, 9.9, 10.0, 19.8, 30.0)] == [1, 2, 2, 3, 1]
    assert not intensity.exceeded()


def test_max_restarts_0_tolerates_no_failure() -> None:
    intensity = Intensity(RestartPolicy(max_restarts=0))
    intensity.record(0.0)
    assert intensity.exceeded()


async def test_what_returns_is_not_run_again() -> None:
    run, told = Failing(0), Told()
    assert await supervise(run, PLAIN, on_failure=told)
    assert (len(run.starts), told.calls) == (1, [])


async def test_R2_what_fails_is_run_again_after_the_waits_of_its_policy() -> None:
    run, told = Failing(3, after=1.0), Told()
    assert await supervise(run, PLAIN, on_failure=told)
    assert run.waits() == [0.5, 1.0, 2.0]
    assert told.calls == [("failure 1", 1, 0.5), ("failure 2", 2, 1.0), ("failure 3", 3, 2.0)]


async def test_R2_what_fails_too_often_is_given_up_and_the_last_failure_says_so() -> None:
    run, told = Failing(100), Told()
    assert not await supervise(run, PLAIN, on_failure=told)
    assert len(run.starts) == 6
    assert [delay for _, _, delay in told.calls] == [0.5, 1.0, 2.0, 4.0, 8.0, None]


async def test_R2_failures_that_lie_far_apart_are_never_too_many() -> None:
    run, told = Failing(100, after=61.0), Told()
    assert await supervise(run, RestartPolicy(max_restarts=1, window=60, jitter=0), on_failure=told)
    assert len(run.starts) == 101
    assert {(failures, delay) for _, failures, delay in told.calls} == {(1, 0.5)}


async def test_the_observer_of_failures_can_end_the_supervision_with_an_error_of_its_own() -> None:
    run = Failing(100)

    def refuse(error: Exception, failures: int, delay: float | None) -> None:
        raise error

    with pytest.raises(ValueError, match="failure 1"):
        await supervise(run, PLAIN, on_failure=refuse)
    assert len(run.starts) == 1


async def test_R2_a_group_of_errors_is_a_failure_like_any_other() -> None:
    attempts: list[int] = []

    async def run() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                group.start_soon(fail)

    async def fail() -> None:
        raise ValueError("one of two")

    assert await supervise(run, PLAIN, on_failure=Told())
    assert len(attempts) == 2


async def cancelled(action: Callable[[], Awaitable[object]]) -> bool:
    """Cancel an action once it waits; return whether the cancellation came back to us."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await anyio.wait_all_tasks_blocked()
                scope.cancel()

            group.start_soon(cancel)
            await action()
    return scope.cancelled_caught


@both_loops
async def test_R2_cancellation_of_a_run_passes_and_is_no_failure() -> None:
    told, starts = Told(), []

    async def run() -> None:
        starts.append(1)
        await anyio.sleep_forever()

    assert await cancelled(lambda: supervise(run, PLAIN, on_failure=told))
    assert (told.calls, len(starts)) == ([], 1)


@both_loops
async def test_R2_cancellation_during_a_wait_ends_it_at_once() -> None:
    run, told = Failing(1), Told()
    slow = RestartPolicy(backoff=1000, max_backoff=1000, jitter=0)
    with anyio.fail_after(5):
        assert await cancelled(lambda: supervise(run, slow, on_failure=told))
    assert (len(run.starts), len(told.calls)) == (1, 1)


@both_loops
async def test_what_is_no_ordinary_error_is_not_caught() -> None:
    class Left(BaseException): ...

    async def run() -> None:
        raise Left

    told = Told()
    with pytest.raises(Left):
        await supervise(run, PLAIN, on_failure=told)
    assert told.calls == []

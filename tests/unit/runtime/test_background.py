"""Background tasks on a virtual clock: when they run, how failures are answered, and how they are stopped."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from evox.events import Event, TaskFinished, observe
from evox.runtime import BackgroundTask, RestartPolicy, Runner
from evox.testing import virtual_trio

PLAIN = RestartPolicy(max_restarts=2, window=60.0, backoff=1.0, jitter=0.0)


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


class Work:
    """Takes note of when it runs; takes some seconds; fails in the runs that are named, counted from 1."""

    def __init__(self, *, takes: float = 0.0, fails: range | tuple[int, ...] = ()) -> None:
        self.takes, self.fails = takes, fails
        self.began: list[float] = []
        self.ended: list[float] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self) -> None:
        self.began.append(anyio.current_time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.sleep(self.takes)
            if len(self.began) in self.fails:
                raise ValueError(f"run {len(self.began)}")
            self.ended.append(anyio.current_time())
        finally:
            self.at_once -= 1


def runner(work: Callable[[], Any], **options: Any) -> Runner:
    tell, more = options.pop("tell", None), {name: options.pop(name) for name in ("wall", "rand") if name in options}
    task = BackgroundTask("sweep", work, **({"restart": PLAIN} | options))
    return Runner(task, "users", threads=anyio.CapacityLimiter(4), on_error=tell, **more)


async def during(run: Callable[[], Awaitable[None]], seconds: float) -> float:
    """Let it run for so many seconds at most, and return when that began."""
    began = anyio.current_time()
    with anyio.move_on_after(seconds):
        await run()
    return began


def since(began: float, times: list[float]) -> list[float]:
    return [round(time - began, 6) for time in times]


async def test_R4_the_interval_goes_from_the_end_of_a_run_to_the_start_of_the_next() -> None:
    work = Work(takes=5)
    began = await during(runner(work, interval=10.0).run, 40)
    assert since(began, work.began) == [0, 15, 30]


async def test_R4_a_run_longer_than_its_interval_never_overlaps_the_next() -> None:
    work = Work(takes=25)
    began = await during(runner(work, interval=10.0).run, 100)
    assert since(began, work.began) == [0, 35, 70]
    assert work.most_at_once == 1


async def test_R4_start_after_delays_the_first_run_alone() -> None:
    work = Work()
    began = await during(runner(work, interval=10.0, start_after=7.0).run, 30)
    assert since(began, work.began) == [7, 17, 27]


async def test_R4_jitter_is_added_to_the_interval() -> None:
    work = Work()
    await during(runner(work, interval=10.0, jitter=4.0, rand=lambda: 0.5).run, 40)
    assert since(work.began[0], work.began) == [0, 12, 24, 36]


async def test_R4_jitter_is_at_most_what_was_declared() -> None:
    work = Work()
    await during(runner(work, interval=10.0, jitter=4.0).run, 2000)
    waits = [b - a for a, b in zip(work.began, work.began[1:], strict=False)]
    assert all(10 <= wait <= 14 for wait in waits)
    assert len({round(wait, 3) for wait in waits}) > 10


async def test_R4_jitter_delays_the_first_run_too_so_that_processes_do_not_begin_in_step() -> None:
    work = Work()
    began = await during(runner(work, interval=10.0, jitter=4.0, rand=lambda: 0.5).run, 5)
    assert since(began, work.began) == [2]


async def test_R4_a_failed_run_under_the_log_policy_waits_with_jitter_like_any_other() -> None:
    work = Work(fails=(1,))
    await during(runner(work, interval=10.0, jitter=4.0, rand=lambda: 0.5, on_error="log").run, 20)
    assert since(work.began[0], work.began) == [0, 12]


async def test_R4_a_task_without_an_interval_runs_once_and_is_finished() -> None:
    work = Work(takes=5)
    one = runner(work)
    await one.run()
    assert (one.statistics().state, one.statistics().runs, one.failed) == ("finished", 1, False)


async def test_R4_restart_runs_a_failed_task_again_with_backoff_and_then_at_its_interval() -> None:
    work = Work(fails=(1, 2))
    began = await during(runner(work, interval=10.0).run, 25)
    assert since(began, work.began) == [0, 1, 3, 13, 23]


async def test_R4_restart_runs_a_consumer_again_until_it_returns() -> None:
    work = Work(takes=5, fails=(1, 2))
    one = runner(work)
    began = await during(one.run, 1000)
    assert since(began, work.began) == [0, 6, 13]
    assert one.statistics().state == "finished"


async def test_R4_log_goes_on_at_the_interval_however_often_it_fails() -> None:
    work = Work(fails=range(1, 100))
    one = runner(work, interval=10.0, on_error="log")
    began = await during(one.run, 55)
    assert since(began, work.began) == [0, 10, 20, 30, 40, 50]
    assert (one.failed, one.statistics().failures) == (False, 6)


async def test_R4_log_marks_a_consumer_that_failed_as_failed_for_there_is_no_next_run() -> None:
    one = runner(Work(fails=(1,)), on_error="log")
    await one.run()
    assert one.failed


async def test_R4_fail_service_raises_the_tasks_own_error() -> None:
    with pytest.raises(ValueError, match="run 2"):
        await runner(Work(fails=(2,)), interval=10.0, on_error="fail_service").run()


async def test_R4_too_many_failures_in_the_window_mark_the_task_failed_and_end_it() -> None:
    work = Work(fails=range(1, 100))
    one = runner(work, interval=10.0)
    began = await during(one.run, 1000)
    assert since(began, work.began) == [0, 1, 3]
    assert (one.failed, one.statistics().state, one.statistics().next_run) == (True, "failed", None)
    assert one.ended.is_set()


async def test_R4_failures_that_lie_apart_never_mark_the_task_failed() -> None:
    work = Work(fails=range(1, 1000))
    one = runner(work, interval=10.0, restart=RestartPolicy(max_restarts=1, window=0.5, backoff=1.0, jitter=0.0))
    await during(one.run, 100)
    assert not one.failed
    assert one.statistics().failures > 50


async def test_R4_an_error_is_handed_on_before_the_policy_and_what_that_raises_ends_the_task() -> None:
    def refuse(error: Exception) -> None:
        raise RuntimeError("seen") from error

    with pytest.raises(RuntimeError, match="seen"):
        await runner(Work(fails=(1,)), interval=10.0, tell=refuse).run()


async def test_R4_each_run_is_told_to_observers_with_its_length_and_its_error() -> None:
    seen: list[Event] = []
    token = observe(seen.append)
    await during(runner(Work(takes=2, fails=(2,)), interval=10.0, on_error="log").run, 20)
    token.var.reset(token)
    good, bad = [event for event in seen if isinstance(event, TaskFinished)]
    assert (good.service, good.task, round(good.duration, 6), good.error) == ("users", "sweep", 2.0, None)
    assert isinstance(bad.error, ValueError)


async def stopped(one: Runner, after: float, how: Callable[[], None] | None = None) -> float:
    """Start it, stop it after some seconds, and return how long it then went on."""
    async with anyio.create_task_group() as group:
        group.start_soon(one.run)
        await anyio.sleep(after)
        began = anyio.current_time()
        (how or one.stop)()
        await one.ended.wait()
        took = anyio.current_time() - began
    return round(took, 6)


async def test_R4_stopping_between_runs_ends_at_once() -> None:
    work = Work()
    assert await stopped(runner(work, interval=1000.0, grace=50.0), after=5) == 0
    assert len(work.began) == 1


async def test_R4_stopping_during_backoff_ends_at_once() -> None:
    work = Work(fails=(1,))
    slow = RestartPolicy(backoff=1000.0, max_backoff=1000.0)
    assert await stopped(runner(work, interval=10.0, grace=50.0, restart=slow), after=5) == 0


async def test_R4_stopping_during_a_run_lets_it_finish_within_its_grace_and_starts_no_other() -> None:
    work = Work(takes=20)
    assert await stopped(runner(work, interval=1.0, grace=50.0), after=5) == 15
    assert len(work.ended) == len(work.began) == 1


async def test_R4_a_run_longer_than_its_grace_is_cancelled() -> None:
    work = Work(takes=1000)
    assert await stopped(runner(work, interval=1.0, grace=50.0), after=5) == 50
    assert (work.ended, work.at_once) == ([], 0)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_R4_without_grace_or_when_cancelled_a_run_ends_at_once(how: str) -> None:
    one = runner(Work(takes=1000), grace=0.0 if how == "stop" else 50.0)
    assert await stopped(one, after=5, how=getattr(one, how)) == 0
    assert one.statistics().state == "stopped"


async def test_R4_a_failure_after_stop_is_noted_and_answered_by_no_policy() -> None:
    one = runner(Work(takes=20, fails=(1,)), on_error="fail_service", grace=50.0)
    assert await stopped(one, after=5) == 15
    assert one.statistics().last_error == "ValueError: run 1"


async def test_R4_what_is_stopped_before_it_began_never_runs() -> None:
    work = Work()
    one = runner(work, interval=10.0)
    one.stop()
    await one.run()
    assert (work.began, one.statistics().state) == ([], "stopped")

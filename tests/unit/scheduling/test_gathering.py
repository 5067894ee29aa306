"""Gather: a bound on how many run, values in the order given, and nothing left running or unawaited."""

import asyncio
import gc
import inspect
import traceback
from collections.abc import Coroutine, Generator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from evox import context
from evox.config import PrioritySettings
from evox.errors import Escaped
from evox.scheduling import Priority, Scheduler, gather

Call = Coroutine[Any, Any, Any]


async def value(of: Any, log: list[Any] | None = None) -> Any:
    if log is not None:
        log.append(of)
    await anyio.lowlevel.checkpoint()
    return of


async def failing(error: BaseException, after: anyio.Event | None = None) -> Any:
    if after is not None:
        await after.wait()
    raise error


async def waiting(log: list[str]) -> None:
    log.append("began")
    try:
        await anyio.sleep_forever()
    finally:
        log.append("ended")


class Awaitable:
    """What can be awaited without being a coroutine."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from anyio.lowlevel.checkpoint().__await__()
        return self.result


class Pool(Awaitable):
    """Something awaitable with an asynchronous ``close`` that is not for others to call."""

    closed = False

    async def close(self) -> None:
        self.closed = True


def closed(*calls: Call) -> bool:
    """Whether all are over; a warning that one was never awaited fails the test."""
    gc.collect()
    return all(inspect.getcoroutinestate(call) == inspect.CORO_CLOSED for call in calls)


class Crowd:
    """Calls that note how many of them run at the same time."""

    def __init__(self) -> None:
        self.running = self.most = self.begun = 0

    async def call(self, of: int) -> int:
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(of % 3):
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        self.running -= 1
        return of


async def test_P12_values_come_in_the_order_of_the_calls_whichever_ends_first() -> None:
    turns = [anyio.Event() for _ in range(4)]
    turns[3].set()

    async def call(number: int) -> int:
        await turns[number].wait()
        if number:
            turns[number - 1].set()
        return number

    assert await gather(*(call(number) for number in range(4))) == [0, 1, 2, 3]


async def test_P12_no_calls_are_an_empty_list() -> None:
    assert await gather() == []


@pytest.mark.parametrize("given", [{"priority": "low"}, {"concurrency": 1}, {"return_exceptions": True}])
async def test_P12_no_calls_are_an_empty_list_with_options_too(given: dict[str, Any]) -> None:
    assert await gather(**given) == []


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 2), (3, 3), (7, 7), (8, 8), (1000, 8)])
async def test_P12_as_many_run_as_may_and_no_more(concurrency: int, most: int) -> None:
    crowd = Crowd()
    assert await gather(*(crowd.call(one) for one in range(8)), concurrency=concurrency) == list(range(8))
    assert (crowd.most, crowd.running) == (most, 0)


async def test_P12_ten_run_at_a_time_unless_said_otherwise() -> None:
    crowd = Crowd()
    await gather(*(crowd.call(one) for one in range(30)))
    assert crowd.most == 10


async def test_P12_a_thousand_calls_run_three_at_a_time_in_order() -> None:
    crowd = Crowd()
    assert await gather(*(crowd.call(one) for one in range(1000)), concurrency=3) == list(range(1000))
    assert (crowd.most, crowd.begun) == (3, 1000)


async def test_P12_the_next_is_begun_when_one_ends_and_not_before() -> None:
    begun: list[int] = []
    goes_on = [anyio.Event() for _ in range(4)]

    async def call(number: int) -> None:
        begun.append(number)
        await goes_on[number].wait()

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: gather(*(call(number) for number in range(4)), concurrency=2))
        await anyio.wait_all_tasks_blocked()
        assert sorted(begun) == [0, 1]
        goes_on[1].set()
        await anyio.wait_all_tasks_blocked()
        assert sorted(begun) == [0, 1, 2]
        for event in goes_on:
            event.set()


async def test_P12_no_more_calls_queue_for_seats_than_run_at_a_time() -> None:
    scheduler = Scheduler(PrioritySettings(total=1))
    seen: list[int] = []

    async def call() -> None:
        seat = await scheduler.acquire(Priority.LOW)
        await anyio.wait_all_tasks_blocked()
        shown = scheduler.statistics()
        seen.append(shown.in_use + shown.level("low").queued)
        seat.release()

    await gather(*(call() for _ in range(10)), concurrency=3)
    assert (len(seen), max(seen)) == (10, 3)


async def test_P12_what_is_awaitable_need_not_be_a_coroutine() -> None:
    assert await gather(Awaitable(1), value(2), Awaitable(3), concurrency=2) == [1, 2, 3]


async def test_P12_two_awaitables_that_are_equal_are_two_calls() -> None:
    class Equal(Awaitable):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert await gather(Equal(1), Equal(2)) == [1, 2]


async def test_P12_gathers_may_be_nested() -> None:
    inner = [gather(value(one), value(one + 1), concurrency=1) for one in (0, 10, 20)]
    assert await gather(*inner, concurrency=1) == [[0, 1], [10, 11], [20, 21]]


async def test_P12_the_level_is_seen_in_the_calls_and_restored_after() -> None:
    async def level() -> int | None:
        await anyio.lowlevel.checkpoint()
        return context.maybe_level()

    seen = await gather(level(), level(), level(), priority="LOW", concurrency=2)
    assert (seen, context.maybe_level()) == ([Priority.LOW] * 3, None)


async def test_P12_without_a_level_the_calls_see_that_of_the_caller() -> None:
    async def level() -> int | None:
        return context.maybe_level()

    token = context.enter_level(Priority.MEDIUM)
    try:
        assert await gather(level()) == [Priority.MEDIUM]
        assert await gather(gather(level(), priority=Priority.HIGH), level(), concurrency=1) == [
            [Priority.HIGH],
            Priority.MEDIUM,
        ]
        assert context.maybe_level() == Priority.MEDIUM
    finally:
        context.leave_level(token)


async def test_P12_the_level_is_restored_after_an_error() -> None:
    with pytest.raises(KeyError):
        await gather(failing(KeyError("x")), priority="low")
    assert context.maybe_level() is None


@pytest.mark.parametrize("concurrency", [0, -1, True, False, 2.5, 2.0, "2", None])
async def test_P12_a_concurrency_that_is_no_number_of_calls_is_refused_and_nothing_begun(concurrency: Any) -> None:
    log: list[Any] = []
    calls = [value(1, log), value(2, log)]
    with pytest.raises(ValueError, match=f"concurrency={concurrency!r} of gather"):
        await gather(*calls, concurrency=concurrency)
    assert (log, closed(*calls)) == ([], True)


@pytest.mark.parametrize("priority", ["urgent", "", 0, True])
async def test_P12_an_unknown_level_is_refused_and_nothing_begun(priority: Any) -> None:
    log: list[Any] = []
    calls = [value(1, log), value(2, log)]
    with pytest.raises(ValueError, match='priorities are "high", "medium" and "low"'):
        await gather(*calls, priority=priority)
    assert (log, closed(*calls), context.maybe_level()) == ([], True, None)


@pytest.mark.parametrize(
    "thing", [value, 3, None, [], iter([])], ids=["function", "number", "none", "list", "iterator"]
)
async def test_P12_what_is_not_awaitable_is_refused_by_its_position_and_nothing_begun(thing: Any) -> None:
    log: list[Any] = []
    calls = [value(1, log), value(2, log)]
    with pytest.raises(TypeError, match="call 2 of gather"):
        await gather(calls[0], thing, calls[1])
    assert (log, closed(*calls)) == ([], True)


async def test_P12_one_call_given_twice_is_refused_and_nothing_begun() -> None:
    log: list[Any] = []
    calls = [value(1, log), value(2, log)]
    with pytest.raises(ValueError, match="call 3 of gather"):
        await gather(calls[0], calls[1], calls[0])
    assert (log, closed(*calls)) == ([], True)


async def test_P12_an_awaitable_that_is_given_twice_is_refused() -> None:
    same = Awaitable(1)
    with pytest.raises(ValueError, match="call 2 of gather"):
        await gather(same, same)


async def test_P12_refusing_leaves_alone_what_is_no_call() -> None:
    pool = Pool(1)
    with pytest.raises(ValueError, match="concurrency=0"):
        await gather(pool, concurrency=0)
    gc.collect()
    assert not pool.closed


async def test_P12_an_unstarted_awaitable_with_a_close_of_its_own_is_let_go_without_a_warning() -> None:
    pool = Pool(1)
    with pytest.raises(KeyError):
        await gather(failing(KeyError("x")), pool, concurrency=1)
    gc.collect()
    assert not pool.closed


async def test_P12_the_first_error_is_raised_itself() -> None:
    error = ValueError("one")
    with pytest.raises(ValueError, match="one") as caught:
        await gather(value(1), failing(error), value(2))
    assert caught.value is error


async def test_P12_a_single_error_shows_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match="one") as caught:
        await gather(value(1), failing(ValueError("one")))
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "failing"
    assert "gather" in names


async def test_P12_a_single_error_keeps_its_cause() -> None:
    async def call() -> None:
        try:
            await failing(KeyError("cause"))
        except KeyError as cause:
            raise ValueError("one") from cause

    with pytest.raises(ValueError, match="one") as caught:
        await gather(call())
    assert isinstance(caught.value.__cause__, KeyError)


async def test_P12_a_single_error_keeps_the_error_that_it_came_up_in() -> None:
    async def call() -> None:
        try:
            await failing(KeyError("before"))
        except KeyError:
            raise ValueError("one")  # noqa: B904

    with pytest.raises(ValueError, match="one") as caught:
        await gather(call())
    assert "KeyError: 'before'" in "".join(traceback.format_exception(caught.value))


async def test_P12_a_single_error_does_not_show_a_group_as_well() -> None:
    with pytest.raises(ValueError, match="one") as caught:
        await gather(failing(ValueError("one")))
    assert "ExceptionGroup" not in "".join(traceback.format_exception(caught.value))


async def test_P12_a_call_that_raises_a_group_has_its_own_group_raised() -> None:
    error = ExceptionGroup("own", [ValueError("one")])
    with pytest.raises(ExceptionGroup, match="own") as caught:
        await gather(failing(error), value(1))
    assert caught.value is error


async def test_P12_the_first_error_cancels_and_awaits_the_rest() -> None:
    log: list[str] = []
    go = anyio.Event()
    calls = [waiting(log), failing(ValueError("one"), go), waiting(log)]
    async with anyio.create_task_group() as group:
        group.start_soon(_set_when_blocked, go)
        with pytest.raises(ValueError, match="one"):
            await gather(*calls)
        assert log == ["began", "began", "ended", "ended"]
    assert closed(*calls)


async def test_P12_a_call_that_waits_while_it_is_cancelled_is_awaited_to_its_end() -> None:
    log: list[str] = []
    go = anyio.Event()

    async def slow_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                log.append("ended")

    async with anyio.create_task_group() as group:
        group.start_soon(_set_when_blocked, go)
        with pytest.raises(ValueError, match="one"):
            await gather(slow_to_end(), failing(ValueError("one"), go))
        assert log == ["ended"]


async def test_P12_calls_not_begun_at_the_first_error_are_closed() -> None:
    log: list[Any] = []
    calls = [value(one, log) for one in range(50)]
    with pytest.raises(ValueError, match="one"):
        await gather(failing(ValueError("one")), *calls, concurrency=1)
    assert (log, closed(*calls)) == ([], True)


async def test_P12_no_call_is_begun_after_the_first_error_by_one_that_ends_well() -> None:
    log: list[str] = []
    ends = anyio.Event()

    async def ends_well() -> None:
        with anyio.CancelScope(shield=True):
            await ends.wait()

    async def breaks() -> None:
        await anyio.wait_all_tasks_blocked()
        ends.set()
        raise ValueError("one")

    async def late() -> None:
        log.append("begun")

    calls = [late() for _ in range(5)]
    with pytest.raises(ValueError, match="one"):
        await gather(ends_well(), breaks(), *calls, concurrency=2)
    assert (log, closed(*calls)) == ([], True)


async def test_P12_several_errors_at_once_are_a_group() -> None:
    errors: list[Exception] = [ValueError("one"), KeyError("two")]
    with pytest.raises(ExceptionGroup) as caught:
        await gather(*(failing(error) for error in errors), value(3))
    assert set(caught.value.exceptions) == set(errors)


async def test_P12_an_error_while_the_rest_is_cancelled_is_in_the_group_too() -> None:
    go = anyio.Event()

    async def breaks_in_the_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("two")

    async with anyio.create_task_group() as group:
        group.start_soon(_set_when_blocked, go)
        with pytest.raises(ExceptionGroup) as caught:
            await gather(breaks_in_the_end(), failing(ValueError("one"), go))
    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


async def test_P12_errors_are_collected_in_place_of_values_when_asked() -> None:
    errors: list[Exception] = [ValueError("one"), ExceptionGroup("two", [KeyError("x")])]
    collected = await gather(
        value(1), failing(errors[0]), value(2), failing(errors[1]), concurrency=2, return_exceptions=True
    )
    assert collected == [1, errors[0], 2, errors[1]]


async def test_P12_collecting_errors_goes_on_to_the_last_call() -> None:
    log: list[Any] = []
    results: list[Any] = await gather(
        *(failing(ValueError("x")) if one % 2 else value(one, log) for one in range(100)),
        concurrency=3,
        return_exceptions=True,
    )
    assert sorted(log) == list(range(0, 100, 2))
    assert [type(result) for result in results] == [int, ValueError] * 50


@pytest.mark.parametrize("collect", [False, True])
async def test_P12_cancelled_from_outside_it_leaves_no_task_and_nothing_unawaited(collect: bool) -> None:
    log: list[str] = []
    before = {task.id for task in anyio.get_running_tasks()}
    calls = [waiting(log) for _ in range(6)]
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: gather(*calls, concurrency=2, return_exceptions=collect))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert log == ["began", "began", "ended", "ended"]
    assert closed(*calls)
    assert {task.id for task in anyio.get_running_tasks()} == before


async def test_P12_cancelled_from_outside_it_is_the_scope_that_is_cancelled_and_the_level_is_restored() -> None:
    calls = [waiting([]), waiting([])]
    with anyio.move_on_after(0) as scope:
        await gather(*calls, priority="low", concurrency=1)
    assert (scope.cancelled_caught, context.maybe_level(), closed(*calls)) == (True, None, True)


async def test_P12_cancelling_a_call_inside_its_own_scope_ends_only_that_call() -> None:
    async def moves_on() -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        return "moved on"

    assert await gather(moves_on(), value(1), concurrency=1) == ["moved on", 1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("collect", [False, True])
@pytest.mark.parametrize("inside", [False, True])
async def test_P12_what_was_cancelled_by_others_is_no_value(inside: bool, collect: bool) -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.cancel()

    async def waits() -> int:
        return await future

    call, later = waits() if inside else future, value(1)
    if collect:
        failed, last = await gather(call, later, concurrency=1, return_exceptions=True)
        assert (type(failed), last) == (Escaped, 1)
        return
    with pytest.raises(Escaped, match="CancelledError got out of call 1 of gather"):
        await gather(call, later, concurrency=1)
    assert closed(later)


async def test_P12_what_ends_programs_is_an_error_of_its_call() -> None:
    async def leaves() -> int:
        raise SystemExit(3)

    failed, last = await gather(leaves(), value(1), return_exceptions=True)
    assert (type(failed), last) == (Escaped, 1)


async def _set_when_blocked(event: anyio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    event.set()

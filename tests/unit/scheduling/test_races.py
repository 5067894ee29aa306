"""Races of a waiter (P5): cancelled and granted in one tick, in both orders; whatever comes first, no seat is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from evox.config import PrioritySettings
from evox.errors import Overloaded
from evox.scheduling import Priority, Scheduler, Seat
from evox.testing import virtual_trio

HIGH = Priority.HIGH


class Waiter:
    """A task that waits for a seat."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.scope = anyio.CancelScope()
        self.seat: Seat | None = None
        self.error: Exception | None = None

    async def run(self) -> None:
        with self.scope:
            try:
                self.seat = await self.scheduler.acquire(HIGH)
            except Overloaded as error:
                self.error = error


@asynccontextmanager
async def queue(count: int) -> AsyncIterator[tuple[Scheduler, Seat, list[Waiter]]]:
    """One seat that is taken, and so many who wait for it."""
    scheduler = Scheduler(PrioritySettings(total=1))
    held = scheduler.enter(HIGH)
    waiters = [Waiter(scheduler) for _ in range(count)]
    async with anyio.create_task_group() as group:
        for waiter in waiters:
            group.start_soon(waiter.run)
            await checkpoint()
        await settled()
        yield scheduler, held, waiters
        await settled()


async def settled() -> None:
    for _ in range(6):
        await checkpoint()


def books(scheduler: Scheduler) -> tuple[int, ...]:
    """Return seats taken, and arrived, admitted, cancelled and queued of HIGH, having checked that they balance."""
    one = scheduler.statistics().level(HIGH)
    assert one.arrived == one.admitted + one.cancelled + one.queued + sum(one.rejected.values())
    return one.in_use, one.arrived, one.admitted, one.cancelled, one.queued


async def test_P5_a_waiter_that_is_cancelled_frees_its_place() -> None:
    async with queue(2) as (scheduler, held, (first, second)):
        first.scope.cancel()
        await settled()
        assert books(scheduler) == (1, 3, 1, 1, 1)
        held.release()
        await settled()
        assert (first.seat, second.seat is not None) == (None, True)


async def test_P5_cancelled_then_granted_in_one_tick_the_seat_goes_to_the_next() -> None:
    async with queue(2) as (scheduler, held, (first, second)):
        first.scope.cancel()
        held.release()
        await settled()
        assert first.seat is None
        assert second.seat is not None
        assert second.seat.live
        assert books(scheduler)[0] == 1


async def test_P5_granted_then_cancelled_in_one_tick_the_seat_is_not_lost() -> None:
    async with queue(2) as (scheduler, held, (first, second)):
        held.release()
        first.scope.cancel()
        await settled()
        if first.seat is not None:  # it was on its way already: then it has it, and gives it back as any other would
            first.seat.release()
            await settled()
        assert second.seat is not None
        assert second.seat.live
        assert books(scheduler)[0] == 1


async def test_P5_all_who_wait_are_cancelled_as_one_is_granted() -> None:
    async with queue(50) as (scheduler, held, waiters):
        for waiter in waiters:
            waiter.scope.cancel()
        held.release()
        await settled()
        for waiter in waiters:
            if waiter.seat is not None:
                waiter.seat.release()
        assert books(scheduler)[0] == 0
        assert books(scheduler)[4] == 0


async def test_P5_a_task_cancelled_before_it_ran_asks_for_nothing() -> None:
    scheduler = Scheduler(PrioritySettings(total=1))
    held = scheduler.enter(HIGH)
    async with anyio.create_task_group() as group:
        group.start_soon(Waiter(scheduler).run)
        group.cancel_scope.cancel()
    held.release()
    in_use, arrived, admitted, cancelled, queued = books(scheduler)
    assert (in_use, queued) == (0, 0)
    assert arrived == admitted + cancelled


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_P5_a_task_cancelled_by_asyncio_itself_frees_its_place() -> None:
    scheduler = Scheduler(PrioritySettings(total=1))
    held = scheduler.enter(HIGH)
    tasks = [asyncio.get_running_loop().create_task(Waiter(scheduler).run()) for _ in range(3)]
    await settled()
    tasks[0].cancel()
    held.release()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert books(scheduler)[0] <= 1
    assert books(scheduler)[4] == 0


@pytest.mark.parametrize("anyio_backend", [virtual_trio()])
async def test_P5_a_seat_granted_as_the_wait_is_over_is_taken_or_passed_on(anyio_backend: Any) -> None:
    scheduler = Scheduler(PrioritySettings(total=1, max_wait=2))
    held = scheduler.enter(HIGH)
    waiters = [Waiter(scheduler) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for waiter in waiters:
            group.start_soon(waiter.run)
        await checkpoint()
        await anyio.sleep(2)  # ends in the same tick as the waits
        held.release()
    got = [waiter for waiter in waiters if waiter.seat is not None]
    assert len(got) <= 1
    assert all(waiter.seat is not None or waiter.error is not None for waiter in waiters)
    assert books(scheduler)[0] == len(got)


async def test_P6_a_seat_is_given_back_once() -> None:
    scheduler = Scheduler(PrioritySettings(total=1))
    seat = scheduler.enter(HIGH)
    seat.release()
    with pytest.raises(RuntimeError, match="given back before"):
        seat.release()
    assert books(scheduler)[0] == 0


async def test_P2_a_level_that_is_behind_its_cap_does_not_hold_up_those_below() -> None:
    scheduler = Scheduler(PrioritySettings(total=3, high=1, medium=1))
    held = [scheduler.enter(level) for level in (Priority.HIGH, Priority.HIGH, Priority.MEDIUM, Priority.MEDIUM)]
    assert [seat.live for seat in held] == [True, False, True, False]
    assert scheduler.enter(Priority.LOW).live


async def test_a_grant_looks_at_nobody_behind_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a full LOW cap 5,000 wait; admitting HIGH is the same handful of steps as with none."""
    scheduler = Scheduler(PrioritySettings(total=2, low=1, queue=5000))
    for _ in range(5001):
        scheduler.enter(Priority.LOW)
    looked: list[Seat] = []

    def grant(seat: Seat) -> None:
        looked.append(seat)
        seat.holders = 1

    monkeypatch.setattr(Seat, "grant", grant)
    first = scheduler.enter(HIGH)
    second = scheduler.enter(HIGH)
    first.release()
    assert looked == [first, second]

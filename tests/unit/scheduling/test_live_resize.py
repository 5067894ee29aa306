"""Changing the numbers while tasks run and wait: never one too many is admitted, and nobody is stranded."""

import random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from evox.config import PrioritySettings
from evox.scheduling import Priority, Scheduler, Seat

LEVELS = tuple(Priority)


class Watched(Scheduler):
    """Looks at every admission, at the moment in which it happens."""

    def _take(self, line: Any, seat: Seat) -> None:
        before = self.statistics()
        assert before.in_use < before.total
        assert before.level(line.level).in_use < before.level(line.level).cap
        super()._take(line, seat)


async def test_P1_P2_growing_and_shrinking_under_load_admits_none_too_many_and_strands_nobody() -> None:
    scheduler, draw, served = Watched(PrioritySettings(total=8)), random.Random(3), []

    async def one(level: Priority, ticks: int) -> None:
        seat = await scheduler.acquire(level)
        for _ in range(ticks):
            await checkpoint()
        served.append(level)
        seat.release()

    async with anyio.create_task_group() as group:
        for number in range(400):
            group.start_soon(one, draw.choice(LEVELS), draw.randrange(4))
            if number % 10 == 0:
                scheduler.resize(total=draw.randrange(1, 9))
                await checkpoint()
    assert len(served) == 400
    assert scheduler.statistics().in_use == 0


async def test_P1_after_a_cut_nobody_is_admitted_until_it_is_true_again() -> None:
    scheduler = Scheduler(PrioritySettings(total=4, medium=4))
    held = [scheduler.enter(Priority.MEDIUM) for _ in range(4)]
    waiting = scheduler.enter(Priority.HIGH)
    scheduler.resize(total=2, medium=2)
    for seat in held[:2]:
        seat.release()
        assert not waiting.live
    held[2].release()
    assert waiting.live
    assert scheduler.statistics().in_use == 2


async def test_P2_growing_admits_those_who_wait_at_once_in_their_order() -> None:
    scheduler = Scheduler(PrioritySettings(total=1))
    scheduler.enter(Priority.LOW)
    low, high, medium = (scheduler.enter(level) for level in (Priority.LOW, Priority.HIGH, Priority.MEDIUM))
    scheduler.resize(total=3, low=3)
    assert (high.live, medium.live, low.live) == (True, True, False)
    scheduler.resize(total=4, low=4)
    assert low.live


async def test_a_cap_that_was_given_stays_when_the_total_changes_and_others_follow_it() -> None:
    scheduler = Scheduler(PrioritySettings(total=10, low=2))
    scheduler.resize(total=20)
    assert [one.cap for one in scheduler.statistics().levels] == [20, 16, 2]


async def test_a_shorter_queue_turns_nobody_away_who_waits_already() -> None:
    scheduler = Scheduler(PrioritySettings(total=1, queue=3))
    seat = scheduler.enter(Priority.HIGH)
    waiting = [scheduler.enter(Priority.HIGH) for _ in range(3)]
    scheduler.resize(queue=1)
    for one in waiting:
        seat.release()
        assert one.live
        seat = one


async def test_numbers_that_contradict_each_other_change_nothing() -> None:
    scheduler = Scheduler(PrioritySettings(total=5))
    before = scheduler.statistics()
    with pytest.raises(ValueError, match="cannot have 6 of 5 seats"):
        scheduler.resize(low=6)
    assert scheduler.statistics() == before

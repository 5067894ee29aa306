"""Statistics: what a scheduler shows of itself is frozen, adds up at any moment, and asking changes nothing."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from evox.config import PrioritySettings
from evox.errors import Rejected
from evox.scheduling import WAITS, LevelStatistics, Priority, Scheduler, SchedulerStatistics, Seat

HIGH, MEDIUM, LOW = Priority


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(**numbers: Any) -> tuple[Scheduler, Clock]:
    clock = Clock()
    return Scheduler(PrioritySettings(**numbers), name="shop", clock=clock), clock


def adds_up(one: LevelStatistics) -> bool:
    return one.arrived == one.admitted + one.cancelled + one.queued + sum(one.rejected.values())


def enter(scheduler: Scheduler, level: Priority, client: str | None = None) -> Seat | None:
    try:
        return scheduler.enter(level, client)
    except Rejected:
        return None


def test_an_idle_scheduler_shows_its_numbers_and_zeros() -> None:
    scheduler, _ = made(total=10, high=9, low=2, queue={"low": 3}, reserve={"low": 1})
    shown = scheduler.statistics()
    assert (shown.name, shown.total, shown.in_use, shown.clients) == ("shop", 10, 0, 0)
    assert [(one.level, one.cap, one.bound, one.reserve) for one in shown.levels] == [
        (HIGH, 9, 1000, 0),
        (MEDIUM, 8, 1000, 0),
        (LOW, 2, 3, 1),
    ]
    assert {(one.in_use, one.queued, one.oldest, one.arrived, one.admitted, one.waited) for one in shown.levels} == {
        (0, 0, 0.0, 0, 0, 0.0)
    }


@pytest.mark.parametrize("name", ["low", "LOW", LOW])
def test_a_level_is_found_by_its_name_or_itself(name: Priority | str) -> None:
    shown = made()[0].statistics()
    assert shown.level(name) is shown.levels[2]


def test_an_unknown_level_is_refused_and_the_levels_are_named() -> None:
    with pytest.raises(ValueError, match='"high", "medium" and "low"'):
        made()[0].statistics().level("urgent")


@pytest.mark.parametrize(("of", "field"), [("scheduler", "in_use"), ("level", "queued")])
def test_what_was_shown_cannot_be_changed(of: str, field: str) -> None:
    shown: SchedulerStatistics = made()[0].statistics()
    with pytest.raises(FrozenInstanceError):
        setattr(shown if of == "scheduler" else shown.levels[0], field, 5)


async def test_what_was_shown_stays_when_the_scheduler_goes_on() -> None:
    scheduler, _ = made(total=1, queue=0)
    before = scheduler.statistics()
    enter(scheduler, LOW)
    enter(scheduler, LOW)
    assert (before.in_use, before.level(LOW).arrived, dict(before.level(LOW).rejected)) == (0, 0, {})
    assert sum(before.level(LOW).waits) == 0


async def test_asking_changes_nothing() -> None:
    scheduler, clock = made(total=1, queue=1)
    for level in (LOW, LOW, LOW, HIGH):
        enter(scheduler, level)
    clock.now += 0.5
    assert scheduler.statistics() == scheduler.statistics()


async def test_P13_arrivals_add_up_after_every_step() -> None:
    scheduler, clock = made(total=1, queue=2, per_client=3)
    sums: list[bool] = []

    def note() -> None:
        sums.extend(adds_up(one) for one in scheduler.statistics().levels)

    seats = []
    for level, client in [(LOW, "a"), (LOW, "a"), (LOW, "a"), (LOW, "a"), (LOW, "b"), (HIGH, "b"), (MEDIUM, "c")]:
        seats.append(enter(scheduler, level, client))
        note()
    running, first, second, third, fourth, high, medium = seats
    assert (third, fourth) == (None, None)
    assert running is not None
    assert first is not None
    assert second is not None
    assert high is not None
    assert medium is not None
    clock.now += 0.25
    first.boost(HIGH)
    note()
    scheduler.leave(second)
    note()
    scheduler.expire(medium)
    note()
    running.release()
    note()
    shown = scheduler.statistics()
    assert all(sums)
    assert dict(shown.level(LOW).rejected) == {"per_client": 1, "queue_full": 1}
    assert (shown.level(HIGH).arrived, shown.level(LOW).arrived, shown.level(LOW).cancelled) == (2, 4, 1)


async def test_P7_rejections_are_counted_by_reason() -> None:
    scheduler, _ = made(total=1, queue=1, per_client=2)
    enter(scheduler, LOW, "a")
    waiting = enter(scheduler, LOW, "a")
    enter(scheduler, LOW, "a")
    enter(scheduler, LOW, "b")
    enter(scheduler, LOW, "b")
    assert waiting is not None
    scheduler.expire(waiting)
    assert dict(scheduler.statistics().level(LOW).rejected) == {"per_client": 1, "queue_full": 2, "time_out": 1}


async def test_the_oldest_is_the_time_that_the_first_in_the_queue_has_waited() -> None:
    scheduler, clock = made(total=1)
    enter(scheduler, LOW)
    seats = []
    for _ in range(2):
        clock.now += 0.25
        seats.append(scheduler.enter(LOW))
    clock.now += 2.0
    before = scheduler.statistics().level(LOW).oldest
    scheduler.leave(seats[0])
    after = scheduler.statistics().level(LOW).oldest
    scheduler.leave(seats[1])
    assert (before, after, scheduler.statistics().level(LOW).oldest) == (2.25, 2.0, 0.0)


@pytest.mark.parametrize(("wait", "slot"), [*((limit, slot) for slot, limit in enumerate(WAITS)), (4.0, len(WAITS))])
async def test_a_wait_is_counted_in_the_first_slot_that_is_not_shorter(wait: float, slot: int) -> None:
    scheduler, clock = made(total=1)
    clock.now = 0.0
    running = scheduler.enter(MEDIUM)
    scheduler.enter(MEDIUM)
    clock.now = wait
    running.release()
    shown = scheduler.statistics().level(MEDIUM)
    assert [number for number, count in enumerate(shown.waits) if count] == [slot]
    assert (sum(shown.waits), shown.waited) == (1, wait)


async def test_who_did_not_wait_is_in_no_slot() -> None:
    scheduler, _ = made(total=1)
    scheduler.enter(HIGH).release()
    shown = scheduler.statistics().level(HIGH)
    assert (shown.admitted, sum(shown.waits), len(shown.waits), shown.waited) == (1, 0, len(WAITS) + 1, 0.0)


async def test_clients_are_counted_while_they_have_something_running_or_waiting() -> None:
    scheduler, _ = made(total=1, per_client=5)
    first, second = scheduler.enter(LOW, "a"), scheduler.enter(LOW, "b")
    counts = [scheduler.statistics().clients]
    scheduler.leave(second)
    counts.append(scheduler.statistics().clients)
    first.release()
    counts.append(scheduler.statistics().clients)
    assert counts == [2, 1, 0]

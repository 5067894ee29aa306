"""An overload, on trio's virtual clock: real tasks wait for seats of the shipped scheduler, then real requests.

Requests arrive at random times that a seed decides, hold a seat for a random time and have half a second.
"""

import random
from collections import Counter
from typing import Any, NamedTuple

import anyio
import pytest

from evox import service
from evox.config import PrioritySettings
from evox.errors import Rejected
from evox.scheduling import Priority, Scheduler
from evox.testing import running, virtual_trio

HIGH, MEDIUM, LOW = Priority
SEATS = {"total": 10, "high": 10, "medium": 10, "low": 10, "queue": 20}
SERVICE, DEADLINE = 0.010, 0.5
CAPACITY = 10 / SERVICE
LENGTH = 4.0


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_trio()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", logger="evox.admission")


class Outcome(NamedTuple):
    """Requests by level: offered, answered in time, and how many a second that was of all levels."""

    offered: Counter[Priority]
    answered: Counter[Priority]

    def success(self, level: Priority) -> float:
        return self.answered[level] / self.offered[level]

    @property
    def goodput(self) -> float:
        return sum(self.answered.values()) / LENGTH


async def overload(scheduler: Scheduler, load: float, seed: int = 1) -> Outcome:
    """Send requests for ``LENGTH`` seconds, each in a task of its own."""
    draw = random.Random(seed)
    outcome = Outcome(Counter(), Counter())

    async def request(level: Priority, takes: float) -> None:
        with anyio.move_on_after(DEADLINE):
            try:
                seat = await scheduler.acquire(level)
            except Rejected:
                return
            try:
                await anyio.sleep(takes)
                outcome.answered[level] += 1
            finally:
                seat.release()

    async with anyio.create_task_group() as group:
        when = began = anyio.current_time()
        while when - began < LENGTH:
            when += draw.expovariate(load * CAPACITY)
            await anyio.sleep_until(when)
            level = draw.choices(list(Priority), [0.2, 0.3, 0.5])[0]
            outcome.offered[level] += 1
            group.start_soon(request, level, draw.expovariate(1 / SERVICE))
    return outcome


@pytest.mark.parametrize("load", [2.0, 4.0])
async def test_P3_high_succeeds_under_overload_and_nothing_of_the_seats_is_lost(load: float) -> None:
    outcome = await overload(Scheduler(PrioritySettings(**SEATS)), load)
    assert outcome.success(HIGH) >= 0.99
    assert outcome.success(HIGH) > outcome.success(MEDIUM) > outcome.success(LOW)
    assert outcome.goodput == pytest.approx(CAPACITY, rel=0.05)


async def test_P3_low_is_starved_where_it_has_no_reserve() -> None:
    outcome = await overload(Scheduler(PrioritySettings(**SEATS)), 4.0)
    assert outcome.success(LOW) < 0.01


async def test_P8_a_reserve_keeps_low_alive_and_costs_high_little() -> None:
    settings = PrioritySettings(**SEATS, reserve={"medium": 1, "low": 1})
    outcome = await overload(Scheduler(settings), 4.0)
    assert outcome.success(LOW) > 0.03
    assert outcome.success(HIGH) > 0.90
    assert outcome.goodput == pytest.approx(CAPACITY, rel=0.05)


async def test_P13_after_an_overload_the_books_are_balanced_and_all_seats_are_free() -> None:
    scheduler = Scheduler(PrioritySettings(**SEATS))
    outcome = await overload(scheduler, 2.0)
    seen = scheduler.statistics()
    assert seen.in_use == 0
    for one in seen.levels:
        assert one.arrived == outcome.offered[one.level]
        assert one.arrived == one.admitted + one.cancelled + one.queued + sum(one.rejected.values())
        assert one.queued == 0


async def test_P3_requests_of_a_service_under_overload_are_answered_by_their_level() -> None:
    svc = service("busy").concurrency(total=10, high=10, medium=10, low=10, queue=20)
    statuses: dict[str, Counter[int]] = {label: Counter() for label in ("high", "medium", "low")}

    @svc.get("/high", priority="high")
    @svc.get("/medium", priority="medium")
    @svc.get("/low", priority="low")
    async def work() -> None:
        await anyio.sleep(SERVICE)

    async with running(svc) as env, anyio.create_task_group() as group:
        client = env.client(svc)

        async def request(label: str) -> None:
            answer = await client.get(f"/{label}", headers={"x-evox-deadline": str(DEADLINE)})
            statuses[label][answer.status_code] += 1

        draw, when = random.Random(1), anyio.current_time()
        for _ in range(1500):
            when += draw.expovariate(2 * CAPACITY)
            await anyio.sleep_until(when)
            group.start_soon(request, draw.choices(list(statuses), [0.2, 0.3, 0.5])[0])
    share = {label: counts[200] / counts.total() for label, counts in statuses.items()}
    assert share["high"] >= 0.99
    assert share["high"] > share["medium"] > share["low"]
    assert set().union(*statuses.values()) <= {200, 503}

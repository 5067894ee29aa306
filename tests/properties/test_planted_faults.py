"""The model notices: a scheduler that breaks one of its promises does not pass beside it."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from tests.properties.scheduler_model import LEVELS
from tests.properties.test_scheduler import Machine, sizes

from evox.scheduling import Priority, Scheduler, Seat


class Crowded(Machine):
    """Begins with a crowd, so that what goes wrong among those who wait is met within a few examples."""

    @initialize(size=sizes())
    def begin(self, size: dict[str, Any]) -> None:
        self.resize(size)
        for client in (None, "a", "b"):
            for level in reversed(LEVELS):
                self.start(level, client, None)

    @rule(total=st.integers(1, 6))
    def grow(self, total: int) -> None:
        self.resize({"total": total, "high": total, "medium": total, "low": total, "queue": 3, "reserve": {}})


Plant = Callable[[pytest.MonkeyPatch], None]


def two_levels_swapped(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._next

    def fault(self: Scheduler) -> Any:
        high, medium, low = before = self._lines
        self._lines = (medium, high, low)
        try:
            return shipped(self)
        finally:
            self._lines = before

    patch.setattr(Scheduler, "_next", fault)


def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    class Stack(OrderedDict[Seat, None]):
        def popitem(self, last: bool = True) -> tuple[Seat, None]:
            return super().popitem(last=not last)

    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: Any) -> None:
        shipped(self, numbers)
        for line in self._lines:
            line.waiting = Stack(line.waiting)

    patch.setattr(Scheduler, "_set", fault)


def caps_forgotten(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: Any) -> None:
        shipped(self, numbers)
        for line in self._lines:
            line.cap = self._total
            line.account.total_tokens = self._total

    patch.setattr(Scheduler, "_set", fault)


def reserves_forgotten(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: Any) -> None:
        shipped(self, numbers)
        self._reserved = ()

    patch.setattr(Scheduler, "_set", fault)


def nobody_admitted_after_a_resize(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler.resize

    def fault(self: Scheduler, **changes: Any) -> None:
        pump, self._pump = self._pump, lambda: None  # type: ignore[method-assign]
        try:
            shipped(self, **changes)
        finally:
            self._pump = pump  # type: ignore[method-assign]

    patch.setattr(Scheduler, "resize", fault)


def seat_lost_when_cancelled_as_it_is_granted(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler.wait

    async def fault(self: Scheduler, seat: Seat, deadline: float = 0) -> None:
        try:
            await shipped(self, seat, deadline)
        except anyio.get_cancelled_exc_class():
            if not seat.live and seat not in self:
                self._in_use += 1
            raise

    patch.setattr(Scheduler, "wait", fault)


def seat_passed_on_to_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_pump", lambda _: None)


def client_never_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_forget", lambda *_: None)


def cancelled_waiter_kept_in_its_queue(patch: pytest.MonkeyPatch) -> None:
    def fault(self: Scheduler, seat: Seat) -> None:
        self._lines[seat.line].cancelled += 1
        self._forget(seat)

    patch.setattr(Scheduler, "leave", fault)


def wait_without_an_end(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: Any) -> None:
        shipped(self, numbers)
        self._max_wait = 1e9

    patch.setattr(Scheduler, "_set", fault)


def boosted_to_the_front(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler.move

    def fault(self: Scheduler, seat: Seat, level: Priority) -> bool:
        moved = shipped(self, seat, level)
        if moved and seat in self:
            self._lines[level].waiting.move_to_end(seat, last=False)
        return moved

    patch.setattr(Scheduler, "move", fault)


def one_too_many_may_wait(patch: pytest.MonkeyPatch) -> None:
    shipped = Scheduler._set

    def fault(self: Scheduler, numbers: Any) -> None:
        shipped(self, numbers)
        for line in self._lines:
            line.bound += 1

    patch.setattr(Scheduler, "_set", fault)


@pytest.mark.parametrize(
    "plant",
    [
        two_levels_swapped,
        last_come_first_served,
        caps_forgotten,
        reserves_forgotten,
        nobody_admitted_after_a_resize,
        seat_lost_when_cancelled_as_it_is_granted,
        seat_passed_on_to_nobody,
        client_never_forgotten,
        cancelled_waiter_kept_in_its_queue,
        wait_without_an_end,
        boosted_to_the_front,
        one_too_many_may_wait,
    ],
)
def test_a_scheduler_that_breaks_a_promise_is_found_out(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Crowded,
            settings=settings(
                max_examples=300,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )

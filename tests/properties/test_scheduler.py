"""The shipped scheduler beside a model of its promises (P1-P9, P13): any sequence of what can happen, on both loops.

Every request is a real task that waits for its seat; what a step does may fall into the same tick as what
the step before it did. Time passes on trio only, where it is virtual.
"""

import os
from collections.abc import Callable
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.properties.scheduler_model import LEVELS, Model, Numbers
from trio.testing import MockClock

from evox.config import PrioritySettings
from evox.errors import Rejected
from evox.scheduling import Priority, Scheduler, Seat

SOAK: Final = bool(os.environ.get("EVOX_SOAK"))
MAX_WAIT: Final = 5.0
NAMES: Final = ("high", "medium", "low")


def numbers_of(settings_: PrioritySettings) -> Numbers:
    return Numbers(
        settings_.total,
        [settings_.cap(name) for name in NAMES],
        [settings_.queue.of(name) for name in NAMES],
        [settings_.reserve.of(name) for name in NAMES],
        settings_.per_client,
    )


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    total = draw(st.integers(1, 4))
    caps = {name: draw(st.integers(1, total)) for name in NAMES}
    left, reserve = total, {}
    for name in NAMES:
        reserve[name] = draw(st.integers(0, min(left, caps[name])))
        left -= reserve[name]
    queue = {name: draw(st.integers(0, 6)) for name in NAMES}
    return {
        "total": total,
        **caps,
        "queue": queue,
        "reserve": draw(st.sampled_from([reserve, reserve, {}])),
        "per_client": draw(st.sampled_from([None, None, 1, 3])),
    }


async def settled() -> None:
    """Let all tasks run until they wait. On asyncio anyio would look every 100 ms whether they do."""
    for _ in range(8):
        await anyio.lowlevel.checkpoint()


class Task:
    """One request: a task that waits for a seat and then keeps it until it is told to give it back."""

    def __init__(self, level: Priority, client: str | None) -> None:
        self.level, self.client = level, client
        self.scope = anyio.CancelScope()
        self.queued: Seat | None = None
        self.seat: Seat | None = None
        self.outcome = "waits"

    async def run(self, scheduler: Scheduler, deadline: float) -> None:
        with self.scope:
            try:
                self.queued = scheduler.enter(self.level, self.client)
                if not self.queued.live:
                    await scheduler.wait(self.queued, deadline)
                self.seat = self.queued
                self.outcome = "runs"
            except Rejected as error:
                self.outcome = error.reason


class Machine(RuleBasedStateMachine):
    """Drives scheduler and model side by side."""

    backend = "trio"

    def __init__(self) -> None:
        super().__init__()
        self.clock = MockClock() if self.backend == "trio" else None
        options = {"clock": self.clock} if self.clock is not None else {}
        self._portal = anyio.from_thread.start_blocking_portal(self.backend, options)
        self.portal = self._portal.__enter__()
        self.settings = PrioritySettings(total=2, low=1, queue=2)
        self.model = Model(numbers_of(self.settings))
        self.tasks: dict[int, Task] = {}
        self.limits: dict[int, float] = {}
        self.serial = 0
        self.scheduler: Scheduler = self.portal.call(Scheduler, self.settings)

    def teardown(self) -> None:
        """Whatever happened: when all have gone, nothing is left."""
        try:
            self.portal.call(self._drain)
        finally:
            self._portal.__exit__(None, None, None)

    async def _drain(self) -> None:
        for task in self.tasks.values():
            task.scope.cancel()
        await settled()
        for task in self.tasks.values():
            while task.seat is not None and task.seat.live:
                task.seat.release()
        await settled()
        seen = self.scheduler.statistics()
        assert (seen.in_use, seen.clients) == (0, 0)
        assert [(one.in_use, one.queued) for one in seen.levels] == [(0, 0)] * 3

    def do(self, *actions: Callable[[], Any]) -> None:
        """Do some things in one tick, and let everything that follows from them happen."""

        async def in_loop() -> None:
            for action in actions:
                action()
            await settled()

        self.portal.call(in_loop)

    def now(self) -> float:
        return self.portal.call(anyio.current_time)

    def start(self, level: int, client: str | None, time: float | None) -> None:
        """Let one request arrive; the model hears of it in the same order."""
        serial, self.serial = self.serial, self.serial + 1
        task = self.tasks[serial] = self.portal.call(Task, Priority(level), client)
        now = self.now()
        deadline = float("inf") if time is None else now + time
        self.limits[serial] = now + MAX_WAIT if time is None else now + min(MAX_WAIT, time / 4)
        expected = self.model.arrive(serial, level, client)
        self.portal.start_task_soon(task.run, self.scheduler, deadline)
        self.do()
        assert task.outcome == expected

    @initialize(size=sizes())
    def begin(self, size: dict[str, Any]) -> None:
        self.resize(size)

    @rule(
        level=st.sampled_from(LEVELS),
        client=st.sampled_from([None, "a", "b"]),
        time=st.sampled_from([None, None, 2.0, 8.0, 100.0]),
    )
    def arrive(self, level: int, client: str | None, time: float | None) -> None:
        self.start(level, client, time if self.clock is not None else None)

    @rule(crowd=st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from([None, "a", "b"])), min_size=2, max_size=8))
    def arrive_together(self, crowd: list[tuple[int, str | None]]) -> None:
        for level, client in crowd:
            self.start(level, client, None)

    @precondition(lambda self: self.model.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        serial = data.draw(st.sampled_from([one.serial for one in self.model.running]))
        self.model.release(serial)
        self.do(self.seat(serial).release)

    @precondition(lambda self: self.model.running)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        serial = data.draw(st.sampled_from([one.serial for one in self.model.running]))
        self.model.share(serial)
        self.seat(serial).share()

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        serial = data.draw(st.sampled_from([one.serial for one in self.model.waiting]))
        self.model.cancel(serial)
        self.do(self.tasks[serial].scope.cancel)

    @precondition(lambda self: self.model.waiting and any(one.holders == 1 for one in self.model.running))
    @rule(data=st.data(), first=st.booleans())
    def P5_cancel_and_grant_in_one_tick(self, data: st.DataObject, first: bool) -> None:
        """A seat is released and a waiter cancelled before anybody has run: whoever had it last passes it on."""
        giving = data.draw(st.sampled_from([one.serial for one in self.model.running if one.holders == 1]))
        leaving = data.draw(st.sampled_from([one.serial for one in self.model.waiting]))
        task = self.tasks[leaving]
        if first:
            self.do(task.scope.cancel, self.seat(giving).release)
        else:
            self.do(self.seat(giving).release, task.scope.cancel)
        self.model.release(giving)
        if task.seat is not None:
            return  # it was granted and woken before the cancellation reached it
        if self.model.one(leaving) in self.model.running:
            self.model.release(leaving)  # granted as it was cancelled: it gives the seat straight back
        else:
            self.model.cancel(leaving)

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data(), level=st.sampled_from(LEVELS))
    def boost(self, data: st.DataObject, level: int) -> None:
        serial = data.draw(st.sampled_from([one.serial for one in self.model.waiting]))
        queued = self.tasks[serial].queued
        assert queued is not None
        found: list[bool] = []
        self.do(lambda: found.append(queued.boost(Priority(level))))
        expected = self.model.boost(serial, level)
        assert found == [expected]

    @precondition(lambda self: self.boosts_behind_another())
    @rule(data=st.data())
    def P8_boosted_behind_those_who_wait(self, data: st.DataObject) -> None:
        """Into a queue that is not empty, and then the first of that queue runs: not the one who was boosted."""
        serial, level = data.draw(st.sampled_from(self.boosts_behind_another()))
        queued = self.tasks[serial].queued
        assert queued is not None
        self.do(lambda: queued.boost(Priority(level)))
        self.model.boost(serial, level)
        while self.model.running and len(self.model.queue(level)) > 1:
            given_back = self.model.running[0].serial
            self.model.release(given_back)
            self.do(self.seat(given_back).release)
            self.P1_P2_P3_P4_P6_P8_the_same_requests_run_and_the_same_wait()

    def boosts_behind_another(self) -> list[tuple[int, int]]:
        return [
            (one.serial, level)
            for one in self.model.waiting
            for level in range(one.level)
            if self.model.queue(level) and len(self.model.queue(level)) < self.model.numbers.bounds[level]
        ]

    @precondition(lambda self: self.serial % 3 == 0)
    @rule(size=sizes())
    def grow_or_shrink(self, size: dict[str, Any]) -> None:
        self.resize(size)

    def resize(self, size: dict[str, Any]) -> None:
        self.model.resize(numbers_of(PrioritySettings(**size)))
        self.do(lambda: self.scheduler.resize(**size))

    @rule(wrong=st.sampled_from([{"total": 0}, {"low": 99}, {"total": -1}, {"reserve": {"low": 99}}, {"colour": 1}]))
    def resize_to_nonsense(self, wrong: dict[str, Any]) -> None:
        def refused() -> None:
            with pytest.raises(ValueError, match=r"."):
                self.scheduler.resize(**wrong)

        self.do(refused)

    @rule(level=st.sampled_from(LEVELS), client=st.sampled_from([None, "a"]))
    def turn_away(self, level: int, client: str | None) -> None:
        numbers = self.model.numbers
        over = (
            numbers.per_client is not None and client is not None and self.model.of_client(client) >= numbers.per_client
        )
        full = not self.model.has_room(level) and len(self.model.queue(level)) >= numbers.bounds[level]
        reason = "per_client" if over else "queue_full" if full else None
        found: list[str | None] = []

        def turn() -> None:
            try:
                self.scheduler.turn_away(Priority(level), client)
                found.append(None)
            except Rejected as error:
                found.append(error.reason)

        self.do(turn)
        assert found == [reason]
        if reason is not None:
            self.model.arrived[level] += 1
            self.model.rejected[level, reason] += 1

    @precondition(lambda self: self.clock is not None)
    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.0, 5.0]))
    def P7_time_passes(self, seconds: float) -> None:
        assert self.clock is not None
        self.portal.call(self.clock.jump, seconds)
        self.do()
        now = self.now()
        for one in list(self.model.waiting):
            if self.limits[one.serial] <= now:
                self.model.expire(one.serial)
                assert self.tasks[one.serial].outcome == "time_out"

    def seat(self, serial: int) -> Seat:
        seat = self.tasks[serial].seat
        assert seat is not None
        return seat

    @invariant()
    def P1_P2_P3_P4_P6_P8_the_same_requests_run_and_the_same_wait(self) -> None:
        for one in self.model.running:
            assert self.seat(one.serial).live
        running = {serial for serial, task in self.tasks.items() if task.seat is not None and task.seat.live}
        assert running == {one.serial for one in self.model.running}
        seen = self.portal.call(self.scheduler.statistics)
        assert seen.in_use == len(self.model.running)
        for level in LEVELS:
            assert seen.levels[level].in_use == self.model.in_use(level)
            assert seen.levels[level].queued == len(self.model.queue(level))
        assert seen.clients == len({one.client for one in [*self.model.running, *self.model.waiting]} - {None})

    @invariant()
    def P13_the_books_are_the_same_and_balanced(self) -> None:
        for level, one in zip(LEVELS, self.portal.call(self.scheduler.statistics).levels, strict=True):
            rejected = {reason: count for (where, reason), count in self.model.rejected.items() if where == level}
            assert dict(one.rejected) == rejected
            assert (one.arrived, one.admitted) == (self.model.arrived[level], self.model.admitted[level])
            assert one.cancelled == self.model.cancelled[level]
            assert one.arrived == one.admitted + one.cancelled + one.queued + sum(one.rejected.values())


class OnAsyncio(Machine):
    """The same on asyncio."""

    backend = "asyncio"


@pytest.mark.parametrize("machine", [Machine, OnAsyncio])
def test_P1_to_P9_the_scheduler_does_what_its_promises_say(
    machine: type[Machine], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", logger="evox.admission")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=1000 if SOAK else 80,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )

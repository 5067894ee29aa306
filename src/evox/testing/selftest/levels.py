"""Levels: a random history of requests on the shipped scheduler, in time of its own, and what must hold of it.

The history is drawn once for given settings and seed and fills every seat. What is expected is worked out from what was
seen here (who asked, who holds a seat, who waits), and from nothing that the scheduler says of itself.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from evox.config import PrioritySettings
from evox.errors import Rejected
from evox.scheduling import Priority, Scheduler, Seat

__all__ = ["Crowd", "Grant", "crowd", "fill", "flood"]

STEPS: Final = 1200
MOST: Final = 12_000
OVER: Final = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """One who waited was given a seat.

    Attributes:
        level: Of the request.
        number: Its number, in order of arrival.
        passed: One of its level that came before it and still waited.
        earlier: Levels that should have come before its own: somebody waited there and could have run.
    """

    level: Priority
    number: int
    passed: int | None
    earlier: tuple[Priority, ...]


@dataclass
class Crowd:
    """Requests on one scheduler, and what was seen of them.

    Attributes:
        settings: How many may run and wait.
        grants: Those who were given a seat after a wait, in order.
        over: Where more ran at a time than may, in words.
        idle: Where somebody waited who could have run, in words.
    """

    settings: PrioritySettings
    grants: list[Grant] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = 0.0
        self.scheduler = Scheduler(self.settings, name="the self-test", clock=lambda: self._now)
        self.arrived = dict.fromkeys(Priority, 0)
        self.rejected = dict.fromkeys(Priority, 0)
        self.cancelled = dict.fromkeys(Priority, 0)
        self.admitted = dict.fromkeys(Priority, 0)
        self.holding: list[tuple[Priority, Seat]] = []
        self.in_use = dict.fromkeys(Priority, 0)
        self.waiting: dict[Priority, dict[int, Seat]] = {level: {} for level in Priority}
        self._serial = 0

    def cap(self, level: Priority) -> int:
        """Return how many of a level may run."""
        return self.settings.cap(level.label)

    def arrive(self, level: Priority) -> int:
        """Let a request come; return its number."""
        self._now += 0.001
        self._serial += 1
        number = self._serial
        self.arrived[level] += 1
        try:
            seat = self.scheduler.enter(level)
        except Rejected:
            self.rejected[level] += 1
        else:
            if seat.live:
                self._hold(level, seat)
            else:
                self.waiting[level][number] = seat
                seat.on_granted = partial(self._granted, level, number)
        self._look()
        return number

    def leave(self, index: int) -> None:
        """Let one who runs be done."""
        self._now += 0.001
        level, seat = self.holding[index]
        self.holding[index] = self.holding[-1]
        self.holding.pop()
        self.in_use[level] -= 1
        seat.on_granted = None
        seat.release()
        self._look()

    def give_up(self, level: Priority, number: int) -> None:
        """Let one who waits go."""
        self.scheduler.leave(self.waiting[level].pop(number))
        self.cancelled[level] += 1
        self._look()

    def has_room(self, level: Priority) -> bool:
        """Whether one of a level could run now."""
        return sum(self.in_use.values()) < self.settings.total and self.in_use[level] < self.cap(level)

    def _granted(self, level: Priority, number: int) -> None:
        seat = self.waiting[level].pop(number)
        first = next(iter(self.waiting[level]), number)  # they stand there as they came
        is_owed = self._is_owed(level)
        earlier = tuple(
            one
            for one in Priority
            if one is not level and self.waiting[one] and self.in_use[one] < self.cap(one)
            if ((self._is_owed(one) or one < level) if not is_owed else (self._is_owed(one) and one < level))
        )
        self.grants.append(Grant(level, number, first if first < number else None, earlier))
        self._hold(level, seat)

    def _is_owed(self, level: Priority) -> bool:
        """Whether a level has fewer seats than are kept for it, and so goes first."""
        return self.in_use[level] < self.settings.reserve.of(level.label)

    def _hold(self, level: Priority, seat: Seat) -> None:
        self.admitted[level] += 1
        self.in_use[level] += 1
        self.holding.append((level, seat))

    def _look(self) -> None:
        """Note what must not be, now that all that follows from a step has happened."""
        if sum(self.in_use.values()) > self.settings.total:
            self.over.append(f"{sum(self.in_use.values())} seats of {self.settings.total} taken")
        for level in Priority:
            if self.in_use[level] > self.cap(level):
                self.over.append(f"{self.in_use[level]} of {level.label} running, and {self.cap(level)} may")
            if self.waiting[level] and self.has_room(level):
                self.idle.append(f"one of {level.label} waits, and there is room")


def crowd(settings: PrioritySettings, seed: int = 1) -> Crowd:
    """Return what was seen of a crowd: all seats are taken, queues fill, and some give up.

    Args:
        settings: How many may run and wait.
        seed: The same seed gives the same requests.
    """
    made, draw = Crowd(settings), random.Random(seed)  # noqa: S311  requests, which are to be the same each time
    levels = tuple(Priority)
    fill(made, list(reversed(Priority)))
    for level in (Priority.LOW, Priority.MEDIUM, Priority.HIGH) * 3:
        made.arrive(level)
    weights = (1, 1, 1)
    steps: list[Callable[[], object]] = [
        lambda: made.arrive(draw.choices(levels, weights)[0]),
        lambda: _leave(made, draw),
        lambda: _give_up(made, draw),
    ]
    length = min(MOST, STEPS + 2 * settings.total)
    for step in range(length):
        if step == length // 2:
            weights = (6, 3, 1)  # enough of the higher levels for LOW to be left with what is kept for it
        draw.choices(steps, (10, 9, 1))[0]()
    return made


def fill(made: Crowd, order: Sequence[Priority]) -> None:
    """Take every seat, those of one level after the other."""
    for level in order:
        while made.has_room(level):
            before = made.admitted[level]
            made.arrive(level)
            if made.admitted[level] == before:
                return  # it was not let in where there is room, which was noted


def flood(settings: PrioritySettings, level: Priority) -> Crowd:
    """Return what was seen when more of one level came than may run, and nobody else."""
    made = Crowd(settings)
    for _ in range(made.cap(level) + OVER):
        made.arrive(level)
    return made


def _leave(made: Crowd, draw: random.Random) -> None:
    if made.holding:
        made.leave(draw.randrange(len(made.holding)))


def _give_up(made: Crowd, draw: random.Random) -> None:
    waiting = [(level, number) for level in Priority for number in list(made.waiting[level])[:20]]
    if waiting:
        made.give_up(*draw.choice(waiting))

"""Simulation: the shipped scheduler under an overload, in virtual time.

Requests arrive at random (Poisson), take a seat for a random time (exponential), and count as a success if they end
within their deadline. Only the clock and the requests are made up: queues, seats and the choice of who is next are
``evox.scheduling.Scheduler``, through the same calls that the pipeline makes. Nothing waits, so a minute of a
thousand requests a second takes less than a second, and the same seed gives the same numbers on every machine.
"""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final, TypeAlias

from evox.config import PrioritySettings
from evox.errors import Rejected
from evox.scheduling import Priority, Scheduler, Seat

__all__ = ["POLICIES", "Policy", "Scenario", "Tally", "simulate"]

LEVELS: Final = tuple(Priority)
WEIGHTS: Final = (0.2, 0.3, 0.5)
SHARE: Final = 4  # a request waits for a seat at most one in so many parts of its time
_Event: TypeAlias = tuple[float, int, Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests are admitted.

    Attributes:
        name: For the table.
        settings: Seats and queues.
        levels: Whether levels count; if not, all requests wait in one queue until their time is over.
    """

    name: str
    settings: PrioritySettings
    levels: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens. Times in seconds.

    Attributes:
        load: Requests that arrive, as a multiple of what the seats can do.
        seats: How many run at the same time.
        service: What a request takes, on average.
        deadline: How long a request has, its wait included.
        warm_up: What is left out of the numbers at the start.
        length: What is counted.
    """

    load: float
    seats: int = 10
    service: float = 0.010
    deadline: float = 0.5
    warm_up: float = 5.0
    length: float = 60.0


SEATS: Final = {"total": 10, "high": 10, "medium": 10, "low": 10}
POLICIES: Final = (
    Policy("one FIFO, no bound", PrioritySettings(total=10, medium=10, queue=10**9), levels=False),
    Policy("strict, bound 20", PrioritySettings(**SEATS, queue=20)),
    Policy("strict, reserve 0/1/1", PrioritySettings(**SEATS, queue=20, reserve={"medium": 1, "low": 1})),
)


@dataclass(slots=True)
class Tally:
    """What became of the requests of one level. ``took`` holds the seconds of those that were answered in time."""

    offered: int = 0
    took: list[float] = field(default_factory=list)

    @property
    def success(self) -> float:
        """Share of requests that were answered in time, from 0 to 1."""
        return len(self.took) / self.offered if self.offered else math.nan

    def percentile(self, share: float) -> float:
        """Return the seconds within which this share of the successes was answered."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def simulate(policy: Policy, scenario: Scenario, seed: int) -> dict[Priority, Tally]:
    """Run one scenario once.

    Args:
        policy: How requests are admitted.
        scenario: What happens.
        seed: The same seed gives the same requests, whatever the policy.
    """
    return _Run(policy, scenario, seed).run()


class _Run:
    def __init__(self, policy: Policy, scenario: Scenario, seed: int) -> None:
        self._policy, self._scenario = policy, scenario
        self._random = random.Random(seed)  # noqa: S311  a simulation
        self._now = 0.0
        self._events: list[_Event] = []
        self._serial = count()
        self._tallies = {level: Tally() for level in Priority}
        self._scheduler = Scheduler(policy.settings, clock=lambda: self._now)

    def run(self) -> dict[Priority, Tally]:
        """Let everything happen, in order of time."""
        end = self._scenario.warm_up + self._scenario.length
        self._next_arrival()
        while self._events[0][0] <= end:
            self._now, _, happens = heapq.heappop(self._events)
            happens()
        return self._tallies

    def _at(self, when: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._serial), happens))

    def _next_arrival(self) -> None:
        """Draw the next request: when, which level, how long. The order of draws is the same for every policy."""
        one, draw = self._scenario, self._random
        when = self._now + draw.expovariate(one.load * one.seats / one.service)
        level = draw.choices(LEVELS, WEIGHTS)[0]
        self._at(when, partial(self._arrive, level, draw.expovariate(1 / one.service)))

    def _arrive(self, level: Priority, takes: float) -> None:
        self._next_arrival()
        one = self._scenario
        over = self._now + one.deadline
        tally = self._tallies[level] if one.warm_up <= self._now <= one.warm_up + one.length - one.deadline else Tally()
        tally.offered += 1
        try:
            seat = self._scheduler.enter(level if self._policy.levels else Priority.MEDIUM)
        except Rejected:
            return
        began = self._now
        run = partial(self._run_on, seat, tally, began, takes, over)
        if seat.live:
            run()
            return
        seat.on_granted = run
        patience = min(one.deadline / SHARE, self._policy.settings.max_wait) if self._policy.levels else one.deadline
        self._at(began + patience, partial(self._give_up, seat))

    def _run_on(self, seat: Seat, tally: Tally, arrived: float, takes: float, over: float) -> None:
        """Hold the seat until the request is done or its time is over."""
        done = self._now + takes
        self._at(min(done, over), partial(self._end, seat, tally, done - arrived if done <= over else None))

    def _end(self, seat: Seat, tally: Tally, took: float | None) -> None:
        seat.on_granted = None
        seat.release()
        if took is not None:
            tally.took.append(took)

    def _give_up(self, seat: Seat) -> None:
        if seat in self._scheduler:
            self._scheduler.expire(seat)

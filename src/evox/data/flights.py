"""Flights: one run of a piece of work for all who want its result at the same time.

A flight runs in the service's nursery and not in the task of whoever asked first, so that nobody's leaving ends it for
the others; when the last has left it is cancelled, unless it is to be finished in any case. It rides on the seat of the
call that began it, and ends with the latest deadline of those who wait for it. Whoever comes after a flight was
forgotten begins another, and so does who has seen a newer state than it began with: its result may be from before a
change.
"""

import math
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evox import context
from evox.data.backends.base import Lease
from evox.data.database import outside_transactions
from evox.data.last_changes import LastChanges
from evox.errors import Escaped, RecursiveLoader, ServiceUnavailable
from evox.strays import is_stray

__all__ = ["Flight", "Flights", "FlightsStatistics"]

LONGEST: Final = 300.0  # seconds that a flight may take for which nobody waits
GUARDS: Final = 1000
Forgotten = Callable[[str | None, str | None, float], None]


class Flight:
    """One run.

    Attributes:
        lease: What was seen of its key before its source was asked; None as long as it has not been.
        deadline: When it ends, in monotonic seconds.
        waits_for: Flights that its own work waits for.
    """

    __slots__ = (
        "deadline",
        "done",
        "error",
        "expired",
        "finish",
        "guards",
        "key",
        "lease",
        "result",
        "scope",
        "seat",
        "traceback",
        "waiting",
        "waits_for",
    )

    def __init__(self, key: str, guards: frozenset[str], *, finish: bool) -> None:
        self.key, self.guards, self.finish = key, guards, finish
        self.lease: Lease | None = None
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.seat: context.SeatScope | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None
        self.expired = False
        self.waiting = 0
        self.waits_for: list[Flight] = []
        self.deadline = -math.inf
        self.extend(finish=finish)

    def extend(self, *, finish: bool) -> None:
        """Let it last as long as another who wants its result can wait."""
        self.finish = self.finish or finish
        wanted = anyio.current_effective_deadline()
        if self.finish:
            wanted = max(wanted, anyio.current_time() + LONGEST)
        if wanted > self.deadline:
            self.deadline = self.scope.deadline = wanted

    def left_alone(self) -> None:
        """Bound it, as nobody waits for it any more."""
        self.deadline = self.scope.deadline = min(self.deadline, anyio.current_time() + LONGEST)

    def is_older(self, lease: Lease | None) -> bool:
        """Whether its source was asked before a state that somebody has seen since."""
        mine = self.lease
        if mine is None or lease is None or min(mine.version, lease.version) < 0:
            return False
        known = dict(mine.guards)
        return mine.version < lease.version or any(known.get(name, seen) < seen for name, seen in lease.guards)

    def reaches(self, others: tuple["Flight", ...]) -> bool:
        """Whether it waits for one of several, or for one that does, and so on."""
        seen: set[int] = set()
        ahead = [self]
        while ahead:
            one = ahead.pop()
            if one in others:
                return True
            if id(one) not in seen:
                seen.add(id(one))
                ahead += one.waits_for
        return False


Work = Callable[[Flight], Awaitable[Any]]
_aboard: ContextVar[tuple[Flight, ...]] = context.of_request(ContextVar("evox_aboard", default=()), ())


@dataclass(frozen=True, slots=True)
class FlightsStatistics:
    """Flights now, and since the start: begun, joined by others, cancelled because nobody was left."""

    running: tuple[str, ...]
    begun: int
    joined: int
    abandoned: int


class Flights:
    """The flights of one service.

    Args:
        group: Where they run.
        service: The service's name.

    Attributes:
        on_forget: Told which key or guard was forgotten, and the version of the change; ``inf`` for one made here.
        moves: Counts changes of guards.
    """

    def __init__(self, group: TaskGroup, service: str) -> None:
        self._group = group
        self.service = service
        self._flights: dict[str, Flight] = {}
        self.on_forget: Forgotten = _nobody
        self.moves = 0
        self._moved = LastChanges(GUARDS)
        self._begun = self._joined = self._abandoned = 0

    def __repr__(self) -> str:
        return f"<Flights of {self.service}, {len(self._flights)} running>"

    async def join(
        self, key: str, work: Work, *, guards: Iterable[str] = (), finish: bool = False, lease: Lease | None = None
    ) -> Any:
        """Return the result of the flight under a key; begin it if there is none.

        Args:
            key: What identifies the work.
            work: Called with the flight if there is none.
            guards: Names under which ``forget_guard`` finds it.
            finish: Whether it is finished even when nobody is left who waits.
            lease: What was seen of the key.

        Raises:
            Exception: what the work raised, to all who waited.
            RecursiveLoader: if this task runs in that very flight, or that flight waits for one that it runs in, so
                that it would wait for itself.
        """
        aboard = _aboard.get()
        while True:
            flight = self._flights.get(key)
            if any(one.key == key for one in aboard) or (flight is not None and aboard and flight.reaches(aboard)):
                raise RecursiveLoader(key.partition(":")[2])
            if flight is None or flight.is_older(lease):
                flight = self._begin(key, work, frozenset(guards), finish=finish)
            else:
                self._joined += 1
                flight.extend(finish=finish)
                _lend(flight)
            await self._wait(flight, aboard[-1] if aboard else None)
            if flight.error is not None:
                raise flight.error.with_traceback(flight.traceback)  # else it would grow with each who raises it
            if not flight.expired:
                return flight.result

    def begin(self, key: str, work: Work, *, guards: Iterable[str] = ()) -> None:
        """Begin a flight for which nobody waits, unless there is one."""
        if key not in self._flights and not any(one.key == key for one in _aboard.get()):
            self._begin(key, work, frozenset(guards), finish=True).left_alone()

    def forget(self, key: str, version: float = math.inf) -> None:
        """Let those who come from now on begin another flight, if it began before a version."""
        flight = self._flights.get(key)
        if flight is not None and _began_before(flight, version, None):
            del self._flights[key]
        self.on_forget(key, None, version)

    def forget_guard(self, guard: str, version: float = math.inf) -> None:
        """Forget all flights under a guard that began before a version."""
        self.moves += 1
        self._moved.note(guard, self.moves)
        if self._flights:
            found = [key for key, flight in self._flights.items() if guard in flight.guards]
            for key in found:
                if _began_before(self._flights[key], version, guard):
                    del self._flights[key]
        self.on_forget(None, guard, version)

    def forget_all(self) -> None:
        """Forget all flights."""
        self._flights.clear()

    def moved(self, guards: Iterable[str], since: int) -> bool:
        """Whether one of several guards was changed since ``moves`` had a value."""
        return any(self._moved.of(guard) > since for guard in guards)

    def statistics(self) -> FlightsStatistics:
        """Return what flies, and counts."""
        keys = tuple(key.partition(":")[2] for key in self._flights)
        return FlightsStatistics(keys, self._begun, self._joined, self._abandoned)

    def _begin(self, key: str, work: Work, guards: frozenset[str], *, finish: bool) -> Flight:
        flight = Flight(key, guards, finish=finish)
        flight.seat = context.maybe_seat()
        if flight.seat is not None:
            flight.seat.share()
        self._flights[key] = flight
        self._begun += 1
        shown = key.partition("/")[2]
        self._group.start_soon(self._run, flight, work, name=f"svc:{self.service}/fill:{shown:.80}")
        return flight

    async def _run(self, flight: Flight, work: Work) -> None:
        _aboard.set((*_aboard.get(), flight))
        outside_transactions()  # what is not committed is nobody else's
        try:
            with flight.scope:
                flight.result = await work(flight)
            flight.expired = flight.scope.cancelled_caught
        except Exception as error:  # noqa: BLE001  told to all who wait
            flight.error, flight.traceback = error, error.__traceback__
        except BaseException as error:
            if not is_stray(error, own=True):
                flight.error = ServiceUnavailable(self.service, "draining")
                raise
            flight.error = Escaped(f"the source of {flight.key.partition(':')[2]!r}", error)
        finally:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            if flight.seat is not None:
                flight.seat.release()
            flight.done.set()

    async def _wait(self, flight: Flight, waiter: Flight | None) -> None:
        flight.waiting += 1
        if waiter is not None:
            waiter.waits_for.append(flight)
        try:
            await flight.done.wait()
        finally:
            if waiter is not None:
                waiter.waits_for.remove(flight)
            flight.waiting -= 1
            if not flight.waiting and flight.finish:
                flight.left_alone()
            if not (flight.waiting or flight.finish or flight.done.is_set()):
                self._abandoned += 1
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]
                flight.scope.cancel()


def _began_before(flight: Flight, version: float, guard: str | None) -> bool:
    """Whether a flight's source was asked before a change. One that has yet to ask it will see the change."""
    if version == math.inf:
        return True
    if flight.lease is None:
        return False
    return (flight.lease.version if guard is None else dict(flight.lease.guards).get(guard, 0)) < version


def _nobody(key: str | None, guard: str | None, version: float) -> None:
    """Nobody wants to know."""
    del key, guard, version


def _lend(flight: Flight) -> None:
    """Let a flight count as the highest level of those who wait for it."""
    mine = context.maybe_seat()
    if mine is not None and flight.seat is not None and flight.seat.live and mine.level < flight.seat.level:
        flight.seat.boost(mine.level)

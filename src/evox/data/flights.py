"""Flights: one run of a piece of work for all who want its result at the same time.

A flight runs in the service's nursery and not in the task of whoever asked first, so that nobody's leaving ends it for
the others; when the last has left it is cancelled, unless it is to be finished in any case. It rides on the seat and
deadline of the call that began it. Whoever comes after a flight was forgotten begins another: its result may be from
before a change.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evox import context
from evox.data.database import outside_transactions
from evox.errors import RecursiveLoader, ServiceUnavailable

__all__ = ["Flights", "FlightsStatistics"]

LONGEST: Final = 300.0  # seconds that a flight may take for which nobody waits
_aboard: ContextVar[frozenset[str]] = ContextVar("evox_aboard", default=frozenset())
Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class FlightsStatistics:
    """Flights now, and since the start: begun, joined by others, cancelled because nobody was left."""

    running: tuple[str, ...]
    begun: int
    joined: int
    abandoned: int


class _Flight:
    __slots__ = (
        "done",
        "error",
        "expired",
        "finish",
        "guards",
        "key",
        "result",
        "scope",
        "seat",
        "traceback",
        "waiting",
    )

    def __init__(self, key: str, guards: frozenset[str], *, finish: bool) -> None:
        self.key, self.guards, self.finish = key, guards, finish
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.seat: context.SeatScope | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None
        self.expired = False
        self.waiting = 0


class Flights:
    """The flights of one service.

    Args:
        group: Where they run.
        service: The service's name.

    Attributes:
        on_forget: Told which key or guard was forgotten.
    """

    def __init__(self, group: TaskGroup, service: str) -> None:
        self._group = group
        self._service = service
        self._flights: dict[str, _Flight] = {}
        self.on_forget: Callable[[str | None, str | None], None] = _nobody
        self._begun = self._joined = self._abandoned = 0

    def __repr__(self) -> str:
        return f"<Flights of {self._service}, {len(self._flights)} running>"

    async def join(self, key: str, work: Work, *, guards: Iterable[str] = (), finish: bool = False) -> Any:
        """Return the result of the flight under a key; begin it if there is none.

        Args:
            key: What identifies the work.
            work: Called if there is no flight.
            guards: Names under which ``forget_guard`` finds it.
            finish: Whether it is finished even when nobody is left who waits.

        Raises:
            Exception: what the work raised, to all who waited.
            RecursiveLoader: if this task runs in that very flight, so that it would wait for itself.
        """
        if key in _aboard.get():
            raise RecursiveLoader(key.partition(":")[2])
        while True:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._begin(key, work, frozenset(guards), finish=finish)
            else:
                self._joined += 1
                flight.finish = flight.finish or finish
                _lend(flight)
            await self._wait(flight)
            if flight.error is not None:
                raise flight.error.with_traceback(flight.traceback)  # else it would grow with each who raises it
            if not flight.expired:
                return flight.result

    def begin(self, key: str, work: Work, *, guards: Iterable[str] = ()) -> None:
        """Begin a flight for which nobody waits, unless there is one."""
        if key not in self._flights and key not in _aboard.get():
            self._begin(key, work, frozenset(guards), finish=True)

    def forget(self, key: str) -> None:
        """Let those who come from now on begin another flight."""
        self._flights.pop(key, None)
        self.on_forget(key, None)

    def forget_guard(self, guard: str) -> None:
        """Forget all flights under a guard."""
        for key in [key for key, flight in self._flights.items() if guard in flight.guards]:
            del self._flights[key]
        self.on_forget(None, guard)

    def forget_all(self) -> None:
        """Forget all flights."""
        self._flights.clear()

    def statistics(self) -> FlightsStatistics:
        """Return what flies, and counts."""
        keys = tuple(key.partition(":")[2] for key in self._flights)
        return FlightsStatistics(keys, self._begun, self._joined, self._abandoned)

    def _begin(self, key: str, work: Work, guards: frozenset[str], *, finish: bool) -> _Flight:
        flight = _Flight(key, guards, finish=finish)
        deadline = anyio.current_time() + LONGEST if finish else math.inf
        flight.scope.deadline = deadline if finish else anyio.current_effective_deadline()
        flight.seat = context.maybe_seat()
        if flight.seat is not None:
            flight.seat.share()
        self._flights[key] = flight
        self._begun += 1
        shown = key.partition("/")[2]
        self._group.start_soon(self._run, flight, work, name=f"svc:{self._service}/fill:{shown:.80}")
        return flight

    async def _run(self, flight: _Flight, work: Work) -> None:
        _aboard.set(_aboard.get() | {flight.key})
        outside_transactions()  # what is not committed is nobody else's
        try:
            with flight.scope:
                flight.result = await work()
            flight.expired = flight.scope.cancelled_caught
        except Exception as error:  # noqa: BLE001  told to all who wait
            flight.error, flight.traceback = error, error.__traceback__
        except BaseException as error:
            if not _is_stray(error):
                flight.error = ServiceUnavailable(self._service, "draining")
                raise
            why = "what it waited for was cancelled by somebody else, as asyncio lets anybody do"
            flight.error = RuntimeError(f"the source of {flight.key.partition(':')[2]!r} did not finish: {why}")
        finally:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            if flight.seat is not None:
                flight.seat.release()
            flight.done.set()

    async def _wait(self, flight: _Flight) -> None:
        flight.waiting += 1
        try:
            await flight.done.wait()
        finally:
            flight.waiting -= 1
            if not (flight.waiting or flight.finish or flight.done.is_set()):
                self._abandoned += 1
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]
                flight.scope.cancel()


def _is_stray(error: BaseException) -> bool:
    """Whether a cancellation is nobody's who may cancel a flight: it came out of what the work itself waited for."""
    if not isinstance(error, asyncio.CancelledError) or anyio.current_effective_deadline() == -math.inf:
        return False
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


def _nobody(key: str | None, guard: str | None) -> None:
    """Nobody wants to know."""
    del key, guard


def _lend(flight: _Flight) -> None:
    """Let a flight count as the highest level of those who wait for it."""
    mine = context.maybe_seat()
    if mine is not None and flight.seat is not None and flight.seat.live and mine.level < flight.seat.level:
        flight.seat.boost(mine.level)

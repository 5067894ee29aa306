"""Scheduler: admits calls by priority, within a total and a cap for each level.

Each level has a queue of its own, which decides who is next: the highest level that has someone waiting and room to
run, first come first served within it. ``anyio.CapacityLimiter``s keep the account of who holds what. All changes of
state are synchronous; only ``wait`` waits. Whoever runs is never interrupted for one who waits.

After every change nobody is left waiting who could run. So one who arrives and finds room may take it: nobody has a
better claim.
"""

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

import anyio

from evox import context, events, spans
from evox.config import PrioritySettings
from evox.errors import Overloaded, Rejected, TooManyRequests
from evox.scheduling.pressure import Pressure
from evox.scheduling.priority import Priority
from evox.scheduling.seat import Seat
from evox.scheduling.statistics import WAITS, LevelStatistics, SchedulerStatistics
from evox.scheduling.waits import Wait, note_queue_full

__all__ = ["Scheduler"]

SHARE: Final = 4  # of the time that a call has, it may wait one in so many parts
_log = logging.getLogger("evox.admission")


class _Line:
    """One level: its numbers, and its queue."""

    __slots__ = (
        *("level", "cap", "bound", "reserve", "in_use", "waiting", "account", "pressure"),
        *("arrived", "admitted", "cancelled", "rejected", "waited", "waits"),
    )

    def __init__(self, level: Priority) -> None:
        self.level = level
        self.cap = self.bound = self.reserve = self.in_use = 0
        self.waiting: OrderedDict[Seat, None] = OrderedDict()
        self.account = anyio.CapacityLimiter(1)
        self.pressure = Pressure()
        self.arrived = self.admitted = self.cancelled = 0
        self.rejected: Counter[str] = Counter()
        self.waited = 0.0
        self.waits = [0] * (len(WAITS) + 1)


class _Client:
    """One client's requests, running and waiting."""

    __slots__ = ("count", "pressure")

    def __init__(self) -> None:
        self.count = 0
        self.pressure = Pressure()


class Scheduler:
    """Admits by priority.

    Args:
        settings: How many may run and wait.
        name: Whose seats they are, for errors and logs.
        clock: Monotonic seconds.

    Attributes:
        limits_clients: Whether it has to be told whose request it is.
    """

    def __init__(
        self,
        settings: PrioritySettings | None = None,
        *,
        name: str = "this process",
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.name = name
        self._clock = clock
        self._in_use = 0
        self._lines = tuple(_Line(level) for level in Priority)
        self._clients: dict[Hashable, _Client] = {}
        self._set(settings or PrioritySettings())

    def __repr__(self) -> str:
        queued = sum(len(line.waiting) for line in self._lines)
        return f"<Scheduler of {self.name}: {self._in_use} of {self._total} seats taken, {queued} waiting>"

    def __contains__(self, seat: Seat) -> bool:
        return seat in self._lines[seat.line].waiting

    def statistics(self) -> SchedulerStatistics:
        """Return seats, queues and counts."""
        now = self._clock() if any(line.waiting for line in self._lines) else 0.0
        levels = tuple(
            LevelStatistics(
                *(line.level, line.cap, line.bound, line.reserve, line.account.borrowed_tokens, len(line.waiting)),
                oldest=now - next(iter(line.waiting)).arrived if line.waiting else 0.0,
                arrived=line.arrived,
                admitted=line.admitted,
                cancelled=line.cancelled,
                rejected=dict(line.rejected),
                waited=line.waited,
                waits=tuple(line.waits),
            )
            for line in self._lines
        )
        return SchedulerStatistics(self.name, self._total, self._in_use, len(self._clients), levels)

    def resize(self, **changes: Any) -> None:
        """Change numbers while requests run, as in ``[tool.evox.priority]``: ``resize(total=20, low=5)``.

        After a cut nobody new is admitted until what runs has come down to it; nobody who runs or waits is turned away.

        Raises:
            ValueError: if the numbers contradict each other; nothing is changed then.
        """
        self._set(PrioritySettings(**self._settings.model_dump(exclude_unset=True) | changes))
        self._pump()

    def enter(self, level: Priority, client: Hashable | None = None) -> Seat:
        """Ask for a seat.

        Args:
            level: The level to be admitted in.
            client: Whose request it is, if clients are limited.

        Returns:
            A seat: ``live`` if it is granted, else queued for. Every live seat has to be released, every queued one
            handed to ``wait`` or ``leave``.

        Raises:
            Overloaded: if the queue of the level is full.
            TooManyRequests: if the client has as many requests as it may.
        """
        line = self._lines[level]
        line.arrived += 1
        seat = Seat(self, level, None)
        if self._per_client is not None and client is not None:
            self._count(line, client)
            seat.client = client
        if self._in_use < self._total and line.in_use < line.cap:
            self._take(line, seat)
            return seat
        if len(line.waiting) >= line.bound:
            self._forget(seat)
            raise self._overloaded(line, "queue_full")
        seat.arrived = self._clock()
        line.waiting[seat] = None
        return seat

    def turn_away(self, level: Priority, client: Hashable | None = None) -> None:
        """Reject at once what ``enter`` would reject now; for one who has something to do before it can enter.

        Raises:
            Overloaded, TooManyRequests: as ``enter`` does.
        """
        line = self._lines[level]
        known = self._clients.get(client) if client is not None else None
        if self._per_client is not None and known is not None and known.count >= self._per_client:
            line.arrived += 1
            raise self._too_many(line, known)
        full = self._in_use >= self._total or line.in_use >= line.cap
        if full and len(line.waiting) >= line.bound:
            line.arrived += 1
            raise self._overloaded(line, "queue_full")

    async def acquire(self, level: Priority, client: Hashable | None = None, *, deadline: float = math.inf) -> Seat:
        """Return a seat that is granted; does not checkpoint if there is one at once.

        Args:
            level: The level to be admitted in.
            client: Whose request it is, if clients are limited.
            deadline: When the call has to be done, in monotonic seconds; the deadline of the current scope counts too.

        Raises:
            Overloaded, TooManyRequests: as ``enter`` does, or if the wait took too long.
        """
        seat = self.enter(level, client)
        if not seat.live:
            await self.wait(seat, deadline)
        return seat

    async def wait(self, seat: Seat, deadline: float = math.inf) -> None:
        """Wait until a queued seat is granted. Cancelled or rejected, it leaves nothing behind.

        Raises:
            Overloaded: if that took longer than ``max_wait``, or than a quarter of the time until ``deadline``.
        """
        if spans.tracer() is None:
            await self._wait(seat, deadline)
            return
        with Wait(seat, self._clock() - seat.arrived):
            await self._wait(seat, deadline)

    async def _wait(self, seat: Seat, deadline: float) -> None:
        left = min(deadline, anyio.current_effective_deadline()) - seat.arrived
        granted = anyio.Event()
        seat.on_granted = granted.set
        try:
            with anyio.CancelScope(deadline=seat.arrived + min(left / SHARE, self._max_wait)):
                await granted.wait()
        except BaseException:
            if seat.live:  # granted in the same moment
                seat.release()
            else:
                self.leave(seat)
            raise
        if not seat.live:
            raise self.expire(seat)

    def leave(self, seat: Seat) -> None:
        """Take a queued seat out of its queue: nobody waits for it any more."""
        line = self._lines[seat.line]
        del line.waiting[seat]
        line.cancelled += 1
        self._forget(seat)

    def expire(self, seat: Seat) -> Rejected:
        """Take a queued seat out of its queue because it waited too long, and return the error that says so."""
        line = self._lines[seat.line]
        del line.waiting[seat]
        self._forget(seat)
        return self._overloaded(line, "time_out")

    def free(self, seat: Seat) -> None:
        """Take back a seat. Called by the last who releases it."""
        line = self._lines[seat.line]
        self._in_use -= 1
        line.in_use -= 1
        line.account.release_on_behalf_of(seat)
        if seat.client is not None:
            self._forget(seat)
        high, medium, low = self._lines
        if high.waiting or medium.waiting or low.waiting:
            self._pump()

    def move(self, seat: Seat, level: Priority) -> bool:
        """Move a queued seat to the end of another level's queue, if there is room. Called by ``Seat.boost``."""
        before, after = self._lines[seat.line], self._lines[level]
        if seat not in before.waiting or len(after.waiting) >= after.bound:
            return False
        del before.waiting[seat]
        before.arrived -= 1
        after.arrived += 1
        after.waiting[seat] = None
        seat.level = seat.line = level
        self._pump()
        return True

    def _set(self, settings: PrioritySettings) -> None:
        self._settings = settings
        self.limits_clients = settings.per_client is not None
        self._total, self._max_wait, self._per_client = settings.total, settings.max_wait, settings.per_client
        for line in self._lines:
            label = line.level.label
            line.cap, line.bound, line.reserve = (
                settings.cap(label),
                settings.queue.of(label),
                settings.reserve.of(label),
            )
            line.account.total_tokens = line.cap
        self._reserved = tuple(line for line in self._lines if line.reserve)

    def _pump(self) -> None:
        """Admit until nobody who waits could run."""
        while self._in_use < self._total:
            line = self._next()
            if line is None:
                return
            seat, _ = line.waiting.popitem(last=False)
            self._note_wait(line, self._clock() - seat.arrived)
            self._take(line, seat)
            if seat.on_granted is not None:
                seat.on_granted()

    def _next(self) -> _Line | None:
        """Return the level whose first in the queue is next, or None if nobody who waits could run."""
        for line in self._reserved:
            if line.waiting and line.in_use < line.reserve:
                return line
        for line in self._lines:
            if line.waiting and line.in_use < line.cap:
                return line
        return None

    def _take(self, line: _Line, seat: Seat) -> None:
        self._in_use += 1
        line.in_use += 1
        line.admitted += 1
        line.account.acquire_on_behalf_of_nowait(seat)
        seat.grant()

    def _note_wait(self, line: _Line, wait: float) -> None:
        line.waited += wait
        line.waits[next((slot for slot, limit in enumerate(WAITS) if wait <= limit), len(WAITS))] += 1

    def _count(self, line: _Line, client: Hashable) -> None:
        known = self._clients.setdefault(client, _Client())
        if self._per_client is not None and known.count >= self._per_client:
            raise self._too_many(line, known)
        known.count += 1

    def _forget(self, seat: Seat) -> None:
        if seat.client is None:
            return
        known = self._clients[seat.client]
        known.count -= 1
        if not known.count:
            del self._clients[seat.client]

    def _too_many(self, line: _Line, client: _Client) -> Rejected:
        self._note_rejection(line, "per_client")
        retry_after, _ = client.pressure.reject(self._clock())
        return TooManyRequests(line.level.label, self._per_client or 0, retry_after)

    def _note_rejection(self, line: _Line, reason: str) -> None:
        line.rejected[reason] += 1
        service = context.maybe_service()
        name = "" if service is None else service.name
        events.notify(events.CallRejected(name, self.name, line.level.label, reason))

    def _overloaded(self, line: _Line, reason: Any) -> Rejected:
        self._note_rejection(line, reason)
        if reason == "queue_full":
            note_queue_full(line.level)
        retry_after, tell = line.pressure.reject(self._clock())
        if tell:
            _log.warning(
                "%s turns away requests of level %s (%s): %d of %d seats taken, %d of %d of its own, %d waiting",
                *(self.name, line.level.label, reason, self._in_use, self._total, line.in_use, line.cap),
                len(line.waiting),
            )
        return Overloaded(line.level.label, reason, self.name, retry_after)

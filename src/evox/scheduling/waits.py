"""Waits: what OpenTelemetry is told of queues: how long a call has waited in one, and how that ended.

A call that is admitted at once has nothing told. What waits is not what runs, so nothing is below these spans.
"""

import time
from types import TracebackType
from typing import Self

from evox import context, spans
from evox.errors import Overloaded
from evox.scheduling.priority import Priority
from evox.scheduling.seat import Seat

__all__ = ["Wait", "note_queue_full"]


class Wait:
    """The wait of one call, for the time of a ``with`` block.

    Args:
        seat: What is waited for.
        waited: Seconds since it was asked for.
    """

    __slots__ = ("_seat", "_span")

    def __init__(self, seat: Seat, waited: float) -> None:
        self._seat = seat
        self._span = spans.begin("evox.queue.wait", _about(), start=time.time_ns() - int(waited * 1e9))

    def __repr__(self) -> str:
        return f"<Wait for {self._seat!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = "admitted" if error is None else error.reason if isinstance(error, Overloaded) else "cancelled"
        _end(self._span, self._seat.level, outcome)


def note_queue_full(level: Priority) -> None:
    """Tell that a call could not even wait, as the queue of its level is full."""
    _end(spans.begin("evox.queue.wait", _about()), level, "queue_full")


def _about() -> dict[str, str]:
    service = context.maybe_service()
    return {} if service is None else {"evox.service": service.name}


def _end(span: spans.Span | None, level: Priority, outcome: str) -> None:
    if span is not None:
        span.set({"evox.priority": level.label, "evox.queue.outcome": outcome})
        span.end()

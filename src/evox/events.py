"""Events: what happened, as frozen records that anyone may observe and nobody can change.

Rooms call ``notify()``; they never know who listens. Observers are plain callables held in a context variable by the
runtime, so two runtimes in one process do not see each other's events. An observer that raises is logged and
skipped: looking must never change what is looked at.
"""

import logging
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "BreakerMoved",
    "CallFailed",
    "CallFinished",
    "CallRefused",
    "CallRejected",
    "CheckFinished",
    "ConnectionFailed",
    "Counting",
    "Event",
    "Observer",
    "ServiceCrashed",
    "ServiceStateChanged",
    "SourceFailed",
    "SourceRecovered",
    "TaskFinished",
    "call_finished",
    "forget",
    "is_observed",
    "mute",
    "notify",
    "observe",
]

_log = logging.getLogger("evox.events")


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. ``service`` is the service's name."""

    service: str


@dataclass(frozen=True, slots=True)
class ServiceStateChanged(Event):
    """A service moved from one lifecycle state to another."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ServiceCrashed(Event):
    """A service's own task failed. ``restart_in`` is seconds until the next attempt, None when it is given up."""

    error: BaseException
    restarts: int
    restart_in: float | None


@dataclass(frozen=True, slots=True)
class TaskFinished(Event):
    """One run of a background task or job ended. ``duration`` is in seconds; ``error`` None is success.

    ``interval`` is the seconds until it runs again; None for a job, and for a task that runs on.
    """

    task: str
    duration: float
    error: BaseException | None
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class CallFinished(Event):
    """One call of an endpoint ended. ``origin`` is ``"http"`` or ``"internal"``; ``duration`` is in seconds."""

    endpoint: str
    origin: str
    status: int
    duration: float


@dataclass(frozen=True, slots=True)
class CallFailed(Event):
    """A request ended by an error that nobody expected. ``target`` is an endpoint's name, or a request: "GET /"."""

    target: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class CallRejected(Event):
    """A call was turned away by who has its seats: ``"queue_full"``, ``"time_out"`` or ``"per_client"``."""

    whose: str
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class CallRefused(Event):
    """A caller was refused before anything of its request was read. ``reason`` is for operators, never for clients."""

    target: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class SourceFailed(Event):
    """What a copy is made of could not be had, and old copies are served. ``key`` names the copy."""

    key: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class SourceRecovered(Event):
    """A source that had failed has answered again, or is asked anew because what it failed for was changed."""

    key: str


@dataclass(frozen=True, slots=True)
class CheckFinished(Event):
    """A readiness check was run. ``why`` is empty where it passed."""

    check: str
    why: str


@dataclass(frozen=True, slots=True)
class BreakerMoved(Event):
    """Calls to another service were stopped, are tried again, or go on. ``service`` is the one that is called."""

    state: str
    why: str


@dataclass(frozen=True, slots=True)
class ConnectionFailed(Event):
    """A connection ended by an error of the protocol layer. The process and its other connections are unharmed."""

    peer: str
    error: BaseException


class Observer(Protocol):
    """Anything that can be called with an event. Must return quickly and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


class Counting(Observer, Protocol):
    """An observer that is told of calls that ended without a record: they are many, and each takes a microsecond."""

    def call_finished(self, service: str, endpoint: str, origin: str, status: int, duration: float) -> None:
        """Take note of what ``CallFinished`` would say."""


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("evox_observers", default=())


def observe(*observers: Observer) -> Token[tuple[Observer, ...]]:
    """Add observers for this context and the tasks started from it; the token undoes it."""
    return _observers.set((*_observers.get(), *observers))


def mute() -> Token[tuple[Observer, ...]]:
    """Let nobody hear of this context from now on; for measuring what hearing costs."""
    return _observers.set(())


def forget(token: Token[tuple[Observer, ...]]) -> None:
    """Undo ``observe`` or ``mute``."""
    _observers.reset(token)


def is_observed() -> bool:
    """Whether anybody would be told of an event of this context; what is costly to find out need not be, if not."""
    return bool(_observers.get())


def call_finished(service: str, endpoint: str, origin: str, status: int, duration: float) -> None:
    """Tell all observers of this context of a call that ended, as ``CallFinished`` or without. Never raises."""
    event: CallFinished | None = None
    for observer in _observers.get():
        try:
            count = getattr(observer, "call_finished", None)
            if count is not None:
                count(service, endpoint, origin, status, duration)
                continue
            if event is None:
                event = CallFinished(service, endpoint, origin, status, duration)
            observer(event)
        except Exception:  # noqa: BLE001  as below
            _log.exception("observer %r failed on %r", observer, "CallFinished")


def notify(event: Event) -> None:
    """Tell all observers of this context. Never raises."""
    for observer in _observers.get():
        try:
            observer(event)
        except Exception:  # noqa: BLE001  logged; looking must not change what is looked at
            _log.exception("observer %r failed on %r", observer, type(event).__name__)

"""Context: which runtime and which service the current task belongs to, and on which seat it runs.

Context variables follow tasks and worker threads on both loops, so a handler never passes these along by hand. The
facades (``inject``, later ``data_io`` and ``proxy``) resolve through here, which is what lets several runtimes live
in one process. This floor knows only protocols; the rooms above fill them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Any, Final, Protocol, TypeVar

from evox.errors import OutsideRuntime

__all__ = [
    "RuntimeScope",
    "SeatScope",
    "ServiceScope",
    "current_service",
    "enter_level",
    "enter_seat",
    "enter_service",
    "give_handles",
    "handle_of",
    "leave_level",
    "leave_request",
    "leave_seat",
    "leave_service",
    "maybe_level",
    "maybe_seat",
    "maybe_service",
    "of_request",
]


T = TypeVar("T")


class RuntimeScope(Protocol):
    """What the facades need from a runtime."""

    def running(self, service: object) -> "ServiceScope":
        """Return the running instance of a declared service, or raise ``OutsideRuntime``."""

    def override(self, thing: object, fake: object) -> AbstractContextManager[None]:
        """Replace what injection gives for ``thing``, in this runtime only."""


class ServiceScope(Protocol):
    """What the facades need from a running service."""

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def runtime(self) -> RuntimeScope:
        """The runtime it runs in."""

    @property
    def data(self) -> Any:
        """Its data; raises ``OutsideRuntime`` while it is not started."""

    @property
    def authority(self) -> Any:
        """What knows about tokens."""

    def resolve(self, thing: Any) -> Any:
        """Return what injection gives for a type or named value."""


class SeatScope(Protocol):
    """What is known of the seat that a chain of calls runs on."""

    level: Any

    @property
    def live(self) -> bool:
        """Whether it is still held; a task that outlives its request finds it given back."""

    def share(self) -> None:
        """Let one more hold it, who releases it too."""

    def release(self) -> None:
        """Give it back; the last of its holders frees the place."""

    def boost(self, level: Any) -> bool:
        """Let the chain count as a higher level from now on."""


_seat: ContextVar[SeatScope | None] = ContextVar("evox_seat", default=None)
_level: ContextVar[int | None] = ContextVar("evox_level", default=None)
_service: ContextVar[ServiceScope | None] = ContextVar("evox_service", default=None)
_of_request: list[tuple[ContextVar[Any], Any]] = [(_seat, None)]


# Each request calls these, and a function round them would take as long again.
enter_service: Final = _service.set
"""Make a scope the current service of this task and of the tasks it starts; returns what undoes it."""
leave_service: Final = _service.reset
"""Undo ``enter_service``."""
maybe_service: Final = _service.get
"""Return the current service, or None outside any."""
enter_seat: Final = _seat.set
"""Let this task, and the tasks it starts, run on a seat, or on nobody's with None; returns what undoes it."""
leave_seat: Final = _seat.reset
"""Undo ``enter_seat``."""


def current_service(asked_for: str) -> ServiceScope:
    """Return the current service.

    Args:
        asked_for: What the caller wanted, for the message, e.g. ``"inject(Repository)"``.

    Raises:
        OutsideRuntime: if no service is running in this context.
    """
    scope = _service.get()
    if scope is None:
        raise OutsideRuntime(asked_for)
    return scope


def maybe_seat() -> SeatScope | None:
    """Return the seat that the current task runs on, or None if it runs on none that is still held."""
    seat = _seat.get()
    return seat if seat is not None and seat.live else None


def enter_level(level: int | None) -> Token[int | None]:
    """Let calls that need a seat of their own be admitted in this level."""
    return _level.set(level)


def leave_level(token: Token[int | None]) -> None:
    """Undo ``enter_level``."""
    _level.reset(token)


def maybe_level() -> int | None:
    """Return the level that was asked for, or None to leave it to the endpoint."""
    return _level.get()


def of_request(variable: ContextVar[T], empty: T) -> ContextVar[T]:
    """Let a variable be one that a job does not take along: what it holds is over when the request is.

    Args:
        variable: The variable.
        empty: What it has in a job.
    """
    _of_request.append((variable, empty))
    return variable


_handles: list[Callable[[str], Any]] = []


def give_handles(make: Callable[[str], Any]) -> None:
    """Say what makes the handle of another service; the room that has them does."""
    _handles[:] = [make]


def handle_of(service: str) -> Any:
    """Return the handle of another service."""
    return _handles[-1](service)


def leave_request() -> None:
    """Let the current task be on no seat, in no transaction and so on: it outlives the request that began it."""
    for variable, empty in _of_request:
        variable.set(empty)
